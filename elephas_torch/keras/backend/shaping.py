"""Shapes as Keras 1 and 2 change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elephas_torch.keras import config, ops
from elephas_torch.keras.ops import shape


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Tensors joined along an axis."""
    return ops.concatenate(tensors, axis)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """x with a new axis of length 1."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """x as a vector."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """x as a matrix: all axes but the first become one."""
    lengths = shape(x)[1:]
    return ops.reshape(x, (-1, int(np.prod([1, *lengths]))))


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """x with its axes in another order."""
    return ops.transpose(x, pattern)


def repeat(x: Any, n: int) -> Any:
    """Each row of a matrix n times: (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element along an axis `rep` times."""
    return ops.repeat(x, rep, axis)


def reverse(x: Any, axes: Any) -> Any:
    """x in reverse along axes."""
    return ops.flip(x, axes)


def gather(reference: Any, indices: Any) -> Any:
    """The rows at indices."""
    return ops.take(reference, indices, 0)


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Any:
    """Zeros before and after the middle axis of (batch, steps, channels)."""
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: Any = None) -> Any:
    """Zeros around images."""
    return _spatial_padding(x, padding, data_format)


def spatial_3d_padding(
    x: Any, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: Any = None
) -> Any:
    """Zeros around volumes."""
    return _spatial_padding(x, padding, data_format)


def _spatial_padding(x: Any, padding: Any, data_format: Any) -> Any:
    last = config.checked_data_format(data_format) == "channels_last"
    pairs = [tuple(pair) for pair in padding]
    around = [(0, 0), *pairs, (0, 0)] if last else [(0, 0), (0, 0), *pairs]
    return ops.pad(x, around)


def resize_images(
    x: Any,
    height_factor: int,
    width_factor: int,
    data_format: Any,
    interpolation: str = "nearest",
) -> Any:
    """Images so many times as high and as wide."""
    last = config.checked_data_format(data_format) == "channels_last"
    if interpolation == "nearest":
        rows, columns = (1, 2) if last else (2, 3)
        return ops.repeat(ops.repeat(x, height_factor, rows), width_factor, columns)
    height, width = shape(x)[1:3] if last else shape(x)[2:4]
    size = (height * height_factor, width * width_factor)
    return ops.image.resize(x, size, interpolation, data_format=data_format)
