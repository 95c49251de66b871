"""Functions over the first axis, as Keras 1 and 2 have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elephas_torch.keras import dtypes, ops


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """fn of each element along the first axis, stacked."""
    return ops.map(fn, elems)


def foldl(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None
) -> Any:
    """fn(fn(fn(initializer, x0), x1), x2) …; without an initializer x0 is it."""
    values = list(dtypes.tensor(elems))
    result = values.pop(0) if initializer is None else initializer
    for value in values:
        result = fn(result, value)
    return result


def foldr(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None
) -> Any:
    """`foldl` from the last element to the first."""
    return foldl(fn, dtypes.tensor(elems).flip(0), initializer)
