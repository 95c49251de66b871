"""Handwritten digits for the examples: MNIST, or scikit-learn's small ones.

MNIST comes from the folder of its own files that the variable ELEPHAS_TORCH_MNIST names, or from
Keras's cache folder, where it is downloaded once. Where there is no network, or with `--digits`
after a script's name, it is scikit-learn's 1,797 images of 8 x 8 pixels.
"""

import os
import sys

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import digits, mnist
from elephas_torch.keras.utils import to_categorical


def load_images():
    """Returns (x_train, y_train), (x_test, y_test).

    Images are float32 from 0 to 1 of shape (rows, side, side), labels one-hot of shape (rows, 10).
    """
    name, (x_train, y_train), (x_test, y_test) = _load()
    white = float(x_train.max())
    print(f"{name}: {len(x_train):,} images to train, {len(x_test):,} to test, {x_train.shape[1:]}")
    train = (x_train.astype("float32") / white, to_categorical(y_train, 10))
    test = (x_test.astype("float32") / white, to_categorical(y_test, 10))
    return train, test


def load_rows():
    """The same, with each image as one row of pixels: shape (rows, side * side)."""
    (x_train, y_train), (x_test, y_test) = load_images()
    pixels = x_train.shape[1] * x_train.shape[2]
    return (x_train.reshape(-1, pixels), y_train), (x_test.reshape(-1, pixels), y_test)


def _load():
    if "--digits" not in sys.argv[1:]:
        try:
            return "MNIST", *mnist.load_data()
        except DataError as error:
            if os.environ.get("ELEPHAS_TORCH_MNIST"):
                raise
            print(f"No MNIST, so scikit-learn's digits instead: {error}")
    return "digits", *digits.load_data()
