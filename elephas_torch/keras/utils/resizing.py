"""Pictures as tensors in another size, as Keras's `ops.image.resize` does it on torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import config

_MODES = {
    "bilinear": "bilinear",
    "nearest": "nearest-exact",
    "bicubic": "bicubic",
    "area": "area",
}


def checked_interpolation(interpolation: Any) -> str:
    """Returns the interpolation in lower case.

    Raises:
        ValueError: it is none of "bilinear", "nearest", "bicubic" and "area".
    """
    name = interpolation.lower() if isinstance(interpolation, str) else interpolation
    if name not in _MODES:
        raise unknown("interpolation", interpolation, _MODES)
    return name


def checked_size(argument: str, size: Any) -> tuple[int, int]:
    """Returns (height, width); a number alone means a square.

    Raises:
        ValueError: it isn't two whole numbers, 1 or more.
    """
    pair = (size, size) if isinstance(size, int | np.integer) else size
    whole = isinstance(pair, tuple | list) and len(pair) == 2
    whole = whole and all(isinstance(n, int | np.integer) and n >= 1 for n in pair)
    if not whole or isinstance(size, bool):
        raise ValueError(
            f"`{argument}` must be (height, width), whole numbers. Received: {argument}={size!r}"
        )
    return int(pair[0]), int(pair[1])


def resize(
    images: Tensor,
    size: Any,
    interpolation: str = "bilinear",
    data_format: str | None = None,
    *,
    crop: bool = False,
    pad: bool = False,
) -> Tensor:
    """Returns pictures in another size.

    Args:
        images: shape (height, width, channels) or (batch, height, width, channels), or with the
            channels before the height.
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic" or "area"; no smoothing where they shrink.
        data_format: "channels_last" or "channels_first"; the global setting by default.
        crop: cut off what is too wide or too high, in place of distorting it.
        pad: add black borders instead.

    Returns:
        A tensor of the same form; floats stay, integers are rounded.

    Raises:
        ValueError: one of the arguments is none of these, or both `crop` and `pad` are set.
    """
    mode = _MODES[checked_interpolation(interpolation)]
    height, width = checked_size("size", size)
    last = config.checked_data_format(data_format) == "channels_last"
    if images.dim() not in (3, 4):
        raise ValueError(
            "Pictures have the shape (height, width, channels), or with a batch before it. "
            f"Received: shape={tuple(images.shape)}"
        )
    if crop and pad:
        raise ValueError("Only one of cropping and padding to the aspect ratio can be set.")
    batch = images if images.dim() == 4 else images[None]
    batch = batch.movedim(-1, 1) if last else batch
    floats = batch if batch.is_floating_point() else batch.float()
    if crop:
        floats = _cropped(floats, height, width)
    elif pad:
        floats = _padded(floats, height, width)
    corners = False if mode in ("bilinear", "bicubic") else None
    result = F.interpolate(floats, (height, width), mode=mode, align_corners=corners)
    result = result.movedim(1, -1) if last else result
    if not images.is_floating_point():
        # bicubic overshoots, which would wrap around
        result = result.clamp(0, 255) if images.dtype == torch.uint8 else result
        result = result.round().to(images.dtype)
    return result if images.dim() == 4 else result[0]


def _cropped(images: Tensor, height: int, width: int) -> Tensor:
    high, wide = images.shape[-2:]
    inner_high = max(min(high, int(wide * height / width)), 1)
    inner_wide = max(min(wide, int(high * width / height)), 1)
    top, left = (high - inner_high) // 2, (wide - inner_wide) // 2
    return images[..., top : top + inner_high, left : left + inner_wide]


def _padded(images: Tensor, height: int, width: int) -> Tensor:
    high, wide = images.shape[-2:]
    top = (max(high, int(wide * height / width)) - high) // 2
    left = (max(wide, int(high * width / height)) - wide) // 2
    return F.pad(images, (left, left, top, top))
