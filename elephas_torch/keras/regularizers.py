"""Regularizers: penalties on weights or outputs that are added to the loss.

Follows https://keras.io/api/layers/regularizers. A regularizer is called with a float tensor and
gives a scalar tensor of the same dtype:

    >>> import torch
    >>> from elephas_torch.keras import regularizers
    >>> regularizers.L2(0.1)(torch.ones(5, 2))
    tensor(1.)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elephas_torch.keras.identifiers import both_spellings, resolve, written
from elephas_torch.keras.making import Maker
from elephas_torch.keras.serialization import custom_object_scope


class Regularizer(metaclass=Maker):
    """A penalty. Subclass it with `__call__` and `get_config`; a function does as well."""

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the penalty of `x`, a scalar tensor."""
        return x.new_zeros(())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        return cls(**config)


class L1(Regularizer):
    """`l1` times the sum of the absolute values.

    Args:
        l1: 0 or more. Default 0.01.

    Raises:
        ValueError: `l1` is no finite number, or is negative.
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("L1", "l1", l1, 0.01)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l1 * x.abs().sum()

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """`l2` times the sum of the squares.

    Args:
        l2: 0 or more. Default 0.01.

    Raises:
        ValueError: `l2` is no finite number, or is negative.
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("L2", "l2", l2, 0.01)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l2 * x.square().sum()

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class L1L2(Regularizer):
    """The sum of L1's and L2's penalties. The name "l1_l2" stands for 0.01 of each.

    Args:
        l1: 0 or more. Default 0.
        l2: 0 or more. Default 0.

    Raises:
        ValueError: a factor is no finite number, or is negative.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor("L1L2", "l1", l1, 0.0)
        self.l2 = _factor("L1L2", "l2", l2, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        penalty = x.new_zeros(())
        if self.l1:
            penalty = penalty + self.l1 * x.abs().sum()
        if self.l2:
            penalty = penalty + self.l2 * x.square().sum()
        return penalty

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Draws the rows of a matrix, or its columns, towards right angles to each other: `factor`
    times the mean absolute cosine between two of them.

    Args:
        factor: 0 or more. Default 0.01.
        mode: "rows" (default) or "columns".

    Raises:
        ValueError: an argument is out of its range; or called with what is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("OrthogonalRegularizer", "factor", factor, 0.01)
        if mode not in ("rows", "columns"):
            raise ValueError(
                "OrthogonalRegularizer: `mode` must be 'rows' or 'columns'. "
                f"Received: mode={mode!r}"
            )
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(
                "OrthogonalRegularizer takes matrices only. "
                f"Received: a tensor of shape {tuple(x.shape)}"
            )
        vectors = functional.normalize(x if self.mode == "rows" else x.T, dim=1)
        size = len(vectors)
        others = 1.0 - torch.eye(size, dtype=x.dtype, device=x.device)
        cosines = (vectors @ vectors.T) * others
        return self.factor * 0.5 * cosines.abs().sum() / (size * (size - 1.0) / 2.0)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer


def _factor(owner: str, argument: str, value: Any, default: float) -> float:
    if value is None:
        return default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise ValueError(
            f"{owner}: `{argument}` must be a number, 0 or more. Received: {argument}={value!r}"
        )
    return float(value)


_CLASSES: tuple[type[Regularizer], ...] = (L1, L2, L1L2, OrthogonalRegularizer)

_BY_NAME: dict[str, Any] = {
    **both_spellings((Regularizer, *_CLASSES)),
    "l1_l2": L1L2(0.01, 0.01),
    "WeightRegularizer": L1L2,
    "ActivityRegularizer": L1L2,
}


def get(identifier: Any) -> Any:
    """Returns a regularizer.

    Args:
        identifier: a regularizer or a function of your own (returned as they are), a class of
            regularizers, a name ("l2", "L1L2", a custom object's), what `serialize` gave, or
            None (returned).

    Raises:
        ValueError: no regularizer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    return resolve("regularizer", identifier, _BY_NAME, "l2")


def serialize(regularizer: Any) -> dict[str, Any] | str | None:
    """Returns the regularizer as JSON-able data: `get` takes it back.

    A plain function is given by its name: `get` finds it among the custom objects.
    """
    return written(regularizer, "keras.regularizers", (Regularizer, *_CLASSES))


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the regularizer that `serialize` described; see `get`.

    Args:
        config: what `serialize` gave, or Keras's.
        custom_objects: names in it -> classes or functions of your own.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)


def __getattr__(name: str) -> Any:
    from elephas_torch.keras.legacy import moved

    return moved(__name__)[1](name)
