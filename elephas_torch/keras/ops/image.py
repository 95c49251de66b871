"""Images: (height, width, channels), with or without a batch in front, or channels first.

Follows https://keras.io/api/ops/image/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.config import checked_data_format
from elephas_torch.keras.operations import op
from elephas_torch.keras.ops.convolutions import conv

__all__ = [
    "crop_images", "extract_patches", "extract_patches_3d", "hsv_to_rgb", "pad_images", "resize",
    "rgb_to_grayscale", "rgb_to_hsv",
]  # fmt: skip

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}


def _channel_axis(owner: str, images: Tensor, data_format: str | None) -> int:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{owner}: images must have three axes, or four with the batch. "
            f"Received: shape {tuple(images.shape)}"
        )
    return -1 if checked_data_format(data_format) == "channels_last" else -3


@op
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another height and width, of the same dtype.

    Args:
        size: (height, width).
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: let all pixels that a smaller image's pixel covers count.
        crop_to_aspect_ratio: cut away evenly what would distort the image.
        pad_to_aspect_ratio: add `fill_value` evenly around instead.
        fill_mode: "constant".

    Raises:
        ValueError: another size, interpolation or fill mode, or both aspect ratio arguments.
    """
    if interpolation not in _MODES:
        raise unknown("interpolation", interpolation, _MODES)
    if fill_mode != "constant" or len(size) != 2 or (crop_to_aspect_ratio and pad_to_aspect_ratio):
        raise ValueError(
            "resize: `size` must be (height, width), `fill_mode` 'constant', and one of "
            "`crop_to_aspect_ratio` and `pad_to_aspect_ratio` False. Received: "
            f"size={size!r}, fill_mode={fill_mode!r}, crop_to_aspect_ratio="
            f"{crop_to_aspect_ratio}, pad_to_aspect_ratio={pad_to_aspect_ratio}"
        )
    axis = _channel_axis("resize", images, data_format)
    batch = images if images.ndim == 4 else images.unsqueeze(0)
    first = batch.movedim(axis, 1)
    wide = first if first.dtype in (torch.float32, torch.float64) else first.float()
    if crop_to_aspect_ratio:
        wide = _cropped(wide, size)
    elif pad_to_aspect_ratio:
        wide = _filled(wide, size, fill_value)
    mode = _MODES[interpolation]
    smooth = antialias and interpolation != "nearest"
    corners = None if interpolation == "nearest" else False
    result = F.interpolate(wide, tuple(size), mode=mode, align_corners=corners, antialias=smooth)
    result = _as_before(result, images.dtype).movedim(1, axis)
    return result if images.ndim == 4 else result.squeeze(0)


def _as_before(image: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype is torch.uint8:
        image = image.clamp(0, 255)
    return image.to(dtype) if dtype.is_floating_point else image.round().to(dtype)


def _cropped(image: Tensor, size: Sequence[int]) -> Tensor:
    (height, width), (h, w) = image.shape[2:], size
    rows, columns = min(height, int(width * h / w)), min(width, int(height * w / h))
    rows, columns = max(rows, 1), max(columns, 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, :, top : top + rows, left : left + columns]


def _filled(image: Tensor, size: Sequence[int], value: float) -> Tensor:
    (height, width), (h, w) = image.shape[2:], size
    rows, columns = max(height, int(width * h / w)), max(width, int(height * w / h))
    top, left = (rows - height) // 2, (columns - width) // 2
    around = (left, columns - width - left, top, rows - height - top)
    return F.pad(image, around, value=value)


@op
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """The brightness of images: one channel.

    Raises:
        ValueError: there are neither three channels nor one.
    """
    axis = _channel_axis("rgb_to_grayscale", images, data_format)
    if images.shape[axis] == 1:
        return images.clone()
    red, green, blue = _planes("rgb_to_grayscale", images, axis)
    gray = 0.2989 * red + 0.587 * green + 0.114 * blue
    return gray.to(images.dtype).unsqueeze(axis)


@op
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value (0 to 1) of float images of red, green and blue (0 to 1).

    Raises:
        ValueError: the images aren't of a float type, or have no three channels.
    """
    axis = _channel_axis("rgb_to_hsv", images, data_format)
    _check_float("rgb_to_hsv", images)
    red, green, blue = _planes("rgb_to_hsv", images, axis)
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    sixth = 1 / (6 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, sixth * (blue - red) + 1 / 3, sixth * (red - green) + 2 / 3)
    hue = torch.where(value == red, sixth * (green - blue), hue)
    hue = torch.where(spread > 0, hue, 0.0)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    return torch.stack([hue + (hue < 0), saturation, value], axis)


@op
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """The way back from `rgb_to_hsv`.

    Raises:
        ValueError: the images aren't of a float type, or have no three channels.
    """
    axis = _channel_axis("hsv_to_rgb", images, data_format)
    _check_float("hsv_to_rgb", images)
    hue, saturation, value = _planes("hsv_to_rgb", images, axis)
    place = torch.remainder(hue, 1.0) * 6
    colours = (
        torch.abs(place - 3) - 1,
        2 - torch.abs(place - 2),
        2 - torch.abs(place - 4),
    )
    planes = [value * (1 - saturation * (1 - one.clamp(0, 1))) for one in colours]
    return torch.stack(planes, axis)


def _planes(owner: str, images: Tensor, axis: int) -> tuple[Tensor, ...]:
    if images.shape[axis] != 3:
        raise ValueError(
            f"{owner}: images must have three channels. Received: shape {tuple(images.shape)}"
        )
    return images.unbind(axis)


def _check_float(owner: str, images: Tensor) -> None:
    if not images.dtype.is_floating_point:
        raise ValueError(f"{owner}: images must be of a float type. Received: {images.dtype}")


def _sides(
    owner: str, length: int, before: int | None, after: int | None, target: int | None, sign: int
) -> tuple[int, int]:
    """What to add (sign 1) or cut off (sign -1) on both sides: two of three are given."""
    if sum(one is None for one in (before, after, target)) != 1:
        raise ValueError(
            f"{owner}: give exactly two of what comes before, what comes after, and the target "
            f"length, for height and for width. Received: {before}, {after}, {target}"
        )
    both = sign * ((target or 0) - length)
    first = both - (after or 0) if before is None else before
    last = both - first if after is None else after
    if first < 0 or last < 0:
        raise ValueError(
            f"{owner}: a length of {length} can't become {target}. "
            f"Received: {before} before, {after} after"
        )
    return first, last


@op
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with zeros around them.

    Args: exactly two of `top_padding`, `bottom_padding` and `target_height`, and two of
        `left_padding`, `right_padding` and `target_width`.

    Raises:
        ValueError: more or fewer of them, or a target below the image's size.
    """
    axis = _channel_axis("pad_images", images, data_format)
    first = images.movedim(axis, -3)
    height, width = first.shape[-2:]
    rows = _sides("pad_images", height, top_padding, bottom_padding, target_height, 1)
    columns = _sides("pad_images", width, left_padding, right_padding, target_width, 1)
    return F.pad(first, (*columns, *rows)).movedim(-3, axis)


@op
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with their margins cut off.

    Args: exactly two of `top_cropping`, `bottom_cropping` and `target_height`, and two of
        `left_cropping`, `right_cropping` and `target_width`.

    Raises:
        ValueError: more or fewer of them, or a target above the image's size.
    """
    axis = _channel_axis("crop_images", images, data_format)
    first = images.movedim(axis, -3)
    height, width = first.shape[-2:]
    top, bottom = _sides("crop_images", height, top_cropping, bottom_cropping, target_height, -1)
    left, right = _sides("crop_images", width, left_cropping, right_cropping, target_width, -1)
    return first[..., top : height - bottom, left : width - right].movedim(-3, axis)


@op
def extract_patches(
    images: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of images, or with three sizes of volumes, each as one pixel's channels.

    Args:
        size: of a window.
        strides: between windows. Default `size`: side by side.
        padding: "valid" (default) or "same".
    """
    lengths = (size, size) if isinstance(size, int) else tuple(size)
    batch = images if images.ndim == len(lengths) + 2 else images.unsqueeze(0)
    last = checked_data_format(data_format) == "channels_last"
    channels = batch.shape[-1 if last else 1]
    count = channels
    for length in lengths:
        count *= length
    # Each filter picks one of the window's values.
    kernel = torch.eye(count, dtype=images.dtype, device=images.device)
    steps: Any = lengths if strides is None else strides
    kernel = kernel.reshape(*lengths, channels, count)
    found = conv(batch, kernel, steps, padding, data_format, dilation_rate)
    return found if batch is images else found.squeeze(0)


@op
def extract_patches_3d(
    volumes: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """`extract_patches` of volumes."""
    lengths = (size,) * 3 if isinstance(size, int) else tuple(size)
    return extract_patches(volumes, lengths, strides, dilation_rate, padding, data_format)
