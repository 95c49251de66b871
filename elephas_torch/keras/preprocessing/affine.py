"""Pictures turned, shifted, sheared and zoomed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.errors import unknown

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def apply_affine_transform(
    x: Any,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> np.ndarray:
    """Returns a picture turned, shifted, sheared and zoomed about its middle.

    As Keras had it up to 2.3. (Later ones exchange rows and columns by mistake, so that `tx`,
    and `height_shift_range`, move sideways.)

    Args:
        x: one picture, 3 dimensions.
        theta: degrees to turn it.
        tx: rows to shift it; above 0 upwards.
        ty: columns to shift it; above 0 to the left.
        shear: degrees.
        zx, zy: zoom of rows and columns; below 1 enlarges.
        row_axis, col_axis, channel_axis: which dimension is which.
        fill_mode: what lies outside the picture: "constant", "nearest", "reflect" or "wrap", as
            in `scipy.ndimage`.
        cval: the value for "constant".
        order: 1 interpolates linearly, 0 takes the nearest pixel. (Higher ones aren't there.)

    Returns:
        An array of the same shape and dtype.

    Raises:
        ValueError: one of the arguments is none of these.
    """
    picture = np.asarray(x)
    axes = _checked_axes(picture, channel_axis, row_axis, col_axis)
    check_filling(fill_mode, order)
    matrix = _matrix(theta, tx, ty, shear, zx, zy)
    if np.array_equal(matrix, np.eye(3)):
        return picture
    planes = np.moveaxis(picture, axes, (0, 1, 2))
    rows, columns = _coordinates(_centred(matrix, *planes.shape[1:]), *planes.shape[1:])
    found = _sampled(torch.from_numpy(planes.astype(np.float64)), rows, columns, fill_mode, order)
    if fill_mode == "constant":
        found[:, _outside(rows, planes.shape[1]) | _outside(columns, planes.shape[2])] = cval
    result = found.numpy()
    result = np.rint(result) if picture.dtype.kind in "iu" else result
    return np.moveaxis(result.astype(picture.dtype), (0, 1, 2), axes)


def check_filling(fill_mode: Any, order: Any) -> None:
    """Raises ValueError unless it is one of `FILL_MODES`, and an order of interpolation 0 or 1."""
    if fill_mode not in FILL_MODES:
        raise unknown("fill_mode", fill_mode, FILL_MODES)
    if order not in (0, 1):
        raise ValueError(
            "The order of interpolation is 0 (the nearest pixel) or 1 (linear) here. "
            f"Received: order={order!r}"
        )


def _checked_axes(picture: np.ndarray, channel: int, row: int, column: int) -> tuple[int, int, int]:
    if picture.ndim != 3 or {channel, row, column} != {0, 1, 2}:
        raise ValueError(
            "A picture has three dimensions: rows, columns and channels. Received: "
            f"shape={picture.shape}, row_axis={row}, col_axis={column}, channel_axis={channel}"
        )
    return channel, row, column


def _matrix(theta: float, tx: float, ty: float, shear: float, zx: float, zy: float) -> np.ndarray:
    """From where, (row, column, 1), the pixels come, about the middle."""
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    turned = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    shifted = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
    return turned @ shifted @ sheared @ np.diag([zx, zy, 1])


def _centred(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    middle = np.eye(3)
    middle[:2, 2] = height / 2 - 0.5, width / 2 - 0.5
    back = np.eye(3)
    back[:2, 2] = -middle[:2, 2]
    return middle @ matrix @ back


def _coordinates(matrix: np.ndarray, height: int, width: int) -> tuple[Tensor, Tensor]:
    row = torch.arange(height, dtype=torch.float64)[:, None]
    column = torch.arange(width, dtype=torch.float64)[None]
    first, second = matrix[0].tolist(), matrix[1].tolist()
    return (
        first[0] * row + first[1] * column + first[2],
        second[0] * row + second[1] * column + second[2],
    )


def _sampled(planes: Tensor, rows: Tensor, columns: Tensor, fill_mode: str, order: int) -> Tensor:
    """The planes' values at these places, which may lie outside."""
    rows = _folded(rows, planes.shape[1], fill_mode)
    columns = _folded(columns, planes.shape[2], fill_mode)
    if order == 0:
        rows, columns = torch.floor(rows + 0.5), torch.floor(columns + 0.5)
    grid = torch.stack([_unit(columns, planes.shape[2]), _unit(rows, planes.shape[1])], -1)
    return F.grid_sample(
        planes[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True
    )[0]


def _unit(places: Tensor, size: int) -> Tensor:
    """Places 0 to size - 1 as grid_sample counts them: -1 to 1."""
    return places * (2 / max(size - 1, 1)) - 1


def _folded(places: Tensor, size: int, fill_mode: str) -> Tensor:
    last = size - 1
    if fill_mode == "reflect":
        inside = torch.remainder(places + 0.5, 2 * size)
        places = torch.where(inside > size, 2 * size - inside, inside) - 0.5
    elif fill_mode == "wrap" and last:
        # scipy's: the last pixel lies upon the first one
        below = places + last * (torch.trunc(-places / last) + 1)
        above = places - last * torch.trunc(places / last)
        places = torch.where(places < 0, below, torch.where(places > last, above, places))
    return places.clamp(0, last)


def _outside(places: Tensor, size: int) -> Tensor:
    # What lies outside by rounding alone is at the edge.
    return (places < -1e-9) | (places > size - 1 + 1e-9)
