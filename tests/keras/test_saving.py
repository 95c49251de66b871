import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from elephas_torch import optimizers as elephas_optimizers
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import Sequential, layers, losses, metrics, models, optimizers
from elephas_torch.keras.layers import BatchNormalization, Dense, Dropout, Layer
from elephas_torch.keras.saving import read_model_file, register_keras_serializable, save_model

X = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
Y = np.eye(3, dtype="float32")[np.random.default_rng(1).integers(0, 3, 40)]
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(centered=True, momentum=0.1),
    "adagrad": lambda: optimizers.Adagrad(),
    "adadelta": lambda: optimizers.Adadelta(0.5),
    "adam": lambda: optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
    "elephas": lambda: elephas_optimizers.Adagrad(),
    "decay": lambda: elephas_optimizers.SGD(0.1, decay=0.5),
}


def compiled(optimizer="adam", **options):
    model = Sequential(
        [Dense(6, "relu", input_dim=5), BatchNormalization(), Dense(3, "softmax")], **options
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def same(one, other):
    assert len(one) == len(other)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_it_had_not_been_interrupted(name, ending, tmp_path):
    model = compiled(OPTIMIZERS[name]())
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=2, **options)
    model.save(tmp_path / f"m.{ending}")
    again = models.load_model(tmp_path / f"m.{ending}")
    assert type(again.optimizer) is type(model.optimizer)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    same(again.get_weights(), model.get_weights())
    first = model.fit(X, Y, epochs=2, **options)
    second = again.fit(X, Y, epochs=2, **options)
    same(again.get_weights(), model.get_weights())
    assert first.history == second.history


def test_everything_is_kept(tmp_path):
    model = compiled(name="mine")
    model.layers[1].trainable = False
    model.fit(X, Y, verbose=0)
    model.save(str(tmp_path / "m.keras"))
    again = models.load_model(str(tmp_path / "m.keras"))
    assert again.name == "mine"
    assert again.get_config() == model.get_config()
    assert not again.layers[1].trainable and again.layers[0].trainable
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert again.metrics_names == ["loss", "accuracy"]
    plain = models.load_model(tmp_path / "m.keras", compile=False)
    with pytest.raises(ValueError, match="isn't compiled"):
        plain.evaluate(X, Y)


def test_losses_and_metrics_with_settings_are_kept(tmp_path):
    model = Sequential([Dense(3, input_dim=5)])
    model.compile(
        "sgd",
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=[metrics.TopKCategoricalAccuracy(k=2, name="top2"), "mae"],
    )
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert again.loss.get_config() == model.loss.get_config()
    assert again.metrics_names == ["loss", "top2", "mae"]


def test_an_uncompiled_model_is_saved_too(tmp_path):
    model = Sequential([Dense(3, input_dim=5)])
    model.save(tmp_path / "m.keras")
    assert np.array_equal(models.load_model(tmp_path / "m.keras").predict(X), model.predict(X))


def test_a_model_that_was_not_trained_goes_on_too(tmp_path):
    compiled().save(tmp_path / "m.keras")
    models.load_model(tmp_path / "m.keras").fit(X, Y, verbose=0)


def test_an_unbuilt_model_has_no_weights_to_save(tmp_path):
    with pytest.raises(ValueError, match="no weights yet"):
        Sequential([Dense(3)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="no weights yet"):
        Sequential([Dense(3)]).save_weights(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_weights_alone(tmp_path):
    model, other = compiled(), compiled()
    assert model.layers[0].name != other.layers[0].name
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "w.weights.safetensors")
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "w.weights.h5")
    model.save_weights(tmp_path / "w.h5")
    model.save(tmp_path / "m.h5")
    for file in ("w.weights.safetensors", "m.keras", "w.weights.h5", "w.h5", "m.h5"):
        other = compiled()
        other.load_weights(tmp_path / file)
        same(other.get_weights(), model.get_weights())
        other.fit(X, Y, verbose=0)
    assert not any("optimizer" in name for name in stored(tmp_path / "w.weights.safetensors"))


def stored(path):
    return safetensors.torch.load(path.read_bytes())


def test_weights_of_many_layers_keep_their_order(tmp_path):
    model = Sequential([Dense(3, input_dim=3)] + [Dense(3) for _ in range(12)])
    model.save_weights(tmp_path / "w")
    other = Sequential([Dense(3, input_dim=3)] + [Dense(3) for _ in range(12)])
    other.load_weights(tmp_path / "w")
    same(other.get_weights(), model.get_weights())


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    Sequential([Dense(6, input_dim=5), Dense(4)]).save_weights(tmp_path / "w")
    fewer = Sequential([Dense(6, input_dim=5)])
    last = Sequential([Dense(6, input_dim=5), Dense(3)])
    for model, message in (
        (fewer, "has 4 weights, the model has 2"),
        (last, r"kernel' has shape \(6, 3\) in the model and \(6, 4\) in the file"),
    ):
        before = model.get_weights()
        with pytest.raises(ModelFileError, match=message):
            model.load_weights(tmp_path / "w")
        same(model.get_weights(), before)


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    model = compiled()
    path = tmp_path / "m.keras"
    model.save(path)
    kept = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            model.save(path)
        with pytest.raises(OSError, match="no space"):
            model.save_weights(tmp_path / "m.safetensors")
    assert path.read_bytes() == kept
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def fail(*args):
    raise OSError("no space")


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_readers_never_see_half_a_file(tmp_path):
    model, path, failures = compiled(), tmp_path / "m.keras", []
    model.save(path)
    over = threading.Event()

    def read():
        while not over.is_set():
            try:
                read_model_file(path)
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        model.save(path)
    over.set()
    reader.join()
    assert failures == []


def test_overwriting_can_be_refused(tmp_path):
    model, path = compiled(), tmp_path / "m.h5"
    model.save(path)
    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save(path, overwrite=False)
        save(path)
        save(tmp_path / f"new-{save.__name__}.h5", overwrite=False)


@pytest.mark.parametrize("method", ["save", "save_weights"])
def test_wrong_places(method, tmp_path):
    save = getattr(compiled(), method)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        save(tmp_path / "nowhere" / "m.keras")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_endings_of_weights_are_not_for_whole_models(tmp_path):
    for name in ("m.weights.h5", "m.safetensors"):
        with pytest.raises(ValueError, match=f"save_weights.*{name}"):
            compiled().save(tmp_path / name)


@pytest.mark.parametrize("name", ["m.kears", "m", "m.pt", "m.keras.bak", "m.ckpt"])
def test_other_endings_are_refused_as_in_keras(name, tmp_path):
    import keras

    with pytest.raises(ValueError, match=rf"'\.keras', or in '\.h5' or '\.hdf5'.*{name}'"):
        compiled().save(tmp_path / name)
    with pytest.raises(ValueError, match="Invalid filepath extension"):
        keras.Sequential([keras.layers.Dense(1)]).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_slip_in_an_ending_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Did you mean '\.keras'\?"):
        compiled().save(tmp_path / "m.kears")


def test_whole_models_endings_are_not_for_weights(tmp_path):
    with pytest.raises(ValueError, match=r"model\.save\(\).*m\.keras"):
        compiled().save_weights(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.hdf5", "M.KERAS"])
def test_endings_that_are_taken(name, tmp_path):
    model = compiled()
    model.save(tmp_path / name)
    same(models.load_model(tmp_path / name).get_weights(), model.get_weights())


@pytest.mark.parametrize("load", [models.load_model, lambda path: compiled().load_weights(path)])
def test_what_is_no_model(load, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none.keras"):
        load(tmp_path / "none.keras")
    with pytest.raises(ModelFileError, match="is a folder"):
        load(tmp_path)
    for number, content in enumerate((b"", b"hello", b"\x00" * 1000, b"PK\x03\x04rest", b"{}")):
        path = tmp_path / f"{number}.keras"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=str(path)):
            load(path)


def test_zips_that_are_no_models(tmp_path):
    def zipped(name, **files):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, content in files.items():
                archive.writestr(file.replace("__", "."), content)
        return tmp_path / name

    weights = "model__weights__safetensors"
    good = safetensors.torch.save({"0": torch.ones(2)})
    small = Sequential([Dense(3, input_dim=5)]).to_json()
    cases = [
        (zipped("a", readme="hi"), "no config.json"),
        (zipped("b", config__json="{}"), "has no model.weights.h5"),
        (zipped("c", config__json=small, model__weights__h5="x"), "is no HDF5 file"),
        (zipped("d", config__json=small, **{weights: b"x"}), "cut off"),
        (zipped("e", config__json="{", **{weights: good}), "is no JSON"),
        (zipped("f", config__json="[]", **{weights: good}), "doesn't describe a model"),
        (zipped("g", config__json="{}", **{weights: good}), "doesn't describe a model"),
        (zipped("h", config__json=b"\xff\xfe", **{weights: good}), "isn't a saved model"),
        (
            zipped(
                "i",
                config__json=json.dumps({"class_name": "Dense", "config": {"units": 3}}),
                **{weights: good},
            ),
            "holds a Dense, no model",
        ),
    ]
    for path, message in cases:
        with pytest.raises(ModelFileError, match=message):
            models.load_model(path)


def test_files_cut_off_anywhere(tmp_path):
    model = compiled()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    model.save_weights(tmp_path / "w")
    model.save_weights(tmp_path / "w.weights.h5")
    cut = tmp_path / "cut"
    for name, load in (
        ("m.keras", models.load_model),
        ("m.h5", models.load_model),
        ("w", compiled().load_weights),
        ("w.weights.h5", compiled().load_weights),
    ):
        content = (tmp_path / name).read_bytes()
        for length in [*range(0, len(content), 199), len(content) - 1]:
            cut.write_bytes(content[:length])
            with pytest.raises(ModelFileError):
                load(cut)


def test_changed_bytes_give_an_error_or_the_same_model(tmp_path):
    model = compiled()
    model.save(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()
    random = np.random.default_rng(0)
    changed = tmp_path / "changed"
    refused = 0
    for position in random.integers(0, len(content), 300):
        broken = bytearray(content)
        broken[position] ^= 1 << random.integers(0, 8)
        changed.write_bytes(broken)
        try:
            same(models.load_model(changed).get_weights(), model.get_weights())
        except ModelFileError:
            refused += 1
    assert refused > 200


class Scale(Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

    def call(self, inputs):
        return inputs * self.weight * self.factor


class Noted(Scale):
    note = None

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "note": self.note}


class Bare(Layer):
    """Takes nothing of Layer's own."""

    def __init__(self, power=2):
        super().__init__()
        self.power = power

    def call(self, inputs):
        return inputs**self.power


def with_scale(cls=Scale):
    model = Sequential([Dense(4, input_dim=5), cls(3), Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("cls", [Scale, Bare])
def test_custom_layers_by_custom_objects(cls, tmp_path):
    model = with_scale(cls)
    model.save(tmp_path / "m.keras")
    for load in (
        lambda: models.load_model(tmp_path / "m.keras", custom_objects={cls.__name__: cls}),
        lambda: models.model_from_json(model.to_json(), {cls.__name__: cls}),
        lambda: Sequential.from_config(model.get_config(), {cls.__name__: cls}),
    ):
        again = load()
        assert json.dumps(again.get_config()) == json.dumps(model.get_config())
        again.set_weights(model.get_weights())
        assert np.array_equal(again.predict(X), model.predict(X))


def test_unregistered_layers_are_named_with_the_way_out(tmp_path):
    with_scale().save(tmp_path / "m.keras")
    for load in (
        lambda: models.load_model(tmp_path / "m.keras"),
        lambda: models.model_from_json(with_scale().to_json()),
    ):
        with pytest.raises(ValueError, match=r"layer: 'Scale'.*custom_objects=\{'Scale': Scale\}"):
            load()


def test_registered_layers_need_nothing(tmp_path):
    @register_keras_serializable(package="saving_tests")
    class Triple(Scale):
        pass

    model = with_scale(Triple)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert type(again.layers[1]) is Triple
    assert np.array_equal(again.predict(X), model.predict(X))


def test_a_layer_of_ones_own_with_the_name_of_a_known_one(tmp_path):
    own = type("Dense", (Scale,), {})
    model = Sequential([own(2, input_dim=5)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="Unknown layer: 'Dense'"):
        models.load_model(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Dense": own})
    assert type(again.layers[0]) is own


def test_functions_of_ones_own(tmp_path):
    def cubes(y_true, y_pred):
        return (y_true - y_pred).abs().pow(3).mean(-1)

    model = Sequential([Dense(3, input_dim=5)])
    model.compile("sgd", cubes, metrics=[cubes])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"'cubes'.*custom_objects=.*or load .*compile=False"):
        models.load_model(tmp_path / "m.keras")
    assert models.load_model(tmp_path / "m.keras", compile=False).compiled is None
    again = models.load_model(tmp_path / "m.keras", custom_objects={"cubes": cubes})
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_optimizers_of_ones_own(tmp_path):
    class Sign(elephas_optimizers.Optimizer):
        def _rule(self, w, g, lr):
            w.add_(g.sign(), alpha=-lr)

    model = compiled(Sign(0.01))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"optimizer: 'Sign'.*compile=False"):
        models.load_model(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Sign": Sign})
    assert again.optimizer.iterations == model.optimizer.iterations
    assert type(again.optimizer) is Sign


def test_nothing_that_a_file_names_is_imported(tmp_path):
    marker = tmp_path / "imported"
    module = tmp_path / "evil_module.py"
    module.write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    import sys

    sys.path.insert(0, str(tmp_path))
    try:
        for place in ("optimizer", "loss", "layer"):
            model = Sequential([Dense(3, input_dim=5, name="one")])
            model.compile("sgd", losses.MeanSquaredError())
            model.save(tmp_path / "m.keras")
            poisoned(tmp_path / "m.keras", place)
            with pytest.raises(ValueError):
                models.load_model(tmp_path / "m.keras")
    finally:
        sys.path.remove(str(tmp_path))
    assert not marker.exists()


def poisoned(path, place):
    evil = {"module": "evil_module", "class_name": "Evil", "config": {}, "registered_name": None}
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    if place == "layer":
        config["config"]["layers"][-1] = evil
    else:
        config["compile_config"][place] = evil
    files["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("objects", [["Scale"], {1: Scale}, Scale, "Scale"])
def test_custom_objects_must_be_a_dict(objects, tmp_path):
    compiled().save(tmp_path / "m.keras")
    for load in (
        lambda: models.load_model(tmp_path / "m.keras", custom_objects=objects),
        lambda: models.model_from_json(compiled().to_json(), custom_objects=objects),
    ):
        with pytest.raises(TypeError, match="`custom_objects` must be a dict"):
            load()


@pytest.mark.parametrize("text", ["", "{", "none", None, 3])
def test_json_that_is_none(text):
    with pytest.raises(ValueError, match=r"this is no JSON|Not the config of a model"):
        models.model_from_json(text)


def test_configs_hold_what_json_can(tmp_path):
    numbers = with_scale(lambda factor: Scale(np.float32(factor)))
    assert '"factor": 3.0' in numbers.to_json()
    arrays, functions = with_scale(Noted), with_scale(Noted)
    arrays.layers[1].note = np.arange(3.0)
    assert '"note": [0.0, 1.0, 2.0]' in arrays.to_json()
    functions.layers[1].note = print
    with pytest.raises(TypeError, match=r"get_config\(\) must return what JSON can hold"):
        functions.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_more_texts_go_along(tmp_path):
    save_model(compiled(), tmp_path / "m.keras", extra={"notes.json": '{"a": 1}'})
    texts, weights = read_model_file(tmp_path / "m.keras")
    assert texts["notes.json"] == '{"a": 1}'
    assert {"config.json", "metadata.json"} <= set(texts)
    assert weights.startswith(b"\x89HDF")
    save_model(compiled(), tmp_path / "m.h5", extra={"notes.json": '{"a": 1}'})
    assert read_model_file(tmp_path / "m.h5")[0]["notes.json"] == '{"a": 1}'
    models.load_model(tmp_path / "m.keras")


def test_a_file_is_made_of_open_forms(tmp_path):
    compiled().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert set(archive.namelist()) == {
            "metadata.json", "config.json", "model.weights.h5",
        }  # fmt: skip
        assert "elephas_torch_version" in json.loads(archive.read("metadata.json"))


def test_random_numbers_of_dropout_do_not_hinder(tmp_path):
    model = Sequential([Dense(4, input_dim=5), Dropout(0.5, seed=1), layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(Path(tmp_path / "m.keras"))
    models.load_model(tmp_path / "m.keras").fit(X, Y, verbose=0)


def module():
    return torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3))


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5", "safetensors"])
def test_models_of_torch_modules(ending, tmp_path):
    model = models.Model.from_torch(module(), (5,))
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    path = tmp_path / f"m.{ending}"
    if ending in ("keras", "h5"):
        model.save(path)
        again = models.load_model(path, {"Sequential": module})
        assert again.optimizer.iterations == model.optimizer.iterations
    else:
        model.save_weights(path)
        again = models.Model.from_torch(module(), (5,))
        again.load_weights(path)
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def older(model, path):
    """A file as this package wrote it before it had Keras's form."""
    tensors = {
        f"{number:05d}.{name}": tensor.detach().clone()
        for number, (name, tensor) in enumerate(model.state_dict().items())
    }
    for name, value in model.optimizer.state_dict().items():
        tensors[f"optimizer/{name}"] = torch.as_tensor(value).clone()
    config = {**json.loads(model.to_json()), "compile_config": model.get_compile_config()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"elephas_torch_version": "0.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.safetensors", safetensors.torch.save(tensors))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_files_of_the_form_before_are_read(name, tmp_path):
    model = compiled(OPTIMIZERS[name]())
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(X, Y, **options)
    older(model, tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    first, second = model.fit(X, Y, **options), again.fit(X, Y, **options)
    assert first.history == second.history
    same(again.get_weights(), model.get_weights())
    fresh = compiled()
    fresh.load_weights(tmp_path / "m.keras")
    with pytest.raises(ModelFileError, match="optimizer's state is damaged"):
        broken(tmp_path / "m.keras")


def broken(path):
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    tensors = safetensors.torch.load(files["model.weights.safetensors"])
    kept = {name: one for name, one in tensors.items() if not name.startswith("optimizer/")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if "safe" not in name else safetensors.torch.save(kept))
    models.load_model(path)


def test_a_model_registered_under_another_name_is_found(tmp_path):
    from elephas_torch.keras import Model, layers, saving

    @saving.register_keras_serializable(package="elsewhere", name="another_name")
    class Named(Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scores = layers.Dense(1)

        def call(self, inputs):
            return self.scores(inputs)

    model = Named()
    expected = model.predict(np.ones((2, 3)), verbose=0)
    model.save(tmp_path / "named.keras")
    found = saving.load_model(tmp_path / "named.keras")
    assert np.array_equal(found.predict(np.ones((2, 3)), verbose=0), expected)


@pytest.mark.parametrize("bad", [None, 5, ["m.keras"]])
def test_what_is_no_path_is_refused(bad):
    model = Sequential([Dense(1, input_dim=2)])
    for method in (models.load_model, model.save, model.load_weights, model.save_weights):
        with pytest.raises(TypeError, match=r"`filepath` must be the path of a file.*filepath="):
            method(bad)


def test_a_process_that_asks_for_nothing_else_can_load(tmp_path):
    compiled().save(tmp_path / "model.keras")
    code = (
        "import sys; from elephas_torch.keras.saving import load_model;"
        "print(type(load_model(sys.argv[1])).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.keras"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "Sequential\n", done.stderr
