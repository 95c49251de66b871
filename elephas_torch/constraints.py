"""Constraints: what a weight is brought back to after each step.

A rule takes a float tensor of any shape and returns a new one. `project` applies rules to the
weights within a flat vector, named in plain data, so that a process that knows the vector alone
(the parameter server) can apply them as well:

    >>> import torch
    >>> from elephas_torch import constraints
    >>> vector = torch.tensor([1.0, -1.0, 3.0, 4.0])
    >>> spec = {"kind": "UnitNorm", "config": {"axis": 0}, "offset": 2, "shape": [2, 1]}
    >>> constraints.project(vector, [spec])
    >>> vector
    tensor([ 1.0000, -1.0000,  0.6000,  0.8000])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown

Axis = int | Sequence[int] | None

# Keras's backend.epsilon().
_EPSILON = 1e-7


# w clip(|w|, 0, max) / |w|
def max_norm(w: Tensor, max_value: float = 2, axis: Axis = 0) -> Tensor:
    norms = _norms(w, axis)
    return w * (norms.clamp(0, max_value) / (norms + _EPSILON))


# max(w, 0)
def non_neg(w: Tensor) -> Tensor:
    return w.clamp(min=0)


# w / |w|
def unit_norm(w: Tensor, axis: Axis = 0) -> Tensor:
    return w / (_norms(w, axis) + _EPSILON)


# w (rate clip(|w|, min, max) + (1 - rate) |w|) / |w|
def min_max_norm(
    w: Tensor,
    min_value: float = 0.0,
    max_value: float = 1.0,
    rate: float = 1.0,
    axis: Axis = 0,
) -> Tensor:
    norms = _norms(w, axis)
    desired = norms.clamp(min_value, max_value).mul_(rate).add_(norms, alpha=1 - rate)
    return w * desired.div_(norms + _EPSILON)


def _norms(w: Tensor, axis: Axis) -> Tensor:
    if isinstance(axis, Sequence):
        axis = tuple(axis)
    return torch.linalg.vector_norm(w, dim=axis, keepdim=True)


#: The rules by the names of Keras's classes.
RULES: dict[str, Callable[..., Tensor]] = {
    "MaxNorm": max_norm,
    "NonNeg": non_neg,
    "UnitNorm": unit_norm,
    "MinMaxNorm": min_max_norm,
}


def rule(kind: str) -> Callable[..., Tensor]:
    """Returns the rule of this name; raises ValueError, with the nearest name, for others."""
    if kind not in RULES:
        raise unknown("constraint", kind, RULES)
    return RULES[kind]


@torch.no_grad()
def project(vector: Tensor, specs: Iterable[Mapping[str, Any]]) -> None:
    """Applies constraints to weights within a flat vector, in place.

    Args:
        vector: 1-D float.
        specs: for each constrained weight `{"kind": a name in RULES, "config": the rule's
            arguments, "offset": of its first element, "shape": its lengths}`, as `spec` makes.

    Raises:
        ValueError: nobody knows the kind, or the weight doesn't lie within the vector.
    """
    for one in specs:
        weight = _within(vector, int(one["offset"]), [int(length) for length in one["shape"]])
        weight.copy_(rule(one["kind"])(weight, **one["config"]))


def _within(vector: Tensor, offset: int, shape: Sequence[int]) -> Tensor:
    size = math.prod(shape)
    if offset < 0 or size < 0 or offset + size > vector.numel():
        raise ValueError(
            "A constrained weight must lie within the vector of "
            f"{vector.numel()} elements. Received: offset={offset}, shape={list(shape)}"
        )
    return vector[offset : offset + size].view(list(shape))


def spec(kind: str, config: Mapping[str, Any], offset: int, shape: Iterable[int]) -> dict[str, Any]:
    """Returns one constrained weight as JSON-able data for `project`.

    Raises:
        ValueError: nobody knows the kind; the message has the nearest one.
    """
    rule(kind)
    return {"kind": kind, "config": dict(config), "offset": offset, "shape": list(shape)}
