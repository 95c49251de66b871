"""Each program runs twice, and unchanged: in Keras on torch, and here."""

import importlib
import random

import keras as real
import numpy as np
import pytest
from sklearn.datasets import load_digits

from elephas_torch import keras as ours

LIBRARIES = ["keras", "elephas_torch.keras"]


@pytest.fixture(autouse=True)
def begun_anew():
    """Seeds what Keras takes its seeds from, and lets names begin anew, so that the first Dense
    of a program is called "dense" in both."""
    random.seed(0)
    np.random.seed(0)
    real.utils.clear_session(free_memory=False)
    ours.backend.clear_session(free_memory=False)


@pytest.fixture(params=LIBRARIES, ids=["keras", "ours"])
def keras(request):
    """The library that a program imports as `keras`."""
    return importlib.import_module(request.param)


@pytest.fixture
def layers(keras):
    return keras.layers


@pytest.fixture
def both():
    """`both(program)`: calls `program(keras, layers)` in each library; what it returns (names,
    shapes, counts …) must be the same."""

    def run(program):
        expected, found = (program(library, library.layers) for library in (real, ours))
        assert found == expected
        return found

    return run


@pytest.fixture(scope="session")
def digits():
    """Scikit-learn's digits in place of MNIST: ((x_train, y_train), (x_test, y_test)), images of
    (8, 8) in 0..255 with labels in 0..9, 400 and 200 of them."""
    data = load_digits()
    images = np.clip(data.images * 16, 0, 255).astype("uint8")
    labels = data.target.astype("uint8")
    return (images[:400], labels[:400]), (images[400:600], labels[400:600])


@pytest.fixture(scope="session")
def vectors(digits):
    """The digits as float32 vectors of 64 in 0..1, with labels as Keras's guides have them."""
    (x_train, y_train), (x_test, y_test) = digits
    return tuple(
        (x.reshape(-1, 64).astype("float32") / 255, y.astype("float32"))
        for x, y in ((x_train, y_train), (x_test, y_test))
    )
