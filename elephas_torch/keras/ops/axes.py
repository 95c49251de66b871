"""Axis arguments, as NumPy has them: one, several, or None for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

Axis = int | Sequence[int] | None


def axes(x: Tensor, axis: Any) -> tuple[int, ...]:
    """Returns the axes that an argument names, counted from 0; None is all of them.

    Raises:
        ValueError: the tensor has no such axis.
    """
    if axis is None:
        return tuple(range(x.ndim))
    several = axis if isinstance(axis, list | tuple) else (axis,)
    return tuple(one_axis(x.ndim, one) for one in several)


def one_axis(ndim: int, axis: int) -> int:
    """Returns the axis counted from 0.

    Raises:
        ValueError: a tensor of `ndim` axes hasn't got it.
    """
    if not -ndim <= axis < ndim:
        raise ValueError(f"A tensor of {ndim} axes has no axis {axis}. Received: axis={axis}")
    return axis % ndim


def flattened(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """The tensor and the axis to work along; None is the flattened tensor's only one."""
    return (x.reshape(-1), 0) if axis is None else (x, one_axis(x.ndim, axis))
