"""Arrow's record batches to blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from elephas_torch.forms import Block, Form
from elephas_torch.keras.models import Model


@dataclass(frozen=True)
class Field:
    """A tensor's worth of Arrow columns.

    Attributes:
        name: of the user's columns, for messages.
        columns: their names in the record batches; several numbers become one row vector.
        kind: "vector" (the struct of Spark's vectors), "array" (lists, nested or not), "number",
            or "binary" (bytes of uint8).
        shape: of a row, as far as the model says; flat rows are reshaped to it.
        classes: class numbers become one-hot of so many.
        one_hot: one-hot rows become class numbers.
        sources: the user's columns themselves, one for each of `columns`.
    """

    name: str
    columns: tuple[str, ...]
    kind: str
    shape: tuple[int | None, ...] | None = None
    classes: int | None = None
    one_hot: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Which columns of a record batch are what.

    Attributes:
        invalid: what to do with rows that have null or NaN: "error", "skip" or "keep".
    """

    x: tuple[Field, ...]
    y: tuple[Field, ...] = ()
    weight: Field | None = None
    validation: Field | None = None
    invalid: str = "error"

    @property
    def fields(self) -> list[Field]:
        """All of them."""
        return [*self.x, *self.y, *(one for one in (self.weight, self.validation) if one)]

    def blocks(self, batches: Iterable[Any]) -> Iterator[Block]:
        """Record batches as blocks of rows."""
        raise NotImplementedError


@dataclass(frozen=True)
class Batches:
    """A `data.Reader` of record batches."""

    layout: Layout

    def arranged(self, model: Model, rows: Iterable[Any]) -> tuple[Form, Iterator[Block]]:
        """The form of a compiled model's rows, and the rows in blocks."""
        form = Form.of(model)
        if form is None:
            form = Form.columns(len(self.layout.x), len(self.layout.y))
        if self.layout.invalid == "keep":
            form = replace(form, x=replace(form.x, finite=False))
        return form, self.layout.blocks(rows)
