"""`elephas-torch summary`."""

import json

from elephas_torch import SparkModel
from elephas_torch.keras.models import load_model


def test_a_model(command, model_file):
    code, said, _ = command("summary", model_file, "--trainable", "--width", "70")
    assert code == 0
    assert "batch_normalization" in said and "Trainable" in said
    assert "Optimizer: Adam(learning_rate=0.001, beta_1=0.9" in said
    assert "Loss: sparse_categorical_crossentropy\nMetrics: accuracy\n" in said


def test_its_config(command, model_file):
    code, said, _ = command("summary", model_file, "--json")
    assert code == 0
    assert json.loads(said)["class_name"] == "Sequential"


def test_how_a_spark_model_trains(command, model_file):
    path = model_file.with_name("spark.keras")
    SparkModel(load_model(model_file), mode="hogwild", frequency=5).save(path)
    said = command("summary", path)[1]
    assert said.endswith(
        "SparkModel: mode='hogwild', frequency=5, exchange='server', num_workers=None, "
        "batch_size=32\n"
    )


def test_a_model_that_is_not_compiled(command, model_file):
    load_model(model_file, compile=False).save(model_file)
    assert command("summary", model_file)[1].endswith("Not compiled.\n")


def test_weights_alone(command, model_file):
    for name in ("w.safetensors", "w.weights.h5"):
        load_model(model_file).save_weights(model_file.with_name(name))
        code, said, _ = command("summary", model_file.with_name(name))
        assert code == 0
        assert said.endswith("Weights alone, 99 numbers; load_weights takes them into a model.\n")
        assert "(4, 8)  32" in said


def test_another_file(command, tmp_path):
    (tmp_path / "no.keras").write_text("no model")
    code, said, errors = command("summary", tmp_path / "no.keras")
    assert (code, said) == (1, "")
    assert "isn't a saved model" in errors
