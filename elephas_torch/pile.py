"""Blocks of rows that are joined to one as they come, in the memory of one copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.disk import nbytes
from elephas_torch.forms import Block
from elephas_torch.keras import sparse
from elephas_torch.keras.sparse import Sparse


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
    """Dense rows in one array that grows.

    Tensors in a list, each of which is freed on its own when they are joined, leave holes in the
    heap: those and the whole would take twice the memory.
    """

    def __init__(self, first: Tensor) -> None:
        self._dtype, self._shape = first.dtype, first.shape[1:]
        self._bytes, self._rows = np.empty(0, np.uint8), 0
        self.add(first)

    def add(self, rows: Tensor) -> None:
        self._rows += len(rows)
        if not rows.numel():
            return
        if rows.is_floating_point() and not self._dtype.is_floating_point:
            self._become(rows.dtype)
        new = rows.to(self._dtype).contiguous().reshape(-1).view(torch.uint8).numpy()
        size = len(self._bytes)
        # The system moves a large array's pages, and copies nothing. Nobody else has seen it yet.
        self._bytes.resize(size + len(new), refcheck=False)
        self._bytes[size:] = new

    def _become(self, dtype: torch.dtype) -> None:
        """Takes floats from now on: the first rows had whole numbers by chance."""
        if len(self._bytes):
            before = torch.from_numpy(self._bytes).view(self._dtype)
            self._bytes = before.to(dtype).view(torch.uint8).numpy().copy()
        self._dtype = dtype

    def tensor(self) -> Tensor:
        if not len(self._bytes):
            return torch.empty((self._rows, *self._shape), dtype=self._dtype)
        return torch.from_numpy(self._bytes).view(self._dtype).reshape(self._rows, *self._shape)
