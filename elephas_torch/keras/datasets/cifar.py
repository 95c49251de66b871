"""What CIFAR-10's and CIFAR-100's files have in common: pickles in a tar, read from there."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from elephas_torch.errors import DataError
from elephas_torch.keras import config
from elephas_torch.keras.datasets import files, safe_pickle
from elephas_torch.keras.utils import downloads

ADDRESS = "https://www.cs.toronto.edu/~kriz/"

Arrays = tuple[np.ndarray, np.ndarray]


def archive(name: str, older: str, url: str, sha256: str) -> Path:
    """Returns the archive: where Keras 3 keeps it, or where Keras 2 did if it is there."""
    folder = files.cache_folder()
    if downloads.fits(folder / older, sha256):
        return folder / older
    return files.cached(folder / name, url, sha256)


def load(path: Path, folder: str, names: list[str], labels: str) -> list[Arrays]:
    """Returns the images and labels of some of an archive's files.

    Args:
        path: the archive.
        folder: the folder in it.
        names: the files.
        labels: the key of the labels.

    Returns:
        For each file: images uint8 of shape (samples, 32, 32, 3), or (samples, 3, 32, 32) where
        `keras.config.image_data_format()` is "channels_first"; labels uint8, (samples, 1).

    Raises:
        DataError: the archive is damaged, or isn't one of these.
    """
    found: dict[str, Arrays] = {}
    try:
        with tarfile.open(path) as tar:
            for info in tar:
                name = info.name.removeprefix("./").removeprefix(f"{folder}/")
                if name in names and info.isfile():
                    data = tar.extractfile(info).read()  # type: ignore[union-attr]
                    found[name] = _batch(data, f"{name} in {path}", labels)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{path} isn't the archive of {folder}: it has no {', '.join(missing)}.")
    return [found[name] for name in names]


def joined(parts: list[Arrays]) -> Arrays:
    """Returns one batch out of several."""
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _batch(data: bytes, where: str, labels: str) -> Arrays:
    batch: Any = safe_pickle.loads(data, where, encoding="bytes")
    try:
        x, y = np.asarray(batch[b"data"]), np.asarray(batch[labels.encode()])
        x = x.reshape(len(y), 3, 32, 32).astype(np.uint8, copy=False)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} isn't a batch of CIFAR: {error}.") from error
    if config.image_data_format() == "channels_last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return x, y.astype(np.uint8).reshape(-1, 1)
