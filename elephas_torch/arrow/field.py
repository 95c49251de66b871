"""Which columns of Arrow batches become a tensor, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras.sparse import Sparse

#: Rows of one column.
Rows: TypeAlias = Tensor | Sparse


@dataclass(frozen=True)
class Field:
    """What one of a model's inputs or outputs is made of.

    Attributes:
        name: of the user's column, for messages; of several "a, b, c".
        columns: their names in the Arrow batches. Several make one row of numbers.
        kind: "number" (of any type, bools too); "vector" (the struct of Spark's ml and mllib
            vectors, as `unwrap_udt` gives it); "array" (lists, of any depth, of numbers); "binary".
        shape: that a row shall have; flat rows are brought into it. Its None fits any size.
        classes: a label's class numbers become one-hot rows of so many.
        one_hot: a label's one-hot rows become class numbers.
        dtype: of a binary column's numbers, default "uint8"; of others: doubles become float32
            unless it is whole numbers or float64, which not all fit into that.
        sources: the user's columns, one for each of `columns`.
    """

    name: str
    columns: tuple[str, ...]
    kind: str
    shape: tuple[int | None, ...] | None = None
    classes: int | None = None
    one_hot: bool = False
    dtype: Any = None
    sources: tuple[str, ...] = ()

    @property
    def floats(self) -> torch.dtype:
        """What the column's floats become."""
        if self.kind == "binary" or self.dtype is None:
            return torch.float32
        dtype = np.dtype(self.dtype)
        exact = dtype.kind in "iu" or dtype.itemsize > 4
        return torch.float64 if exact else torch.float32

    @property
    def row_bytes(self) -> int:
        """About what a row takes of an Arrow batch: dense, of doubles; of unknown axes nothing."""
        numbers = math.prod(one or 1 for one in self.shape or ())
        each = np.dtype(self.dtype or np.uint8).itemsize if self.kind == "binary" else 8
        return max(numbers, len(self.columns)) * each


class Odd(Exception):
    """A row that doesn't fit: its number among those at hand, and what it has."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row = int(row)
