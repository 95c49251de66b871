"""Where files are read and written: checked paths, and files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elephas_torch.errors import ModelFileError

KERAS = ".keras"
HDF5 = (".h5", ".hdf5")
SAFETENSORS = ".safetensors"


def is_hdf5(path: Any) -> bool:
    """Whether a path ends as HDF5 files do."""
    return Path(path).suffix.lower() in HDF5


def is_keras_weights(path: Any) -> bool:
    """Whether a path ends as Keras 3's files of weights do."""
    return str(path).lower().endswith("weights.h5")


def _path(filepath: Any) -> Path:
    if not isinstance(filepath, str | os.PathLike):
        raise TypeError(
            "`filepath` must be the path of a file, such as 'model.keras'. "
            f"Received: filepath={filepath!r}"
        )
    return Path(filepath)


def existing(filepath: Any) -> Path:
    """Returns the path of a file.

    Raises:
        FileNotFoundError: it isn't there.
        ModelFileError: it is a folder.
    """
    path = _path(filepath)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    if path.is_dir():
        raise ModelFileError(f"{str(path)!r} is a folder; a model is one file.")
    return path


def target(filepath: Any, overwrite: bool) -> Path:
    """Returns the path of a file to be written.

    Raises:
        IsADirectoryError: it is a folder.
        FileExistsError: it is there, and `overwrite` is False.
        FileNotFoundError: the folder that it is to lie in isn't there.
    """
    path = _path(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"`filepath` is a folder: {str(path)!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} is there already. Pass overwrite=True to replace it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to save in.")
    return path


def write_whole(path: Path, write: Callable[[Any], Any]) -> None:
    """Calls `write(file)` on a file beside `path`, then moves it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
