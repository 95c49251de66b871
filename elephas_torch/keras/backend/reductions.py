"""Reductions as Keras 1 and 2 have them: `axis` None is all axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elephas_torch.keras import ops

Axis = int | Sequence[int] | None


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over axes; None is all of them."""
    return ops.sum(x, axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over axes; None is all of them."""
    return ops.mean(x, axis, keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over axes; None is all of them."""
    return ops.prod(x, axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over axes; None is all of them."""
    return ops.max(x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over axes; None is all of them."""
    return ops.min(x, axis, keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The variance over axes; None is all of them."""
    return ops.var(x, axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The standard deviation over axes; None is all of them."""
    return ops.std(x, axis, keepdims)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether one is true."""
    return ops.any(x, axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether all are true."""
    return ops.all(x, axis, keepdims)


def argmax(x: Any, axis: int = -1) -> Any:
    """Where the largest element is along an axis."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Where the smallest element is along an axis."""
    return ops.argmin(x, axis)


def cumsum(x: Any, axis: int = 0) -> Any:
    """The sums up to each element along an axis."""
    return ops.cumsum(x, axis)


def cumprod(x: Any, axis: int = 0) -> Any:
    """The products up to each element along an axis."""
    return ops.cumprod(x, axis)
