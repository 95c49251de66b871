"""MNIST's own file format: a header with the shape, then unsigned bytes; often gzipped.

See http://yann.lecun.com/exdb/mnist, at the end.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from elephas_torch.errors import DataError

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = b"\x00\x00\x08"


def read(path: Path) -> np.ndarray:
    """Returns the array in an IDX file of unsigned bytes, gzipped or not.

    Raises:
        DataError: it isn't one, or is cut off.
    """
    with path.open("rb") as plain:
        zipped = plain.read(2) == _GZIP
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            magic = file.read(4)
            if magic[:3] != _UNSIGNED_BYTES or len(magic) != 4:
                raise DataError(f"{path} is no IDX file of unsigned bytes: it begins {magic!r}.")
            sizes = file.read(4 * magic[3])
            shape = tuple(int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
            count = math.prod(shape)
            data = file.read(count + 1)
    except (EOFError, OverflowError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged: {error}.") from error
    if len(shape) != magic[3] or len(data) != count:
        raise DataError(
            f"{path} is cut off or damaged: {len(data)} bytes of data for the shape {shape}."
        )
    return np.frombuffer(data, np.uint8).reshape(shape).copy()
