"""Blocks of rows that are joined to one as they come, in the memory of one copy."""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.disk import nbytes
from elephas_torch.forms import Block
from elephas_torch.keras import sparse
from elephas_torch.keras.sparse import Sparse

#: Bytes from which on large pages are worth what the last one may waste.
_LARGE = 8 * 2**20


class Pile:
    """Blocks of tensors of one form, one below the other.

    Attributes:
        rows: how many there are.
        nbytes: what they take of the memory.
    """

    def __init__(self) -> None:
        self.rows = self.nbytes = 0
        self._columns: list[_Column | None] = []
        self._inputs = 0

    def add(self, block: Block) -> None:
        """Puts rows below the others."""
        if not len(block.features[0]):
            return
        parts = [*block.features, *block.labels, block.weight, block.validation]
        if not self.rows:
            self._inputs = len(block.features)
            self._columns = [None if part is None else _Column() for part in parts]
        for column, part in zip(self._columns, parts, strict=True):
            if column is not None:
                column.add(part)
                self.nbytes += nbytes(part)
        self.rows += len(block.features[0])

    def taken(self) -> Block | None:
        """All rows as one block, None where there are none; the pile is empty then."""
        if not self.rows:
            return None
        whole = [None if column is None else column.taken() for column in self._columns]
        inputs, self._columns = self._inputs, []
        self.rows = self.nbytes = 0
        return Block(whole[:inputs], whole[inputs:-2], *whole[-2:])


class _Column:
    def __init__(self) -> None:
        self._parts: list[Any] = []

    def add(self, part: Tensor | Sparse) -> None:
        parts = self._parts
        if not parts or isinstance(part, Sparse) or isinstance(parts[-1], Sparse):
            parts.append(part)
            return
        if not isinstance(parts[-1], _Grown):
            parts[-1] = _Grown(parts[-1])
        parts[-1].add(part)

    def taken(self) -> Tensor | Sparse:
        parts = [one.tensor() if isinstance(one, _Grown) else one for one in self._parts]
        self._parts.clear()
        return parts[0] if len(parts) == 1 else sparse.joined(parts)


class _Grown:
    """Dense rows in one memory that grows.

    Tensors in a list, each of which is freed on its own when they are joined, leave holes in the
    heap: those and the whole would take twice the memory.
    """

    def __init__(self, first: Tensor) -> None:
        self._dtype, self._shape = first.dtype, first.shape[1:]
        self._bytes, self._rows = _Bytes(), 0
        self.add(first)

    def add(self, rows: Tensor) -> None:
        self._rows += len(rows)
        if not rows.numel():
            return
        if rows.is_floating_point() and not self._dtype.is_floating_point:
            self._become(rows.dtype)
        self._bytes.add(rows.to(self._dtype))

    def _become(self, dtype: torch.dtype) -> None:
        """Takes floats from now on: the first rows had whole numbers by chance."""
        before, self._bytes = self._bytes, _Bytes()
        if before.size:
            self._bytes.add(before.tensor(self._dtype).to(dtype))
        self._dtype = dtype

    def tensor(self) -> Tensor:
        if not self._bytes.size:
            return torch.empty((self._rows, *self._shape), dtype=self._dtype)
        return self._bytes.tensor(self._dtype).reshape(self._rows, *self._shape)


class _Bytes:
    """Bytes that grow without being copied: pages of the system's, more than are touched.

    Attributes:
        size: how many there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._pages = _pages(mmap.PAGESIZE)

    def add(self, rows: Tensor) -> None:
        new = rows.contiguous().reshape(-1).view(torch.uint8).numpy().data
        end = self.size + len(new)
        if end > len(self._pages):
            self._grow(max(end, 2 * len(self._pages)))
        self._pages[self.size : end] = new
        self.size = end

    def _grow(self, size: int) -> None:
        if sys.platform == "linux":
            self._pages.resize(size)  # moves them
        else:
            before, self._pages = self._pages, _pages(size)
            self._pages[: self.size] = memoryview(before)[: self.size]
        if size >= _LARGE:
            _in_large_pages(self._pages)

    def tensor(self, dtype: torch.dtype) -> Tensor:
        return torch.frombuffer(self._pages, dtype=dtype, count=self.size // dtype.itemsize)


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor in memory such as a pile has: where it begins, sums may depend on."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return torch.empty(*shape, dtype=dtype)
    pages = _pages(size)
    if size >= _LARGE:
        _in_large_pages(pages)
    return torch.frombuffer(pages, dtype=dtype).reshape(*shape)


def _pages(size: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _in_large_pages(pages: mmap.mmap) -> None:
    """A system that gives memory by 2 MiB gives it at a third of the time."""
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
