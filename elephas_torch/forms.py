"""What the rows of a model have in them: a column for each of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from elephas_torch.errors import DataError
from elephas_torch.keras.models import Model
from elephas_torch.keras.structure import Structure, has_rows

#: What messages put before a column's name.
ARTICLE = {"features": "", "label": "a "}


class Block(NamedTuple):
    """Many rows: an array or tensor for each column.

    Attributes:
        features: one for each of the model's inputs.
        labels: one for each output; None where an output has none.
        weight: of each row in the loss; None: 1.
        validation: bools, which rows are there to validate with; None: nobody said so.
    """

    features: list[Any]
    labels: list[Any]
    weight: Any = None
    validation: Any = None


@dataclass(frozen=True)
class Part:
    """The features, or the labels, of rows.

    Attributes:
        what: "features" or "label", for messages.
        structure: their form; each leaf is a column.
        dtypes: of each column; None leaves it as it comes, but floats become float32.
        spread: a row's value to an entry for each column; None: as the structure says.
        finite: whether NaN and infinite values are refused.
    """

    what: str
    structure: Structure
    dtypes: Sequence[torch.dtype | None]
    spread: Callable[[Any, str], list[Any]] | None = None
    finite: bool = True

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
            return [stack(values, self.place(0), self.what, first)]
        rows = [_located(first + n, self.columns, value) for n, value in enumerate(values)]
        return [
            None if column[0] is None else stack(column, self.place(n), self.what, first)
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
    def columns(cls, features: int, labels: int) -> Form:
        """The form of so many tensors of each, as they come."""
        x, y = (Structure(None if n == 1 else [None] * n) for n in (features, labels))
        return cls(Part("features", x, [None] * len(x)), Part("label", y, [None] * len(y)))

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

    def block(self, features: Any, labels: Any, weight: Any = None) -> Block:
        """A block of rows as a list of columns of each."""
        return Block(self.x.columns(features), self.y.columns(labels), weight)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(one) for key, one in value.items()}
    if isinstance(value, list | tuple) and value and all(map(is_tree, value)):
        return type(value)(map(_hidden, value))
    return None


def is_tree(value: Any) -> bool:
    """Whether a value is an array, or a dict, list or tuple of such."""
    several = isinstance(value, list | tuple) and bool(value) and all(map(is_tree, value))
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


def stack(values: Sequence[Any], place: str, what: str, first: int) -> np.ndarray:
    """One array of several rows, the first of which is row `first`; raises DataError."""
    if {*map(type, values)} == {np.ndarray} and values[0].ndim:
        shapes = {value.shape for value in values}
        if len(shapes) == 1:
            return np.concatenate(values).reshape(len(values), *values[0].shape)  # beats np.stack
    arrays = [_array(value, place, first + number) for number, value in enumerate(values)]
    try:
        return np.stack(arrays)
    except ValueError:
        shape = arrays[0].shape
        odd = next(i for i, array in enumerate(arrays) if array.shape != shape)
        article = ARTICLE.get(what, "a ")
        raise DataError(
            f"row {first + odd} has {article}{place} of shape {arrays[odd].shape}, "
            f"the rows before it {shape}; all must have one shape"
        ) from None


def _array(value: Any, place: str, row: int) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"row {row} has {place} that make no one array: they are ragged") from None
