"""Shapes as they are declared: of inputs, and of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

#: Batch (None) first; None for every length that isn't fixed.
Shape = tuple[int | None, ...]


def declared(input_shape: Any, input_dim: int | None, batch_input_shape: Any) -> Shape | None:
    """Returns the shape that a layer's arguments declare, batch (None) first, or None."""
    if batch_input_shape is not None:
        return (None, *checked_shape(tuple(batch_input_shape)[1:]))
    if input_shape is not None:
        return (None, *checked_shape(input_shape))
    return None if input_dim is None else (None, *checked_shape((input_dim,)))


def checked_shape(shape: Any) -> Shape:
    """Returns an input shape, without the batch, as a tuple of lengths and None.

    Raises:
        ValueError: it has something else in it.
    """
    lengths = (shape,) if isinstance(shape, int | np.integer) else shape
    fits = isinstance(lengths, tuple | list | torch.Size) and all(
        n is None or (isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0)
        for n in lengths
    )
    if not fits:
        raise ValueError(
            "An input shape has positive whole numbers (None where any length will do), "
            f"without the batch. Received: {shape!r}"
        )
    return tuple(None if n is None else int(n) for n in lengths)


def weight_shape(shape: Any) -> tuple[int, ...]:
    """Returns the shape of a weight, () for None; raises ValueError unless it is whole numbers."""
    lengths = (shape,) if isinstance(shape, int | np.integer) else shape
    lengths = () if lengths is None else lengths
    fits = isinstance(lengths, tuple | list | torch.Size)
    if not fits or not all(isinstance(n, int | np.integer) and n >= 0 for n in lengths):
        raise ValueError(f"add_weight: `shape` must be whole numbers. Received: shape={shape!r}")
    return tuple(int(n) for n in lengths)


def checked_shapes(shapes: Any) -> Any:
    """Returns a shape of inputs, batch (None) first, or a list or dict of them, checked.

    Raises:
        ValueError: something else is in it.
    """
    if isinstance(shapes, dict):
        return {name: checked_shapes(one) for name, one in shapes.items()}
    if is_tree(shapes):
        return [checked_shapes(one) for one in shapes]
    return (None, *checked_shape(tuple(shapes)[1:]))


def is_tree(shapes: Any) -> bool:
    """Whether these are several shapes, not one."""
    return isinstance(shapes, dict) or (
        isinstance(shapes, list | tuple)
        and any(isinstance(one, list | tuple | dict) for one in shapes)
    )


def flat_shapes(shapes: Any) -> list[Shape]:
    """Returns the shapes of a tree of them, in order."""
    if isinstance(shapes, dict):
        return [one for name in sorted(shapes, key=str) for one in flat_shapes(shapes[name])]
    if is_tree(shapes):
        return [one for part in shapes for one in flat_shapes(part)]
    return [tuple(shapes)]
