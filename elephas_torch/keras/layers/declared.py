"""Shapes as they are declared: of inputs, and of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

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


def shape_of(inputs: Any) -> Any:
    """Returns the shape of a tensor, batch (None) first, or the shapes of several."""
    if isinstance(inputs, Tensor):
        return (None, *inputs.shape[1:])
    return [shape_of(one) for one in inputs]
