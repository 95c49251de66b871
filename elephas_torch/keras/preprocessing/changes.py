"""Pictures changed by chance, and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elephas_torch.keras.preprocessing.affine import apply_affine_transform


def random_rotation(
    x: Any,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Turns a picture by up to `rg` degrees. Others: see `apply_affine_transform`."""
    theta = np.random.uniform(-rg, rg)
    axes = row_axis, col_axis, channel_axis
    return apply_affine_transform(
        x, theta, 0, 0, 0, 1, 1, *axes, fill_mode, cval, interpolation_order
    )


def random_shift(
    x: Any,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Shifts a picture by up to a share `wrg` of its width, `hrg` of its height.

    Others: see `apply_affine_transform`.
    """
    tx = np.random.uniform(-hrg, hrg) * np.shape(x)[row_axis]
    ty = np.random.uniform(-wrg, wrg) * np.shape(x)[col_axis]
    axes = row_axis, col_axis, channel_axis
    return apply_affine_transform(
        x, 0, tx, ty, 0, 1, 1, *axes, fill_mode, cval, interpolation_order
    )


def random_shear(
    x: Any,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Shears a picture by up to `intensity` degrees. Others: see `apply_affine_transform`."""
    shear = np.random.uniform(-intensity, intensity)
    axes = row_axis, col_axis, channel_axis
    return apply_affine_transform(
        x, 0, 0, 0, shear, 1, 1, *axes, fill_mode, cval, interpolation_order
    )


def random_zoom(
    x: Any,
    zoom_range: Sequence[float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Zooms a picture, height and width each by a factor from the two of `zoom_range`.

    Others: see `apply_affine_transform`.
    """
    low, high = pair("zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    axes = row_axis, col_axis, channel_axis
    return apply_affine_transform(
        x, 0, 0, 0, 0, zx, zy, *axes, fill_mode, cval, interpolation_order
    )


def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """Adds a number to a picture's values, and keeps them within the range that they had.

    Args:
        x: one picture.
        intensity: the number.
        channel_axis: changes nothing: all channels get the same.
    """
    picture = np.asarray(x)
    return np.clip(picture + intensity, picture.min(), picture.max()).astype(picture.dtype)


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """Adds a number from -`intensity_range` to `intensity_range`; see `apply_channel_shift`."""
    intensity = np.random.uniform(-intensity_range, intensity_range)
    return apply_channel_shift(x, intensity, channel_axis)


def apply_brightness_shift(
    x: Any, brightness: float, scale: bool = True, channel_axis: int = 2
) -> np.ndarray:
    """Makes a picture brighter or darker; an alpha channel stays.

    Args:
        x: one picture, 3 dimensions.
        brightness: a factor; 0 gives black.
        scale: spread the values from 0 to 255 before. Without it they only are where some lie
            outside of that range, and are brought back afterwards.
        channel_axis: which dimension is the channels. Default 2.

    Returns:
        float32, whole numbers from 0 to 255.
    """
    picture = np.asarray(x, np.float32)
    low, high = picture.min(), picture.max()
    wide = bool(low < 0 or high > 255)
    if wide or scale:
        above = picture - low
        largest = above.max()
        picture = (above / largest if largest else above) * np.float32(255)
    picture = np.trunc(picture)
    bright = np.clip(np.trunc(picture * np.float32(brightness)), 0, 255)
    if picture.shape[channel_axis] == 4:
        alpha = np.arange(4) == 3
        bright = np.where(np.expand_dims(alpha, _others(channel_axis)), picture, bright)
    return bright / 255 * (high - low) + low if wide and not scale else bright


def _others(axis: int) -> tuple[int, ...]:
    return tuple(number for number in range(3) if number != axis % 3)


def random_brightness(x: Any, brightness_range: Sequence[float], scale: bool = True) -> np.ndarray:
    """Changes brightness by a factor from the two given; see `apply_brightness_shift`."""
    factor = np.random.uniform(*pair("brightness_range", brightness_range))
    return apply_brightness_shift(x, factor, scale)


def pair(argument: str, value: Any) -> tuple[float, float]:
    """Returns two numbers; raises ValueError unless `value` is a list of two."""
    numbers = isinstance(value, tuple | list | np.ndarray) and len(value) == 2
    if not numbers or not all(isinstance(one, int | float | np.number) for one in value):
        raise ValueError(f"`{argument}` must be two numbers. Received: {argument}={value!r}")
    return float(value[0]), float(value[1])
