"""Callbacks without training: a model that only remembers, and recorded values; and with it: the
same small model here and in Keras."""

import keras
import numpy as np
import pytest

from elephas_torch.keras import layers, models
from elephas_torch.keras import optimizers as my_optimizers

X = np.random.default_rng(0).normal(size=(25, 4)).astype("float32")
Y = X[:, :2]


class Fake:
    """A model that only remembers which weights it was given."""

    def __init__(self):
        self.weights, self.stop_training, self.saved = 0, False, []
        self.metrics = []
        self.optimizer = keras.optimizers.SGD(0.1)

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights

    def save(self, path, overwrite=True):
        self.saved.append(str(path))

    save_weights = save


def play_(callback, values, monitor, model=None):
    model = model or Fake()
    callback.set_model(model)
    callback.on_train_begin({})
    epoch = -1
    for epoch, value in enumerate(values):
        model.weights = epoch
        logs = {} if value is None else {monitor: value}
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callback.on_train_end({})
    return model, epoch


@pytest.fixture
def play():
    """`play(callback, values, monitor)` runs a callback over recorded values; returns the model
    and the last epoch."""
    return play_


def compiled_(library=None, rate=0.01, metrics=("mae",)):
    if library is keras:
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
        optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    else:
        model = models.Sequential([layers.Dense(2, input_dim=4)])
        optimizer = my_optimizers.SGD(rate, momentum=0.9)
    kernel = np.random.default_rng(1).normal(size=(4, 2)).astype("float32")
    model.set_weights([kernel, np.zeros(2, "float32")])
    model.compile(optimizer=optimizer, loss="mse", metrics=list(metrics))
    return model


@pytest.fixture
def compiled():
    """`compiled()` gives a small model with the same weights each time; `compiled(keras)`
    Keras's."""
    return compiled_


@pytest.fixture
def data():
    """25 rows: (x, y) of shapes (25, 4) and (25, 2)."""
    return X, Y


@pytest.fixture(
    params={
        "falls": [5.0, 4.0, 3.0, 2.0, 1.0],
        "rises": [1.0, 2.0, 3.0, 4.0, 5.0],
        "turns": [5.0, 3.0, 2.0, 2.05, 2.5, 1.9, 3.0, 4.0, 4.0, 5.0],
        "peaks": [0.1, 0.5, 0.7, 0.69, 0.71, 0.6, 0.5, 0.5, 0.4],
        "flat": [1.0] * 6,
        "steps": [1.0, 0.95, 0.9, 0.7, 0.69, 0.68, 0.67, 0.3],
        "nan": [1.0, float("nan"), 0.9, float("nan"), float("nan"), 0.8],
        "noise": list(np.random.default_rng(3).random(20)),
        "single": [1.0],
        "none": [],
    }.items(),
    ids=lambda item: item[0],
)
def series(request):
    """Values of epochs."""
    return request.param[1]
