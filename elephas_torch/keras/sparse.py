"""Rows that are mostly zeros, kept in CSR form until a batch of them is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import DataError


@dataclass(frozen=True, eq=False)
class Sparse:
    """Rows of numbers, of which only the entries that are no zeros are stored (CSR).

    Row `i` has `values[indptr[i]:indptr[i + 1]]` at the places `indices[...]` of the same range.
    A slice shares all memory with the whole: its `indptr` begins further on.

    Attributes:
        indptr: int64, shape (rows + 1,).
        indices: int32, shape (stored,): places in a row, each at most once a row.
        values: shape (stored,).
        width: numbers in a row.
        row: the shape that a row has when it is dense, of `width` numbers. Default (width,).

    Example:
        >>> rows = Sparse.of(scipy.sparse.random(1000, 784, 0.1, "csr"), "x")
        >>> rows[:32].dense().shape
        torch.Size([32, 784])
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    width: int
    row: tuple[int, ...] | None = None

    @classmethod
    def of(cls, matrix: Any, argument: str) -> Sparse:
        """A `scipy.sparse` matrix or array; not copied where it is canonical CSR.

        Raises:
            DataError: it hasn't two axes, or isn't of real numbers.
        """
        if len(matrix.shape) != 2:
            raise DataError(
                f"`{argument}` must have two axes where it is sparse: rows, and their numbers. "
                f"Received: {_said(matrix)}"
            )
        if matrix.dtype.kind not in "biuf":
            raise DataError(f"`{argument}` must be real numbers. Received: {_said(matrix)}")
        found = matrix.tocsr()
        if not found.has_canonical_format:
            found = found.copy()
            found.sum_duplicates()
        return cls(
            _tensor(found.indptr).to(torch.int64),
            _tensor(found.indices).to(torch.int32),
            _tensor(found.data),
            int(found.shape[1]),
        )

    @classmethod
    def from_dense(cls, rows: Tensor) -> Sparse:
        """Dense rows, shape (n, ...), without their zeros."""
        flat = rows.reshape(len(rows), -1)
        stored = flat != 0
        indptr = torch.zeros(len(flat) + 1, dtype=torch.int64)
        torch.cumsum(stored.sum(1), 0, out=indptr[1:])
        places = stored.nonzero()[:, 1].to(torch.int32)
        return cls(indptr, places, flat[stored], flat.shape[1], tuple(rows.shape[1:]))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the dense rows, the number of rows first."""
        return (len(self), *((self.width,) if self.row is None else self.row))

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def dim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def stored(self) -> Tensor:
        """The values of these rows alone: of a slice, a part of `values`."""
        return self.values[int(self.indptr[0]) : int(self.indptr[-1])]

    def rows_of(self, numbers: Tensor) -> Tensor:
        """The rows that `stored[numbers]` lie in."""
        return torch.searchsorted(self.indptr, self.indptr[0] + numbers, right=True) - 1

    def __getitem__(self, rows: slice) -> Sparse:
        """Some rows in order, without copying."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"Sparse rows have no steps. Received: {rows}")
        indptr = self.indptr[start : max(start, stop) + 1]
        return Sparse(indptr, self.indices, self.values, self.width, self.row)

    def index_select(self, dim: int, index: Tensor) -> Sparse:
        """The rows with these numbers, copied; `dim` is 0."""
        starts = self.indptr.index_select(0, index)
        counts = self.indptr.index_select(0, index + 1) - starts
        indptr = torch.zeros(len(index) + 1, dtype=torch.int64)
        torch.cumsum(counts, dim, out=indptr[1:])
        places = torch.repeat_interleave(starts - indptr[:-1], counts)
        places += torch.arange(len(places))
        return Sparse(
            indptr,
            self.indices.index_select(0, places),
            self.values.index_select(0, places),
            self.width,
            self.row,
        )

    def to(self, dtype: torch.dtype) -> Sparse:
        """The same rows with values of another dtype."""
        if dtype == self.dtype:
            return self
        return Sparse(self.indptr, self.indices, self.values.to(dtype), self.width, self.row)

    def reshape(self, shape: Sequence[int]) -> Sparse:
        """The same rows in another shape: (rows, ...)."""
        row = tuple(shape[1:])
        if shape[0] != len(self) or math.prod(row) != self.width:
            raise ValueError(f"Rows of shape {self.shape} can't have the shape {tuple(shape)}")
        return Sparse(self.indptr, self.indices, self.values, self.width, row)

    def dense(self) -> Tensor:
        """The rows as a tensor of their own, shape `shape`."""
        first, last = int(self.indptr[0]), int(self.indptr[-1])
        starts = torch.arange(len(self)) * self.width
        places = torch.repeat_interleave(starts, self.indptr.diff(), output_size=last - first)
        places += self.indices[first:last]
        flat = torch.zeros(len(self) * self.width, dtype=self.dtype)
        flat.scatter_(0, places, self.values[first:last])
        return flat.reshape(self.shape)


def _said(matrix: Any) -> str:
    return f"{type(matrix).__name__} of shape {matrix.shape} and dtype {matrix.dtype}"


def _tensor(array: Any) -> Tensor:
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "u" and dtype.itemsize > 1:
        dtype = "int64"
    elif dtype.kind == "f" and dtype.itemsize > 8:
        dtype = "float64"
    array = array.astype(dtype, order="C", copy=not array.flags.writeable)
    return torch.from_numpy(array)


def is_sparse(thing: Any) -> bool:
    """Whether it is `Sparse`, or what SciPy has for it."""
    return isinstance(thing, Sparse) or (hasattr(thing, "tocsr") and hasattr(thing, "shape"))


def dense(thing: Any) -> Any:
    """`Sparse` rows as a tensor; anything else as it is."""
    return thing.dense() if isinstance(thing, Sparse) else thing


def joined(parts: list[Any]) -> Tensor | Sparse:
    """Rows of several parts, some of them `Sparse`, one below the other.

    The list is emptied while the whole fills, so the peak is little over one copy.

    Returns:
        `Sparse`, if that takes less memory than dense rows do: 4 bytes more for each stored value.
    """
    shape, dtype = parts[0].shape, parts[0].dtype
    rows = sum(len(part) for part in parts)
    stored = sum(_stored(part) for part in parts)
    if stored * (dtype.itemsize + 4) < rows * math.prod(shape[1:]) * dtype.itemsize:
        return _sparse(parts, rows, stored)
    whole, first = torch.empty((rows, *shape[1:]), dtype=dtype), 0
    while parts:
        part = dense(parts.pop(0))
        whole[first : first + len(part)] = part
        first += len(part)
    return whole


def _stored(part: Tensor | Sparse) -> int:
    return len(part.stored) if isinstance(part, Sparse) else int(part.count_nonzero())


def _sparse(parts: list[Any], rows: int, stored: int) -> Sparse:
    indptr = torch.zeros(rows + 1, dtype=torch.int64)
    indices = torch.empty(stored, dtype=torch.int32)
    values = torch.empty(stored, dtype=parts[0].dtype)
    shape = parts[0].shape[1:]
    row, seen = 0, 0
    while parts:
        part = parts.pop(0)
        part = part if isinstance(part, Sparse) else Sparse.from_dense(part)
        first, last = int(part.indptr[0]), int(part.indptr[-1])
        after = seen + last - first
        torch.add(part.indptr[1:], seen - first, out=indptr[row + 1 : row + len(part) + 1])
        indices[seen:after], values[seen:after] = part.indices[first:last], part.stored
        row, seen = row + len(part), after
    return Sparse(indptr, indices, values, math.prod(shape), tuple(shape))
