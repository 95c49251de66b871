"""Rows of a partition to contiguous tensors, once for a whole fit.

Rows come as (features, label) pairs, or as blocks of many rows at once (what `to_simple_rdd`
makes). Either way a partition ends as one tensor for each of the model's inputs and outputs.
Where a model has several, features and labels are tuples, lists or dicts with an entry for each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import batches, intake
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.keras.structure import Structure, has_rows

#: Rows that are stacked at once: enough to make stacking cheap, little beside a partition.
CHUNK = 1024

#: An array for each column: of features, of labels (None where an output has none).
Block = tuple[list[Any], list[Any]]
_ARTICLE = {"features": "", "label": "a "}


@dataclass(frozen=True)
class Part:
    """The features, or the labels, of rows.

    Attributes:
        what: "features" or "label", for messages.
        structure: their form; each leaf is a column.
        dtypes: of each column; None leaves it as it comes, but floats become float32.
        spread: a row's value to an entry for each column; None: as the structure says.
    """

    what: str
    structure: Structure
    dtypes: Sequence[torch.dtype | None]
    spread: Callable[[Any, str], list[Any]] | None = None

    def columns(self, value: Any) -> list[Any]:
        """A value for each column, of one row or of a block of them.

        Raises:
            DataError: it has no such form.
        """
        if self.structure.single and not isinstance(value, dict):
            return [value]
        if self.spread is not None:
            return self.spread(value, self.what)
        if len(self.structure) == 1 and not isinstance(value, dict):
            listed = isinstance(value, list | tuple) and len(value) == 1 and has_rows(value[0])
            return [value[0] if listed else value]
        found = self.structure.spread(value, self.what, "input")
        for number, one in enumerate(found):
            if one is None:
                label = self.structure.label(number)
                raise DataError(f"`{self.what}` has nothing for the model's input {label}")
        return found

    def place(self, number: int) -> str:
        """How messages call a column."""
        name = "" if self.structure.single else f" {self.structure.label(number)}"
        return self.what + name

    def stacked(self, values: Sequence[Any], first: int) -> list[Any]:
        """The columns of several rows, the first of which is row `first`."""
        if self.structure.single and not isinstance(values[0], dict):
            return [_stack(values, self.place(0), self.what, first)]
        rows = [_located(first + n, self.columns, value) for n, value in enumerate(values)]
        return [
            None if column[0] is None else _stack(column, self.place(n), self.what, first)
            for n, column in enumerate(zip(*rows, strict=True))
        ]


@dataclass(frozen=True)
class Form:
    """What the rows of a model have in them."""

    x: Part
    y: Part

    @classmethod
    def single(cls, input_dtype: torch.dtype | None, target_dtype: torch.dtype | None) -> Form:
        """The form of one tensor of features and one of labels."""
        one = Structure(None)
        return cls(Part("features", one, [input_dtype]), Part("label", one, [target_dtype]))

    @classmethod
    def of(cls, model: Model) -> Form | None:
        """The form that a compiled model takes; None where it takes rows as they come."""
        if model.steps_by_itself:
            return None
        features, goals = features_part(model), model._resolved()
        outputs = goals.outputs
        assert outputs is not None and features is not None
        numbers = range(len(outputs))
        return cls(
            features,
            Part("label", outputs, [goals.target_dtype(n) for n in numbers], goals.targets),
        )

    @classmethod
    def like(cls, features: Any, label: Any, one_input: bool = False) -> Form:
        """The form that a row has: dicts, and lists of arrays, are several columns.

        Args:
            one_input: a list of arrays is one input all the same.
        """
        x = Structure(None) if one_input else Structure(_hidden(features))
        y = Structure(_hidden(label))
        return cls(
            Part("features", x, [None] * len(x), _as_is(x)),
            Part("label", y, [None] * len(y), _as_is(y)),
        )

    def block(self, features: Any, labels: Any) -> Block:
        """A block of rows as a list of columns of each."""
        return self.x.columns(features), self.y.columns(labels)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(one) for key, one in value.items()}
    if isinstance(value, list | tuple) and value and all(map(_is_tree, value)):
        return type(value)(map(_hidden, value))
    return None


def _is_tree(value: Any) -> bool:
    several = isinstance(value, list | tuple) and bool(value) and all(map(_is_tree, value))
    return several or isinstance(value, dict) or has_rows(value)


def _as_is(structure: Structure) -> Callable[[Any, str], list[Any]]:
    def spread(value: Any, what: str) -> list[Any]:
        try:
            return structure.leaves(value)
        except (KeyError, IndexError, TypeError):
            raise DataError(
                f"`{what}` must have the form of the first row's. Received: {type(value).__name__}"
            ) from None

    return spread


def _located(row: int, function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except DataError as error:
        raise DataError(f"row {row}: {error}") from None


def features_part(model: Model) -> Part | None:
    """The form of a built model's features; None where it takes them as they come."""
    if not model.built:
        return None
    inputs = model.input_structure
    return Part("features", inputs, inputs.from_tree_order(model.input_dtypes))


def build(model: Model, row: Any) -> None:
    """Builds a model that doesn't know its input shape from a (features, label) row.

    Raises:
        DataError: it is no such row, or its features don't fit.
    """
    if not isinstance(row, tuple | list) or len(row) != 2:
        raise DataError(_no_pair([row], 0))
    features, label = row
    x = Form.like(features, label, model.one_input).x
    model.features(x.structure.pack(x.stacked([features], 0)))


def peeked(rows: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """The first row (None where there is none), and all of them."""
    rows = iter(rows)
    first = list(itertools.islice(rows, 1))
    return (first[0] if first else None), itertools.chain(first, rows)


def blocks_of(pairs: Iterable[Any], form: Form | None = None) -> Iterator[Block]:
    """Groups (features, label) rows into blocks of at most `CHUNK` rows.

    Args:
        form: of the rows. Default, that of the first one.

    Raises:
        DataError: a row is no pair, or rows differ in shape; the message has the row's number.
    """
    pairs = iter(pairs)
    first = 0
    while chunk := list(itertools.islice(pairs, CHUNK)):
        if not all(isinstance(row, tuple | list) and len(row) == 2 for row in chunk):
            raise DataError(_no_pair(chunk, first))
        form = form or Form.like(*chunk[0])
        features, labels = zip(*chunk, strict=True)
        yield form.x.stacked(features, first), form.y.stacked(labels, first)
        first += len(chunk)


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
    if not (isinstance(row, tuple) and len(row) == 2):
        return False
    if len(part.structure) == 1:
        return True
    # A tuple of two may be the inputs of a model of two: in a pair they are in one of their own.
    listed = isinstance(row[0], list) and any(map(_is_tree, row[0]))
    return listed or isinstance(row[0], tuple | dict)


def _stack(values: Iterable[Any], place: str, what: str, first: int) -> np.ndarray:
    arrays = [_array(value, place, first + number) for number, value in enumerate(values)]
    try:
        return np.stack(arrays)
    except ValueError:
        shape = arrays[0].shape
        odd = next(i for i, array in enumerate(arrays) if array.shape != shape)
        raise DataError(
            f"row {first + odd} has {_ARTICLE[what]}{place} of shape {arrays[odd].shape}, "
            f"the rows before it {shape}; all must have one shape"
        ) from None


def _array(value: Any, place: str, row: int) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"row {row} has {place} that make no one array: they are ragged") from None


def _no_pair(chunk: list[Any], first: int) -> str:
    number, row = next(
        (i, row)
        for i, row in enumerate(chunk)
        if not (isinstance(row, tuple | list) and len(row) == 2)
    )
    hint = ""
    if type(row).__name__ == "LabeledPoint":
        hint = "; use SparkMLlibModel, or lp_to_simple_rdd(rdd) to make pairs of LabeledPoints"
    text = " ".join(repr(row).split())
    text = text if len(text) <= 80 else text[:77] + "..."
    return (
        f"row {first + number} is no (features, label) pair, but of type {type(row).__name__}: "
        f"{text}{hint}"
    )


Columns = tuple[list[Any], list[Any]]


def to_tensors(blocks: Iterable[Block], form: Form) -> Columns | None:
    """Joins blocks to one contiguous tensor for each column.

    The blocks are let go while the tensors fill, so the peak is little over one copy.

    Returns:
        The tensors of features, and those of labels; or None where there are no rows.

    Raises:
        DataError: blocks differ in shape, or hold NaN or infinite values.
    """
    parts = (form.x, form.y)
    columns: list[list[list[Any]]] = [[[] for _ in part.dtypes] for part in parts]
    rows = 0
    for block in blocks:
        for part, several, values in zip(parts, columns, block, strict=True):
            for number, (column, value) in enumerate(zip(several, values, strict=True)):
                column.append(_checked(value, part, number, rows, column))
        rows += len(columns[0][0][-1])
    if not rows:
        return None
    features, labels = ([_join(column) for column in several] for several in columns)
    return features, labels


def arranged(
    model: Model, rows: Iterable[Any], paired: bool = True
) -> tuple[Form, Iterator[Block]]:
    """The form of a compiled model's rows, and the rows in blocks.

    Args:
        paired: rows are (features, label) pairs, not blocks of rows.
    """
    form = Form.of(model)
    if form is None:
        first, rows = peeked(rows)
        pair = isinstance(first, tuple | list) and len(first) == 2
        form = Form.like(*first) if pair else Form.single(None, None)
    if paired:
        return form, blocks_of(rows, form)
    return form, itertools.starmap(form.block, rows)


def samples_of(model: Model, rows: Iterable[Any], paired: bool = True) -> Samples | None:
    """All rows of a partition as samples for a compiled model; None where there are none.

    Raises:
        DataError: they don't fit together, or don't fit the model's inputs, losses or outputs.
    """
    form, blocks = arranged(model, rows, paired)
    columns = to_tensors(blocks, form)
    return None if columns is None else fitted(model, form, columns)


def batches_of(
    model: Model, rows: Iterable[Any], batch_size: int, paired: bool = True
) -> Iterator[Samples]:
    """The same in batches, of which few are there at once."""
    form, blocks = arranged(model, rows, paired)
    for block in blocks:
        columns = to_tensors([block], form)
        if columns is not None:
            yield from batches.batches(fitted(model, form, columns), batch_size)


def fitted(model: Model, form: Form, columns: Columns) -> Samples:
    """Columns as samples for a compiled model.

    Raises:
        DataError: they don't fit its inputs, its losses or its outputs.
    """
    names = ("features", "label", "weight")
    x, y = form.x.structure.pack(columns[0]), columns[1]
    try:
        if model.steps_by_itself:
            return intake.raw(model, x, form.y.structure.pack(y), names=names)
        return intake.samples(model, x, y[0] if len(y) == 1 else y, names=names)
    except ValueError as error:
        raise DataError(str(error)) from None


def _checked(values: Any, part: Part, number: int, first: int, before: list[Any]) -> Tensor | None:
    if values is None:
        return None
    dtype, place = part.dtypes[number], part.place(number)
    what = _ARTICLE[part.what] + place
    source = _tensor(values, dtype, place)
    if before and source.shape[1:] != before[0].shape[1:]:
        raise DataError(
            f"row {first} has {what} of shape {tuple(source.shape[1:])}, "
            f"the rows before it {tuple(before[0].shape[1:])}; all must have one shape"
        )
    _refuse(
        ~torch.isfinite(source), first, f"NaN or an infinite value in its {place}; drop such rows "
        "or fill them in before training"
    )  # fmt: skip
    if dtype is None:
        return source
    tensor = source.to(dtype)
    if not dtype.is_floating_point:
        _refuse(source != tensor, first, f"a {place} that is no whole number")
    return tensor


def _tensor(values: Any, dtype: torch.dtype | None, place: str) -> Tensor:
    if dtype is None:
        return batches.any_tensor(values, place)
    # Whole numbers by way of float64: it is told later which row has another.
    return batches.as_tensor(values, dtype if dtype.is_floating_point else torch.float64, place)


def _refuse(bad: Tensor, first: int, found: str) -> None:
    if bad.any():
        row = int(torch.nonzero(bad.reshape(len(bad), -1).any(1))[0])
        raise DataError(f"row {first + row} has {found}")


def _join(parts: list[Any]) -> Any:
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    rows = sum(len(part) for part in parts)
    whole = torch.empty((rows, *parts[0].shape[1:]), dtype=parts[0].dtype)
    first = 0
    for number, part in enumerate(parts):
        whole[first : first + len(part)] = part
        first += len(part)
        parts[number] = part.new_empty(0)
        del part
    return whole
