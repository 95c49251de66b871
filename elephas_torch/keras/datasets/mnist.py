"""MNIST: 70,000 handwritten digits of 28x28 pixels (LeCun and Cortes, CC BY-SA 3.0)."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import files, idx

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
FOLDER_VARIABLE = "ELEPHAS_TORCH_MNIST"

Arrays = tuple[np.ndarray, np.ndarray]

logger = logging.getLogger(__name__)


def load_data(path: str = "mnist.npz") -> tuple[Arrays, Arrays]:
    """Loads MNIST.

    From the folder of IDX files that $ELEPHAS_TORCH_MNIST names, if it is set: `train-*` and
    `t10k-*`, gzipped or not; or `t10k-*` alone, of which the first 8,000 images are then to
    train and the last 2,000 to test. Else from `path`, which is downloaded if it isn't there.

    Args:
        path: the file's name in Keras's cache folder ($KERAS_HOME/datasets, or
            ~/.keras/datasets), or its full path.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 from 0 to 255 of shape
        (samples, 28, 28), and labels uint8 from 0 to 9 of shape (samples,).

    Raises:
        DataError: the files aren't there and can't be downloaded, or are damaged; the message
            says what to do.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        return _from_folder(Path(folder))
    file = files.cache_folder() / path
    return _from_npz(files.cached(file, URL, SHA256, _advice(file)))


def _advice(file: Path) -> str:
    return (
        f"Offline, put mnist.npz from {URL} (on another machine) to {file}; or set "
        f"{FOLDER_VARIABLE} to a folder with MNIST's own files (t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz and so on); or use elephas_torch.keras.datasets.digits, which "
        "comes with scikit-learn."
    )


def _from_npz(file: Path) -> tuple[Arrays, Arrays]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return (
                (arrays["x_train"], arrays["y_train"]),
                (arrays["x_test"], arrays["y_test"]),
            )
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} isn't Keras's mnist.npz: {error}.") from error


def _from_folder(folder: Path) -> tuple[Arrays, Arrays]:
    test = _part(folder, "t10k")
    if test is None:
        raise DataError(
            f"{folder}, which {FOLDER_VARIABLE} names, has no t10k-images-idx3-ubyte and "
            "t10k-labels-idx1-ubyte (or the same with .gz). Set it to the folder with MNIST's "
            "own files, or unset it to have MNIST downloaded."
        )
    train = _part(folder, "train")
    if train is not None:
        return train, test
    x, y = test
    cut = len(x) * 8 // 10
    logger.warning(
        "%s has no train-* files: the first %d images of t10k-* are to train, the last %d to test",
        folder, cut, len(x) - cut,
    )  # fmt: skip
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _part(folder: Path, name: str) -> Arrays | None:
    images = _find(folder, f"{name}-images-idx3-ubyte")
    labels = _find(folder, f"{name}-labels-idx1-ubyte")
    if images is None or labels is None:
        return None
    x, y = idx.read(images), idx.read(labels)
    if x.ndim != 3 or y.shape != (len(x),):
        raise DataError(
            f"{images} and {labels} don't fit each other: their shapes are {x.shape} and {y.shape}."
        )
    return x, y


def _find(folder: Path, name: str) -> Path | None:
    spellings = (name, name + ".gz", name.replace("-idx", ".idx"))
    return next((folder / one for one in spellings if (folder / one).is_file()), None)
