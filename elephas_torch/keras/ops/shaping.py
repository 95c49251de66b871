"""Shapes: turning, joining, parting, repeating. Follows https://keras.io/api/ops/numpy/"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.dtypes import result_type, torch_dtype
from elephas_torch.keras.operations import op
from elephas_torch.keras.ops.axes import Axis, axes, flattened, one_axis

__all__ = [
    "append", "array_split", "broadcast_to", "concatenate", "dsplit", "dstack", "expand_dims",
    "flip", "fliplr", "flipud", "hsplit", "hstack", "meshgrid", "moveaxis", "pad", "ravel",
    "repeat", "reshape", "roll", "rot90", "split", "squeeze", "stack", "swapaxes", "tile",
    "transpose", "unstack", "vsplit", "vstack",
]  # fmt: skip


@op
def reshape(x: Tensor, newshape: int | Sequence[int]) -> Tensor:
    """x in another shape; -1 for the length that follows from the others."""
    return torch.reshape(x, _lengths(newshape))


@op
def ravel(x: Tensor) -> Tensor:
    """x as a vector."""
    return torch.ravel(x)


@op
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order `axes`, by default the reverse one."""
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(axes)
    return torch.permute(x, order)


@op
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged."""
    return torch.swapaxes(x, axis1, axis2)


@op
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """x with axes moved from their places `source` to `destination`."""
    return torch.moveaxis(x, source, destination)


@op
def expand_dims(x: Tensor, axis: int | Sequence[int]) -> Tensor:
    """x with axes of length 1 at these places of the result."""
    several = _lengths(axis)
    for one in sorted(one_axis(x.ndim + len(several), one) for one in several):
        x = x.unsqueeze(one)
    return x


@op
def squeeze(x: Tensor, axis: Axis = None) -> Tensor:
    """x without these axes, or all axes, of length 1.

    Raises:
        ValueError: an axis in `axis` is longer.
    """
    if axis is None:
        return torch.squeeze(x)
    found = axes(x, axis)
    if any(x.shape[one] != 1 for one in found):
        raise ValueError(
            f"squeeze: the axes to leave out must be of length 1. Received: axis={axis}, "
            f"x of shape {tuple(x.shape)}"
        )
    return torch.squeeze(x, found)


@op
def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x repeated along axes of length 1, and along new ones in front."""
    return torch.broadcast_to(x, tuple(shape))


def _lengths(value: Any) -> tuple[int, ...]:
    if isinstance(value, Tensor):
        value = value.tolist()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _one_type(xs: Sequence[Tensor]) -> list[Tensor]:
    kind = torch_dtype(result_type(*(x.dtype for x in xs)))
    return [x.to(kind) for x in xs]


@op
def concatenate(xs: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    """Tensors joined along an axis; None joins them flattened."""
    if axis is None:
        return torch.cat([x.reshape(-1) for x in _one_type(xs)])
    return torch.cat(_one_type(xs), axis)


@op
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """x1, then x2, along an axis; None joins them flattened."""
    return concatenate([x1, x2], axis)


@op
def stack(x: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    return torch.stack(_one_type(x), axis)


@op
def hstack(xs: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their second axis; vectors along their only one."""
    return torch.hstack(_one_type(xs))


@op
def vstack(xs: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their first axis; vectors as rows."""
    return torch.vstack(_one_type(xs))


@op
def dstack(xs: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their third axis."""
    return torch.dstack(_one_type(xs))


@op
def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along an axis, into so many parts or before these indices.

    Raises:
        ValueError: the length isn't a multiple of the number of parts.
    """
    length = x.shape[axis]
    if isinstance(indices_or_sections, int) and length % indices_or_sections:
        raise ValueError(
            f"split: an axis of length {length} can't be cut into equal parts. Received: "
            f"indices_or_sections={indices_or_sections}, axis={axis}"
        )
    return array_split(x, indices_or_sections, axis)


@op
def array_split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """`split`, where the first parts may be one longer than the last."""
    if not isinstance(indices_or_sections, int):
        indices_or_sections = [int(one) for one in indices_or_sections]
    return list(torch.tensor_split(x, indices_or_sections, dim=axis))


@op
def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the second axis; a vector's only one."""
    return split(x, indices_or_sections, builtins.min(1, x.ndim - 1))


@op
def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the first axis."""
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the third axis."""
    return split(x, indices_or_sections, 2)


@op
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The parts of x along an axis, without that axis.

    Raises:
        ValueError: there are others than `num`.
    """
    if num is not None and num != x.shape[axis]:
        raise ValueError(f"unstack: axis {axis} has {x.shape[axis]} parts. Received: num={num}")
    return list(torch.unbind(x, axis))


@op
def tile(x: Tensor, repeats: int | Sequence[int]) -> Tensor:
    """x set side by side, so many times along each axis."""
    return torch.tile(x, tuple(int(n) for n in _lengths(repeats)))


@op
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element along an axis repeated, all as often or each as `repeats` says.

    Args:
        axis: None flattens first.
    """
    x, axis = flattened(x, axis)
    if isinstance(repeats, Tensor) and repeats.ndim:
        return torch.repeat_interleave(x, repeats, axis)
    counts = [int(n) for n in _lengths(repeats)]
    if len(counts) == 1:
        wide = x.unsqueeze(axis + 1)
        shape = [-1] * wide.ndim
        shape[axis + 1] = counts[0]
        return wide.expand(shape).flatten(axis, axis + 1)
    places = [place for place, count in enumerate(counts) for _ in range(count)]
    return _picked(x, places, axis)


def _picked(x: Tensor, places: list[int], axis: int) -> Tensor:
    return torch.index_select(x, axis, torch.tensor(places, device=x.device, dtype=torch.int64))


@op
def flip(x: Tensor, axis: Axis = None) -> Tensor:
    """x in reverse along these axes, or all."""
    return torch.flip(x, axes(x, axis))


@op
def fliplr(x: Tensor) -> Tensor:
    """x in reverse along its second axis."""
    return torch.fliplr(x)


@op
def flipud(x: Tensor) -> Tensor:
    """x in reverse along its first axis."""
    return torch.flipud(x)


@op
def roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    """x moved along axes; what leaves comes in at the other end. None rolls it flattened."""
    return torch.roll(x, shift, axis)


@op
def rot90(array: Tensor, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned k times by 90 degrees, from the first towards the second axis."""
    return torch.rot90(array, k, tuple(axes))


@op
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid of vectors; indexing "xy" or "ij"."""
    return list(torch.meshgrid(*x, indexing=indexing))


@op
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """x with elements added around it.

    Args:
        pad_width: (before, after) for each axis; one pair or one number for all of them.
        mode: "constant" (default), "reflect" (mirrored, the edge once), "symmetric" (mirrored,
            the edge twice), "edge" (the last element repeated) or "wrap".
        constant_values: what is added, for mode "constant" alone. Default 0.

    Raises:
        ValueError: another mode, or `constant_values` for one that takes none.
    """
    pairs = _pairs(pad_width, x.ndim)
    if mode == "constant":
        flat = [n for pair in reversed(pairs) for n in pair]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    if constant_values is not None or mode not in _MODES:
        raise ValueError(
            f"pad: `mode` must be 'constant', {', '.join(map(repr, _MODES))}, and "
            "`constant_values` belongs to 'constant' alone. "
            f"Received: mode={mode!r}, constant_values={constant_values!r}"
        )
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            length = x.shape[axis]
            x = _picked(x, [_MODES[mode](i, length) for i in range(-before, length + after)], axis)
    return x


def _mirrored(place: int, length: int, period: int) -> int:
    place %= builtins.max(period, 1)
    return place if place < length else period - place - (period == 2 * length)


_MODES = {
    "reflect": lambda i, n: _mirrored(i, n, 2 * n - 2),
    "symmetric": lambda i, n: _mirrored(i, n, 2 * n),
    "edge": lambda i, n: builtins.min(builtins.max(i, 0), n - 1),
    "wrap": lambda i, n: i % n,
}


def _pairs(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * ndim
    widths = [tuple(int(n) for n in _lengths(one)) for one in pad_width]
    if len(widths) == 2 and all(len(one) == 1 for one in widths):
        widths = [(widths[0][0], widths[1][0])]
    if len(widths) == 1:
        widths = widths * ndim
    if len(widths) != ndim:
        raise ValueError(
            f"pad: `pad_width` must have a pair for each of {ndim} axes. "
            f"Received: pad_width={pad_width!r}"
        )
    return [(one[0], one[-1]) for one in widths]
