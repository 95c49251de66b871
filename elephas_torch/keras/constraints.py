"""Constraints: what weights are brought back to after each step, with Keras's names.

Follows https://keras.io/api/layers/constraints. A constraint is called with a float tensor of
any shape and gives a new one:

    >>> import torch
    >>> from elephas_torch.keras import constraints
    >>> constraints.NonNeg()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from elephas_torch import constraints as ground
from elephas_torch.keras.identifiers import both_spellings, resolve, written
from elephas_torch.keras.serialization import custom_object_scope

Axis = int | Sequence[int] | None


class Constraint:
    """Leaves weights as they are. Subclass it with `__call__` and `get_config`; a function does
    as well."""

    def __call__(self, w: Tensor) -> Tensor:
        """Returns what the weight becomes; `w` itself isn't changed."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        return cls(**config)


class _Ruled(Constraint):
    """A constraint whose rule lies in `elephas_torch.constraints` under the class's name."""

    def __call__(self, w: Tensor) -> Tensor:
        return ground.RULES[type(self).__name__](w, **self.get_config())


class MaxNorm(_Ruled):
    """Norms of at most `max_value`.

    Args:
        max_value: 0 or more. Default 2.
        axis: the axis, or axes, over which norms are taken: 0 (default) for the inputs of each
            unit of a Dense kernel, [0, 1, 2] for each filter of a Conv2D kernel; None for all.

    Raises:
        ValueError: `max_value` is no number, or is negative.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = _bound(self, "max_value", max_value)
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(_Ruled):
    """Nothing below 0."""


class UnitNorm(_Ruled):
    """Norms of 1.

    Args:
        axis: the axis, or axes, over which norms are taken; see `MaxNorm`. Default 0.
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(_Ruled):
    """Norms from `min_value` to `max_value`.

    Args:
        min_value: 0 or more. Default 0.
        max_value: 0 or more. Default 1.
        rate: how far a norm goes towards the interval at each step, from 0 to 1 (default): all
            the way.
        axis: the axis, or axes, over which norms are taken; see `MaxNorm`. Default 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ) -> None:
        self.min_value = _bound(self, "min_value", min_value)
        self.max_value = _bound(self, "max_value", max_value)
        self.rate = _bound(self, "rate", rate, 1.0)
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


def _bound(owner: Constraint, argument: str, value: Any, most: float = math.inf) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= most:
        limits = "0 or more" if most == math.inf else f"from 0 to {most:g}"
        raise ValueError(
            f"{type(owner).__name__}: `{argument}` must be a number, {limits}. "
            f"Received: {argument}={value!r}"
        )
    return value


max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm

_CLASSES: tuple[type[Constraint], ...] = (Constraint, MaxNorm, NonNeg, UnitNorm, MinMaxNorm)

_BY_NAME: dict[str, Any] = {
    **both_spellings(_CLASSES),
    "maxnorm": MaxNorm,
    "nonneg": NonNeg,
    "unitnorm": UnitNorm,
    "minmaxnorm": MinMaxNorm,
}


def get(identifier: Any) -> Any:
    """Returns a constraint.

    Args:
        identifier: a constraint or a function of your own (returned as they are), a class of
            constraints, a name ("max_norm", "MaxNorm", a custom object's), what `serialize`
            gave, or None (returned).

    Raises:
        ValueError: no constraint has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    return resolve("constraint", identifier, _BY_NAME, "max_norm")


def serialize(constraint: Any) -> dict[str, Any] | str | None:
    """Returns the constraint as JSON-able data: `get` takes it back.

    A plain function is given by its name: `get` finds it among the custom objects.
    """
    return written(constraint, "keras.constraints", _CLASSES)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the constraint that `serialize` described; see `get`.

    Args:
        config: what `serialize` gave, or Keras's.
        custom_objects: names in it -> classes or functions of your own.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)


def spec(constraint: Any, offset: int, shape: Sequence[int]) -> dict[str, Any] | None:
    """Returns what `elephas_torch.constraints.project` needs to apply it to a weight in a flat
    vector; None for a constraint of one's own, which only its own process can apply.

    Args:
        constraint: of this module, or anything that can be called.
        offset: of the weight's first element in the vector.
        shape: the weight's.
    """
    if type(constraint) not in _CLASSES or type(constraint) is Constraint:
        return None
    return ground.spec(type(constraint).__name__, constraint.get_config(), offset, shape)


def __getattr__(name: str) -> Any:
    from elephas_torch.keras.legacy import moved

    return moved(__name__)[1](name)
