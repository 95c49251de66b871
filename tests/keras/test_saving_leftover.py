"""Files of larger models are refused, whatever their form: docs/saving.md promises it."""

import h5py
import keras
import numpy as np
import pytest

import elephas_torch.keras as facade
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import Model, Sequential, layers, metrics

FORMS = ["w.weights.h5", "w.safetensors", "w.h5", "m.keras", "m.h5"]


def dense(*units, room=facade):
    return room.Sequential(
        [room.layers.Input((3,)), *(room.layers.Dense(n, name=f"d{n}") for n in units)]
    )


def saved(model, path):
    (model.save if path.name.startswith("m.") else model.save_weights)(path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_files_of_larger_models_are_refused(form, tmp_path):
    path = saved(dense(4, 2, 5), tmp_path / form)
    for smaller in ((4,), (4, 2)):
        model = dense(*smaller)
        before = model.get_weights()
        with pytest.raises(ModelFileError, match=r"doesn't fit the model"):
            model.load_weights(path)
        for one, other in zip(before, model.get_weights(), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("form", ["w.weights.h5", "m.keras"])
def test_the_message_names_what_is_over(form, tmp_path):
    path = saved(dense(4, 2), tmp_path / form)
    with pytest.raises(ModelFileError, match=r"no layer for: 'layers/dense_1'\.$"):
        dense(4).load_weights(path)


def test_many_are_not_all_named(tmp_path):
    path = saved(dense(*range(2, 10)), tmp_path / "w.weights.h5")
    with pytest.raises(ModelFileError, match=r"'layers/dense_5' …\.$"):
        dense(2).load_weights(path)


@pytest.mark.parametrize("form", ["w.weights.h5", "m.keras"])
def test_what_fits_can_be_taken_with_a_warning(form, tmp_path):
    source = dense(4, 2)
    path = saved(source, tmp_path / form)
    model = dense(4)
    with pytest.warns(UserWarning, match="no layer for: 'layers/dense_1'") as caught:
        model.load_weights(path, skip_mismatch=True)
    assert caught[0].filename == __file__
    assert np.array_equal(model.get_weights()[0], source.get_weights()[0])


def test_nested_models_and_keras_files_are_looked_through(tmp_path):
    theirs = keras.Sequential([keras.layers.Input((3,)), dense(4, 2, room=keras)])
    theirs.save_weights(tmp_path / "w.weights.h5")
    ours = Sequential([layers.Input((3,)), dense(4)])
    with pytest.raises(ModelFileError, match="'layers/sequential/layers/dense_1'"):
        ours.load_weights(tmp_path / "w.weights.h5")


class Own(Model):
    def __init__(self, parts):
        super().__init__()
        self.first = layers.Dense(3)
        self.rest = [layers.Dense(3) for _ in range(parts)]
        self.seen = metrics.Mean(name="seen")

    def call(self, x):
        x = self.first(x)
        for one in self.rest:
            x = one(x)
        return x


def test_lists_in_subclassed_models_are_counted(tmp_path):
    big, small = Own(2), Own(1)
    for model in (big, small):
        model.build((None, 3))
    big.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelFileError, match="no layer for"):
        small.load_weights(tmp_path / "w.weights.h5")


def test_states_that_are_no_weights_are_let_be(tmp_path):
    """Of optimizers, metrics and random numbers, as several versions of Keras kept them."""
    model = Own(1)
    model.build((None, 3))
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        for place in ("optimizer", "metrics/mean", "seen", "first/seed_generator_3"):
            file[f"{place}/vars/0"] = np.ones(2, "float32")
    model.load_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        file["other/vars/0"] = np.ones(2, "float32")
    with pytest.raises(ModelFileError, match="'other'"):
        model.load_weights(tmp_path / "w.weights.h5")
