"""How a model is compiled can be asked and changed, as in Keras."""

import keras
import pytest

import elephas_torch.keras as facade
from elephas_torch.keras import Sequential
from elephas_torch.keras.layers import Dense


def test_how_it_runs_can_be_asked_and_set():
    for room in (facade, keras):
        model = room.Sequential([room.layers.Input((3,)), room.layers.Dense(1)])
        assert (model.run_eagerly, model.steps_per_execution) == (False, 1)
        model.compile("sgd", "mse", run_eagerly=True, steps_per_execution=3)
        assert (model.run_eagerly, model.steps_per_execution) == (True, 3)
        model.run_eagerly, model.steps_per_execution = False, 2
        assert (model.run_eagerly, model.steps_per_execution) == (False, 2)


def test_run_eagerly_keeps_the_compiler_off():
    model = Sequential([Dense(1, input_dim=3)])
    with pytest.raises(ValueError, match="isn't compiled"):
        model.run_eagerly = True
    model.compile("sgd", "mse")
    model.jit_compile = True
    with pytest.warns(UserWarning, match="turns jit_compile=True off"):
        model.run_eagerly = True
    assert not model.jit_compile
    with pytest.raises(ValueError, match="`run_eagerly` must be True or False"):
        model.run_eagerly = "yes"
    with pytest.raises(ValueError, match="`steps_per_execution` must be a whole number"):
        model.steps_per_execution = 0


def test_the_facade_tells_which_keras_it_follows():
    assert facade.__version__ == facade.version()
    ours, theirs = ([int(n) for n in v.split(".")] for v in (facade.__version__, keras.__version__))
    assert ours[0] == theirs[0] and ours[:2] <= theirs[:2]


def test_compiling_anew_without_metrics_ends_the_old_ones():
    model = Sequential([Dense(1, input_dim=3)])
    x, y = [[1.0, 2.0, 3.0]], [[1.0]]
    model.compile("sgd", "mse", metrics=["mae"])
    assert list(model.fit(x, y, verbose=0).history) == ["loss", "mae"]
    model.compile("sgd", "mse")
    assert list(model.fit(x, y, verbose=0).history) == ["loss"]
