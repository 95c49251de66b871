"""Files beside the weights, and what a model's own hooks say of how it is compiled."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from elephas_torch import keras as ours
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import saving


def worded(k):
    class Words(k.layers.Layer):
        words = ""

        def call(self, inputs):
            return inputs

        def save_assets(self, folder):
            Path(folder, "words.txt").write_text(self.words)

        def load_assets(self, folder):
            self.words = Path(folder, "words.txt").read_text()

    return Words


def model_of(k, cls, words):
    model = k.Sequential([k.Input((3,)), cls(), k.layers.Dense(2), cls()])
    model.layers[0].words, model.layers[2].words = words
    return model


def words_of(model):
    return [model.layers[0].words, model.layers[2].words]


@pytest.mark.parametrize("source", [ours, keras])
@pytest.mark.parametrize("target", [ours, keras])
def test_files_of_layers_travel_with_keras(source, target, tmp_path):
    path = tmp_path / "m.keras"
    model_of(source, worded(source), ["one", "other"]).save(path)
    loaded = target.models.load_model(path, custom_objects={"Words": worded(target)})
    assert words_of(loaded) == ["one", "other"]


def test_a_name_that_leads_out_is_refused(tmp_path):
    path = tmp_path / "m.keras"
    model_of(ours, worded(ours), ["one", "other"]).save(path)
    for name in ("assets/../../words.txt", "assets/a\\..\\b", "assets/c:/b"):
        bad = tmp_path / "bad.keras"
        bad.write_bytes(path.read_bytes())
        with zipfile.ZipFile(bad, "a") as archive:
            archive.writestr(name, "out")
        with pytest.raises(ModelFileError, match="leads out"):
            ours.models.load_model(bad, custom_objects={"Words": worded(ours)})


def test_a_model_without_such_layers_has_no_folder(tmp_path):
    ours.Sequential([ours.Input((3,)), ours.layers.Dense(2)]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert not [name for name in archive.namelist() if name.startswith("assets")]


@saving.register_keras_serializable(package="tests")
def absolute(y_true, y_pred):
    return abs(y_true - y_pred).mean(-1)


class Own(ours.Model):
    def __init__(self):
        super().__init__()
        self.dense = ours.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)

    def compile(self, rule, errors):
        super().compile(optimizer=rule, loss=errors)
        self.rule, self.errors = rule, errors

    def get_compile_config(self):
        return {"rule": self.rule, "errors": self.errors}

    def compile_from_config(self, config):
        made = {name: saving.deserialize_keras_object(one) for name, one in config.items()}
        self.compile(**made)


def test_a_model_compiled_with_arguments_of_its_own(tmp_path):
    model = Own()
    model.compile(rule=ours.optimizers.SGD(0.25), errors=absolute)
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    again = ours.models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert again.errors is absolute and float(again.optimizer.learning_rate) == 0.25
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))
