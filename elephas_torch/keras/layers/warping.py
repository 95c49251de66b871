"""Images turned, moved and stretched."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: What a place outside an image takes: the image mirrored at its border, repeated, its border,
#: or one value.
FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


def warped(
    images: Tensor, matrices: Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> Tensor:
    """Takes each pixel from where a matrix says.

    Args:
        images: float, (batch, channels, height, width).
        matrices: (batch, 2, 3): a pixel in column x and row y of the outputs is taken from
            `matrix @ (x, y, 1)` of the image, again column and row.
        interpolation: one of `INTERPOLATIONS`.
        fill_mode: one of `FILL_MODES`.
        fill_value: for "constant".
    """
    height, width = images.shape[2:]
    across = torch.arange(width, dtype=matrices.dtype, device=images.device)
    down = torch.arange(height, dtype=matrices.dtype, device=images.device)[:, None]
    parts = matrices[..., None, None]
    x, y = (parts[:, n, 0] * across + parts[:, n, 1] * down + parts[:, n, 2] for n in (0, 1))
    pixels = images.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        place = _inside(row, height, fill_mode) * width + _inside(column, width, fill_mode)
        index = place.flatten(1)[:, None].expand(-1, images.shape[1], -1)
        found = pixels.gather(2, index).view(images.shape)
        if fill_mode != "constant":
            return found
        within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return torch.where(within[:, None], found, fill_value)

    if interpolation == "nearest":
        return at(y.round().long(), x.round().long())
    return _between(at, x, y)


def _between(at: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    left, top = x.floor(), y.floor()
    right_share, low_share = (x - left)[:, None], (y - top)[:, None]
    column, row = left.long(), top.long()
    upper = at(row, column) * (1 - right_share) + at(row, column + 1) * right_share
    lower = at(row + 1, column) * (1 - right_share) + at(row + 1, column + 1) * right_share
    return upper * (1 - low_share) + lower * low_share


def _inside(index: Tensor, length: int, fill_mode: str) -> Tensor:
    if fill_mode == "wrap":
        return index.remainder(length)
    if fill_mode == "reflect":
        # 2 1 0 | 0 1 2 | 2 1 0: there and back.
        there = index.remainder(2 * length)
        return torch.minimum(there, 2 * length - 1 - there)
    return index.clamp(0, length - 1)
