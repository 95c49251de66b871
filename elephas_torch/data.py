"""Rows of a partition to contiguous tensors, once for a whole fit.

Rows come as (features, label) pairs, maybe with a weight, or as blocks of many rows at once (what
`to_simple_rdd` makes); a `Reader` knows which. Either way a partition ends as one tensor for each
of the model's inputs and outputs. Where a model has several, features and labels are tuples,
lists or dicts with an entry for each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.forms import ARTICLE, Block, Form, Part, is_tree, stack
from elephas_torch.keras import batches, intake
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.keras.sparse import Sparse

#: Rows that are stacked at once: enough to make stacking cheap, little beside a partition.
CHUNK = 512


class Reader(Protocol):
    """How a task's rows are read."""

    def arranged(self, model: Model, rows: Iterable[Any]) -> tuple[Form, Iterator[Block]]:
        """The form of a compiled model's rows, and the rows in blocks."""
        ...


class Pairs:
    """Rows are (features, label) pairs, or (features, label, weight)."""

    def arranged(self, model: Model, rows: Iterable[Any]) -> tuple[Form, Iterator[Block]]:
        """The form of a compiled model's rows, and the rows in blocks."""
        form, rows = _form(model, rows)
        return form, blocks_of(rows, form)


class Blocks:
    """Each is (features, labels) of many rows, or (features, labels, weights)."""

    def arranged(self, model: Model, rows: Iterable[Any]) -> tuple[Form, Iterator[Block]]:
        """The form of a compiled model's rows, and the rows in blocks."""
        form, rows = _form(model, rows)
        return form, itertools.starmap(form.block, rows)


def _form(model: Model, rows: Iterable[Any]) -> tuple[Form, Iterable[Any]]:
    form = Form.of(model)
    if form is None:
        first, rows = peeked(rows)
        form = Form.like(*first[:2]) if _is_sample(first) else Form.single(None, None)
    return form, rows


def _is_sample(row: Any) -> bool:
    return isinstance(row, tuple | list) and len(row) in (2, 3)


def build(model: Model, row: Any) -> None:
    """Builds a model that doesn't know its input shape from a (features, label) row.

    Raises:
        DataError: it is no such row, or its features don't fit.
    """
    if not _is_sample(row):
        raise DataError(_no_pair([row], 0))
    features, label = row[:2]
    x = Form.like(features, label, model.one_input).x
    model.features(x.structure.pack(x.stacked([features], 0)))


def peeked(rows: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """The first row (None where there is none), and all of them."""
    rows = iter(rows)
    first = list(itertools.islice(rows, 1))
    return (first[0] if first else None), itertools.chain(first, rows)


def blocks_of(rows: Iterable[Any], form: Form | None = None) -> Iterator[Block]:
    """Groups (features, label) or (features, label, weight) rows into blocks of at most `CHUNK`.

    Args:
        form: of the rows. Default, that of the first one.

    Raises:
        DataError: a row is no pair, or rows differ in shape; the message has the row's number.
    """
    rows = iter(rows)
    first, length = 0, None
    while chunk := list(itertools.islice(rows, CHUNK)):
        length = length or (len(chunk[0]) if _is_sample(chunk[0]) else 2)
        if not _are_samples(chunk, length):
            raise DataError(_no_pair(chunk, first, length))
        form = form or Form.like(*chunk[0][:2])
        features, labels, *weights = zip(*chunk, strict=True)
        weight = stack(weights[0], "weight", "weight", first) if weights else None
        yield Block(form.x.stacked(features, first), form.y.stacked(labels, first), weight)
        first += len(chunk)


def _are_samples(chunk: list[Any], length: int) -> bool:
    if {*map(type, chunk)} <= {tuple, list}:  # as a rule; and quick to tell
        return {*map(len, chunk)} == {length}
    return all(isinstance(row, tuple | list) and len(row) == length for row in chunk)


def features_of(rows: Iterable[Any], part: Part | None = None) -> Iterator[Any]:
    """Groups rows of features into blocks; of (features, label) tuples the features are taken.

    Args:
        part: the features' form; by default each row is one array.

    Yields:
        Arrays, in the features' structure.
    """
    part = part or Form.single(None, None).x
    rows = iter(rows)
    first = 0
    while chunk := list(itertools.islice(rows, CHUNK)):
        only = [row[0] if _is_pair(row, part) else row for row in chunk]
        yield part.structure.pack(part.stacked(only, first))
        first += len(chunk)


def _is_pair(row: Any, part: Part) -> bool:
    if not (isinstance(row, tuple) and _is_sample(row)):
        return False
    if len(part.structure) == 1:
        # Three numbers are a row of features; a weight is a number behind what is none.
        return len(row) == 2 or (np.ndim(row[2]) == 0 and not np.isscalar(row[0]))
    # A tuple of two may be the inputs of a model of two: in a pair they are in one of their own.
    listed = isinstance(row[0], list) and any(map(is_tree, row[0]))
    return listed or isinstance(row[0], tuple | dict)


def _no_pair(chunk: list[Any], first: int, length: int = 2) -> str:
    number, row = next(
        (i, row)
        for i, row in enumerate(chunk)
        if not (isinstance(row, tuple | list) and len(row) == length)
    )
    hint = ""
    if type(row).__name__ == "LabeledPoint":
        hint = "; use SparkMLlibModel, or lp_to_simple_rdd(rdd) to make pairs of LabeledPoints"
    text = " ".join(repr(row).split())
    text = text if len(text) <= 80 else text[:77] + "..."
    wanted = "(features, label) pair" if length == 2 else "(features, label, weight) triple"
    return f"row {first + number} is no {wanted}, but of type {type(row).__name__}: {text}{hint}"


def checked(blocks: Iterable[Block], form: Form) -> Iterator[Block]:
    """The same blocks as tensors that fit the form; each row is looked at.

    Raises:
        DataError: blocks differ in shape, or hold NaN or infinite values.
    """
    before: Block | None = None
    rows = 0
    for block in blocks:
        features, labels = (
            [
                _checked(value, part, number, rows, before and before[which][number])
                for number, value in enumerate(block[which])
            ]
            for which, part in enumerate((form.x, form.y))
        )
        weight = None if block.weight is None else _weight(block.weight, rows)
        flags = None if block.validation is None else torch.as_tensor(block.validation)
        found = Block(features, labels, weight, flags)
        yield found
        rows += len(features[0])
        before = before or _first_row(found)


def _first_row(block: Block) -> Block:
    """Enough to know the shape of the rows, without holding on to them."""
    shapes = ([None if one is None else one[:1] for one in column] for column in block[:2])
    return Block(*shapes)


def batches_of(
    model: Model, reader: Reader, rows: Iterable[Any], batch_size: int
) -> Iterator[Samples]:
    """Rows as batches for a compiled model, of which few are there at once."""
    form, blocks = reader.arranged(model, rows)
    for block in checked(blocks, form):
        if len(block.features[0]):
            yield from batches.batches(fitted(model, form, block), batch_size)


def fitted(model: Model, form: Form, block: Block) -> Samples:
    """A block of tensors as samples for a compiled model.

    Raises:
        DataError: they don't fit its inputs, its losses or its outputs.
    """
    names = ("features", "label", "weight")
    x, y = form.x.structure.pack(block.features), block.labels
    try:
        if model.steps_by_itself:
            y = form.y.structure.pack(y)
            return intake.raw(model, x, y, block.weight, names=names)
        return intake.samples(model, x, y[0] if len(y) == 1 else y, block.weight, names=names)
    except ValueError as error:
        raise DataError(str(error)) from None


def _checked(values: Any, part: Part, number: int, first: int, before: Any) -> Any:
    if values is None:
        return None
    dtype, place = part.dtypes[number], part.place(number)
    what = ARTICLE[part.what] + place
    source = _rows(values, dtype, part.what, place)
    if before is not None and source.shape[1:] != before.shape[1:]:
        raise DataError(
            f"row {first} has {what} of shape {tuple(source.shape[1:])}, "
            f"the rows before it {tuple(before.shape[1:])}; all must have one shape"
        )
    # A sum is quick to tell that all is well.
    if part.finite and not torch.isfinite(_stored(source).sum()):
        _refuse(
            source, ~torch.isfinite(_stored(source)), first, f"NaN or an infinite value in its "
            f"{place}; drop such rows or fill them in before training"
        )  # fmt: skip
    if dtype is None:
        return source
    rows = source.to(dtype)
    if not dtype.is_floating_point:
        odd = _stored(source) != _stored(rows)
        _refuse(source, odd, first, f"a {place} that is no whole number")
    return rows


def _weight(values: Any, first: int) -> Tensor:
    weight = batches.as_tensor(values, torch.float32, "weight")
    _refuse(weight, ~torch.isfinite(weight), first, "NaN or an infinite value in its weight")
    _refuse(weight, weight < 0, first, "a weight below 0")
    return weight


def _rows(values: Any, dtype: torch.dtype | None, what: str, place: str) -> Any:
    """A tensor; of sparse features `Sparse`."""
    if dtype is not None and not dtype.is_floating_point:
        dtype = torch.float64  # whole numbers by way of it: it is told later which row has another
    if what == "features":
        return batches.as_rows(values, dtype, place)
    if dtype is None:
        return batches.any_tensor(values, place)
    return batches.as_tensor(values, dtype, place)


def _stored(rows: Tensor | Sparse) -> Tensor:
    return rows.stored if isinstance(rows, Sparse) else rows


def _refuse(rows: Tensor | Sparse, bad: Tensor, first: int, found: str) -> None:
    """Raises DataError where one of the stored values of the rows is bad."""
    if bad.any():
        number = torch.nonzero(bad.reshape(len(bad), -1).any(1))[0]
        row = rows.rows_of(number) if isinstance(rows, Sparse) else number
        raise DataError(f"row {first + int(row)} has {found}")
