"""Trees of lists, tuples and dicts, as models take and give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """Returns the leaves in order; a dict's by its keys in alphabetical order, as Keras's."""
    return list(_walk(tree))


def _walk(tree: Any) -> Iterator[Any]:
    if isinstance(tree, list | tuple):
        for one in tree:
            yield from _walk(one)
    elif isinstance(tree, dict):
        for key in sorted(tree, key=str):
            yield from _walk(tree[key])
    else:
        yield tree


def map_leaves(function: Callable[..., Any], tree: Any, *more: Any) -> Any:
    """Returns a tree of the same form with `function(leaf, *leaves of more)` at each leaf.

    Args:
        more: trees of the same form.
    """
    if isinstance(tree, dict):
        return {k: map_leaves(function, v, *(one[k] for one in more)) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        several = (map_leaves(function, *parts) for parts in zip(tree, *more, strict=True))
        if hasattr(tree, "_fields"):
            return type(tree)(*several)
        return tuple(several) if isinstance(tree, tuple) else list(several)
    return function(tree, *more)
