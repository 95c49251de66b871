"""Columns of rows in files without a name, which are gone with the process, however it ends."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras.sparse import Sparse, dense

#: (first row, number of rows) of rows that lie one after the other.
Run = tuple[int, int]


def folder() -> str:
    """Where an executor's scratch files go: of Spark's local directories the one with most room."""
    for name in ("SPARK_LOCAL_DIRS", "LOCAL_DIRS"):
        if found := folders(name):
            return max(found, key=free)
    return tempfile.gettempdir()


def folders(name: str = "SPARK_LOCAL_DIRS") -> list[str]:
    """Folders that a variable lists. By default an executor's own ones, which end with it."""
    return [place for place in os.environ.get(name, "").split(",") if _is_usable(place)]


def free(place: str) -> int:
    """Bytes that a folder's disk has room for."""
    return shutil.disk_usage(place).free


def size(place: str) -> int:
    """Bytes of a folder's disk, in use or free."""
    return shutil.disk_usage(place).total


def _is_usable(place: str) -> bool:
    return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)


def column(place: str, like: Tensor | Sparse) -> DenseColumn | SparseColumn:
    """An empty column for rows like these.

    Args:
        place: the folder for its files.
    """
    return SparseColumn(place, like) if isinstance(like, Sparse) else DenseColumn(place, like)


def nbytes(rows: Any) -> int:
    """The bytes of a tensor or of `Sparse` rows."""
    if rows is None:
        return 0
    if isinstance(rows, Sparse):
        stored = len(rows.stored) * (rows.values.element_size() + rows.indices.element_size())
        return stored + rows.indptr.nbytes
    return int(rows.nbytes)


class DenseColumn:
    """Rows of one shape: one file of their bytes."""

    def __init__(self, place: str, like: Any) -> None:
        self._file = _File(place)
        self._dtype, self._shape = like.dtype, tuple(like.shape[1:])
        self._row = like[:1].nbytes

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._file.size

    def write(self, rows: Tensor | Sparse) -> None:
        """Appends rows.

        Raises:
            WorkerError: the disk is full.
            DataError: they are floats, and the rows before them whole numbers.
        """
        found: Tensor = dense(rows)
        if not torch.can_cast(found.dtype, self._dtype):
            raise DataError(
                f"the first rows have {self._dtype} and later ones {found.dtype}, which would be "
                "cut: give numbers of one type, such as float32"
            )
        self._file.write(found.to(self._dtype))

    def buffer(self, rows: int) -> Tensor:
        """What `read` can read so many rows into."""
        return torch.empty((rows, *self._shape), dtype=self._dtype)

    def read(self, runs: Sequence[Run], buffer: Tensor | None = None) -> Tensor:
        """Rows in the order of the runs; a part of the buffer where one is given."""
        rows = sum(count for _, count in runs)
        found = self.buffer(rows) if buffer is None else buffer[:rows]
        at = 0
        for first, count in runs:
            self._file.read(found[at : at + count], first * self._row)
            at += count
        return found

    def expect(self, runs: Sequence[Run]) -> None:
        """Lets the system fetch rows that are read soon."""
        for first, count in runs:
            self._file.expect(first * self._row, count * self._row)

    def close(self) -> None:
        """Gives the disk's room back."""
        self._file.close()


class SparseColumn:
    """CSR rows: a file of where each row ends, one of places in a row, one of values."""

    def __init__(self, place: str, like: Sparse) -> None:
        self._ends = DenseColumn(place, like.indptr)
        self._parts = DenseColumn(place, like.indices), DenseColumn(place, like.values)
        self._width, self._row = like.width, like.row
        self._end = 0
        self._ends.write(torch.zeros(1, dtype=torch.int64))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(part.size for part in (self._ends, *self._parts))

    def write(self, rows: Tensor | Sparse) -> None:
        """Appends rows.

        Raises:
            WorkerError: the disk is full.
        """
        rows = rows if isinstance(rows, Sparse) else Sparse.from_dense(rows)
        first, last = int(rows.indptr[0]), int(rows.indptr[-1])
        self._ends.write(rows.indptr[1:] + (self._end - first))
        for part, values in zip(self._parts, (rows.indices, rows.values), strict=True):
            part.write(values[first:last])
        self._end += last - first

    def buffer(self, rows: int) -> None:
        """None: how much room so many rows need is known when they are read."""

    def read(self, runs: Sequence[Run], buffer: None = None) -> Sparse:
        """Rows in the order of the runs."""
        ends = [self._ends.read([(first, count + 1)]) for first, count in runs]
        spans = [(int(some[0]), int(some[-1] - some[0])) for some in ends]
        counts = torch.cat([some.diff() for some in ends])
        indptr = torch.zeros(len(counts) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=indptr[1:])
        indices, values = (part.read(spans) for part in self._parts)
        return Sparse(indptr, indices, values, self._width, self._row)

    def expect(self, runs: Sequence[Run]) -> None:
        """Does nothing: where the rows lie would have to be read first."""

    def close(self) -> None:
        """Gives the disk's room back."""
        for part in (self._ends, *self._parts):
            part.close()


class _File:
    def __init__(self, place: str) -> None:
        try:
            self._file = tempfile.TemporaryFile(dir=place, prefix="elephas-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _said(place, error) from None
        self._place, self.size = place, 0

    def write(self, tensor: Tensor) -> None:
        view = as_bytes(tensor.contiguous())
        while len(view):
            try:
                done = self._file.write(view) or 0
            except OSError as error:
                raise _said(self._place, error) from None
            self.size += done
            view = view[done:]

    def read(self, into: Tensor, offset: int) -> None:
        view = as_bytes(into)
        self._file.seek(offset)
        while len(view):
            done = self._file.readinto(view)
            if not done:
                raise WorkerError(f"A file of training data in {self._place} was cut off.")
            view = view[done:]

    def expect(self, offset: int, count: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), offset, count, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        self._file.close()


def as_bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    if not tensor.numel():
        return memoryview(b"")
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


def _said(place: str, error: OSError) -> WorkerError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return WorkerError(
        f"Rows that don't fit in a worker's memory can't be written to {place}: "
        f"{'it is full' if full else error.strerror}. Set spark.local.dir (or what the cluster "
        "manager has for it) to a folder with room, give the workers more memory (`memory=`), or "
        "spread the rows over more executors."
    )
