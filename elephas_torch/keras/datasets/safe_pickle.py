"""Reads what two old data sets keep as pickles, without running anything that they name.

Only plain values and NumPy arrays of numbers (or of plain lists of them) come out. Where a pickle
names NumPy's functions, stand-ins of this module are called, which check what they are given;
a pickle that names anything else is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from elephas_torch.errors import DataError

_DTYPE = re.compile(r"[|<>=]?([biuf][1248]?|[?]|O8?)")
#: What a damaged or hostile pickle makes the reader raise.
_ERRORS = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, TypeError, ValueError,
)  # fmt: skip


class _Dtype:
    """Stands in for `numpy.dtype`."""

    __slots__ = ("dtype",)

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order: Any = _text(state[1])
        if order not in ("|", "<", ">", "="):
            raise ValueError(f"byte order {order!r}")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """Stands in for `numpy.ndarray`."""

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise TypeError("an array's state")
        length = math.prod(shape)
        if dtype.dtype.hasobject:
            fits = type(data) is list and len(data) == length
        else:
            fits = type(data) is bytes and len(data) == length * dtype.dtype.itemsize
        if not fits or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("an array's size")
        checked: Any = (version, shape, dtype.dtype, bool(fortran), data)
        super().__setstate__(checked)


class _MakeArray:
    """Stands in for NumPy's `_reconstruct`. An object without attributes: nothing can be set."""

    __slots__ = ()

    def __call__(self, subtype: Any, shape: Any, kind: Any) -> _Array:
        return np.ndarray.__new__(_Array, (0,), np.uint8)


class _MakeDtype:
    __slots__ = ()

    def __call__(self, name: Any, align: Any = False, copy: Any = True) -> _Dtype:
        if not _DTYPE.fullmatch(_text(name)):
            raise ValueError(f"dtype {name!r}")
        return _Dtype(_text(name))


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _MakeDtype(),
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def loads(data: bytes, where: object, encoding: str = "ASCII") -> Any:
    """Returns what a pickle of plain values and NumPy arrays holds.

    Args:
        data: the pickle.
        where: the file it is from, for messages.
        encoding: of Python 2's strings; "bytes" keeps them as they are.

    Raises:
        DataError: it is damaged, or names something that isn't a plain value or an array.
    """
    try:
        return _plain(_Reader(io.BytesIO(data), encoding=encoding).load())
    except _ERRORS as error:
        raise DataError(
            f"{where} isn't read: it is damaged, or holds more than numbers ({error})."
        ) from error


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file, of which some may be arrays of lists.

    Raises:
        DataError: it is damaged, or holds something else than arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _array(archive.read(name), path)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no .npz file, or is damaged: {error}.") from error


def _array(data: bytes, path: Path) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0}
    _, _, dtype = headers.get(version, np.lib.format.read_array_header_2_0)(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    found = loads(data[file.tell() :], path)
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path} isn't read: it holds a {type(found).__name__}, not an array.")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.view(np.ndarray)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _text(name: Any) -> str:
    return name.decode("ascii") if isinstance(name, bytes) else str(name)
