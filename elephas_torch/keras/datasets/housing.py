"""What the two data sets of house prices have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from elephas_torch.errors import DataError
from elephas_torch.keras.arguments import check_share
from elephas_torch.keras.datasets import safe_pickle

Arrays = tuple[np.ndarray, np.ndarray]


def read(path: Path) -> Arrays:
    """Returns x and y of an .npz file.

    Raises:
        DataError: it isn't one, or holds something else.
    """
    arrays = safe_pickle.load_npz(path)
    if not {"x", "y"} <= arrays.keys():
        raise DataError(f"{path} isn't Keras's {path.name}: it has no arrays x and y.")
    return arrays["x"], arrays["y"]


def split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int) -> tuple[Arrays, Arrays]:
    """Shuffles the rows as Keras does; the last ones are to test.

    Raises:
        ValueError: `test_split` is no share from 0 to below 1.
    """
    check_share("test_split", test_split)
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    cut = int(len(x) * (1 - test_split))
    x, y = x[order], y[order]
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
