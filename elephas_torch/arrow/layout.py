"""A partition of Arrow batches to blocks of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from elephas_torch.arrow.columns import decoded, nothing, same_shape, shaped, spread
from elephas_torch.arrow.field import Field, Odd, Rows
from elephas_torch.arrow.labels import check_flags, label, weight_of
from elephas_torch.arrow.nulls import mask, null_rows
from elephas_torch.errors import DataError
from elephas_torch.forms import Block, Form, Part
from elephas_torch.keras.models import Model
from elephas_torch.keras.sparse import Sparse, dense
from elephas_torch.keras.structure import Structure

if TYPE_CHECKING:  # importing it takes a while, and RDDs don't need it
    import pyarrow as pa

#: Each field with its columns of a batch.
Columns: TypeAlias = "list[tuple[Field, list[pa.Array]]]"

_ADVICE = (
    "Drop such rows or fill them in before; or give handleInvalid='skip' (`handle_invalid` of a "
    "SparkModel) to leave them out"
)


@dataclass(frozen=True)
class Layout:
    """How the columns of Arrow batches become a model's inputs, targets and weights.

    Attributes:
        x, y: a field for each input and output.
        weight: numbers, 0 or more.
        validation: bools.
        invalid: what becomes of rows with null. "error": a DataError, which counts them; "skip":
            they are left out, and so are rows with NaN in features or labels; "keep": null
            features are NaN.
    """

    x: tuple[Field, ...]
    y: tuple[Field, ...] = ()
    weight: Field | None = None
    validation: Field | None = None
    invalid: str = "error"

    @property
    def fields(self) -> tuple[Field, ...]:
        """All of them."""
        others = (one for one in (self.weight, self.validation) if one is not None)
        return (*self.x, *self.y, *others)

    @property
    def row_bytes(self) -> int:
        """About what a row takes of an Arrow batch, as far as its fields tell."""
        return sum(one.row_bytes for one in self.fields)

    def blocks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
        """The rows of a partition in blocks, a block a batch; none for a batch without rows.

        Float32 columns without null share the batch's memory.

        Raises:
            DataError: rows have null (all are counted first), differ in shape or don't fit their
                field; a label is no class; a weight is below 0. The message has the row's number
                in the partition.
        """
        reading = _Reading(self)
        for batch in batches:
            block = reading.block(batch)
            if block is not None:
                yield block
        reading.refuse_nulls()


@dataclass(frozen=True)
class Batches:
    """A task's rows are Arrow batches (see `data.Reader`)."""

    layout: Layout

    def arranged(self, model: Model, rows: Iterable[Any]) -> tuple[Form, Iterator[Block]]:
        """The form of a compiled model's rows, and the rows in blocks."""
        form = Form.of(model) or self._form(model)
        if self.layout.invalid == "keep":
            form = replace(form, x=replace(form.x, finite=False))
        return form, self.layout.blocks(rows)

    def _form(self, model: Model) -> Form:
        x, y = (_structure(len(fields)) for fields in (self.layout.x, self.layout.y))
        if model.built and len(model.input_structure) == len(x):
            x = model.input_structure
        return Form(
            Part("features", x, [None] * len(x)), Part("label", y, [None] * len(self.layout.y))
        )


def _structure(columns: int) -> Structure:
    return Structure([None] * columns if columns > 1 else None)


class _Reading:
    """One pass over a partition.

    Attributes:
        rows: that went by.
        nulls: for each field with null rows how many there are.
        first: the first of those rows.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.rows = layout, 0
        self.nulls: dict[Field, int] = {}
        self.first: int | None = None
        self.shapes: dict[Field, tuple[int, ...]] = {}

    def block(self, batch: pa.RecordBatch) -> Block | None:
        """None where no row is left, or where there was a null that is an error."""
        numbers = np.arange(self.rows, self.rows + batch.num_rows)
        self.rows += batch.num_rows
        found = _arrays(batch, self.layout)
        wrong = self._nulls(found, numbers)
        if self.nulls:
            return None
        if wrong is not None:
            found, numbers = _arrays(batch.filter(mask(~wrong)), self.layout), numbers[~wrong]
        if not len(numbers):
            return None
        columns = [self._column(arrays, field, numbers) for field, arrays in found]
        if self.layout.invalid == "skip":
            columns, numbers = _without_nan(columns, numbers, self._of_rows())
        if not len(numbers):
            return None
        return self._block(columns, numbers)

    def _of_rows(self) -> int:
        """How many of the columns are features and labels."""
        return len(self.layout.x) + len(self.layout.y)

    def _nulls(self, columns: Columns, numbers: np.ndarray) -> np.ndarray | None:
        """Marks of the rows to leave out; rows that are an error are counted."""
        layout, found = self.layout, None
        for field, arrays in columns:
            if layout.invalid == "keep" and field in layout.x:
                continue
            bad = null_rows(arrays, field)
            if bad is None:
                continue
            if layout.invalid != "skip":
                self._count(field, bad, numbers)
            found = bad if found is None else found | bad
        return found

    def _count(self, field: Field, bad: np.ndarray, numbers: np.ndarray) -> None:
        self.nulls[field] = self.nulls.get(field, 0) + int(bad.sum())
        first = int(numbers[bad.argmax()])
        self.first = first if self.first is None else min(self.first, first)

    def refuse_nulls(self) -> None:
        """Raises DataError where there were nulls that are an error."""
        if not self.nulls:
            return
        counts = {field.name: f"{count:,} in {field.name!r}" for field, count in self.nulls.items()}
        features = not self.nulls.keys().isdisjoint(self.layout.x)
        keep = ", or 'keep' to take null features as NaN" if features else ""
        raise DataError(
            f"of {self.rows:,} rows some have null: {', '.join(counts.values())}; the first is "
            f"row {self.first}. {_ADVICE}{keep}"
        )

    def _column(self, arrays: list[pa.Array], field: Field, numbers: np.ndarray) -> Rows:
        keep = self.layout.invalid == "keep" and field in self.layout.x
        bad = null_rows(arrays, field, leaves=False) if keep else None
        if bad is None:
            return self._rows(arrays, field, numbers, keep)
        if bad.all():
            return nothing(len(bad), self._known(field, numbers))
        arrays = [one.filter(mask(~bad)) for one in arrays]
        found = self._rows(arrays, field, numbers[~bad], keep)
        return spread(found, torch.from_numpy(~bad))

    def _rows(self, arrays: list[pa.Array], field: Field, numbers: np.ndarray, keep: bool) -> Rows:
        try:
            found = shaped(decoded(arrays, field, keep), field)
            shape = tuple(found.shape[1:])
            same_shape(shape, self.shapes.setdefault(field, shape), field)
        except Odd as odd:
            raise DataError(f"row {numbers[odd.row]} has {odd}") from None
        return found

    def _known(self, field: Field, numbers: np.ndarray) -> tuple[int, ...]:
        shape: Any = self.shapes.get(field, field.shape)
        if shape is None or None in shape:
            raise DataError(
                f"row {numbers[0]} has null in {field.name!r}, and no row before it tells how long "
                "a row of NaN is"
            )
        return tuple(shape)

    def _block(self, columns: list[Any], numbers: np.ndarray) -> Block:
        layout = self.layout
        inputs, both = len(layout.x), self._of_rows()
        weight = flags = None
        try:
            labels = [
                dense(label(*one)) for one in zip(columns[inputs:both], layout.y, strict=True)
            ]
            if layout.weight is not None:
                weight = weight_of(columns[both], layout.weight)
        except Odd as odd:
            raise DataError(f"row {numbers[odd.row]} has {odd}") from None
        if layout.validation is not None:
            flags = columns[-1]
            check_flags(flags, layout.validation)
        return Block(columns[:inputs], labels, weight, flags)


def _arrays(batch: pa.RecordBatch, layout: Layout) -> Columns:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return [(field, [columns[name] for name in field.columns]) for field in layout.fields]


def _without_nan(
    columns: list[Rows], numbers: np.ndarray, checked: int
) -> tuple[list[Rows], np.ndarray]:
    """Rows without NaN in the first `checked` columns."""
    bad = torch.zeros(len(numbers), dtype=torch.bool)
    for one in columns[:checked]:
        bad |= _nan(one)
    if not bool(bad.any()):
        return columns, numbers
    index = torch.nonzero(~bad)[:, 0]
    return [one.index_select(0, index) for one in columns], numbers[index.numpy()]


def _nan(rows: Rows) -> Tensor:
    if isinstance(rows, Sparse):
        found = torch.zeros(len(rows), dtype=torch.bool)
        found[rows.rows_of(torch.nonzero(rows.stored.isnan())[:, 0])] = True
        return found
    if not rows.is_floating_point() or not rows.sum().isnan():  # a sum is quick to tell
        return torch.zeros(len(rows), dtype=torch.bool)
    return rows.reshape(len(rows), -1).isnan().any(1)
