"""Picking, ordering, searching and scattering. Follows https://keras.io/api/ops/numpy/ and
https://keras.io/api/ops/core/
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.dtypes import result_type, tensor, torch_dtype
from elephas_torch.keras.operations import Value, op
from elephas_torch.keras.ops.axes import flattened, one_axis

__all__ = [
    "argpartition", "argsort", "bincount", "digitize", "get_item", "histogram", "in_top_k",
    "nonzero", "scatter", "scatter_update", "searchsorted", "segment_max", "segment_min",
    "segment_prod", "segment_sum", "select", "slice", "slice_update", "sort", "take",
    "take_along_axis", "top_k", "unique", "unravel_index", "where",
]  # fmt: skip


@op
def get_item(x: Tensor, key: Value) -> Tensor:
    """x[key]."""
    return x[key]


@op
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The elements at `indices` along an axis, which their shape takes the place of.

    Args:
        indices: integers; negative ones count from the end.
        axis: None flattens x first.
    """
    x, axis = flattened(x, axis)
    flat = _from_start(indices, x.shape[axis]).reshape(-1)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return torch.index_select(x, axis, flat).reshape(shape)


@op
def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """For each place of `indices`, the element at that index along the axis."""
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    return torch.take_along_dim(x, _from_start(indices, x.shape[axis]), axis)


def _from_start(indices: Tensor, length: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + length, indices)


@op
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Tensor:
    """x1 where the condition is true, else x2; without them, the places where it is true.

    Returns:
        the elements; or int64 (axes, places), a row of indices for each axis.
    """
    condition = condition.to(torch.bool)
    if x1 is None or x2 is None:
        return torch.stack(torch.where(condition))
    return torch.where(condition, x1, x2)


@op
def select(
    condlist: Sequence[Tensor], choicelist: Sequence[Tensor], default: Tensor | None = None
) -> Tensor:
    """For each element the choice of the first condition that is true, else `default` (0)."""
    found = tensor(0, device=condlist[0].device) if default is None else default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = torch.where(condition, choice, found)
    return found


@op
def nonzero(x: Tensor) -> Tensor:
    """The places of what isn't 0: int32 (axes, places), a row of indices for each axis."""
    return torch.nonzero(x).T.to(torch.int32)


@op
def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Indices into a flattened tensor as indices for each axis of `shape`."""
    return tuple(one.to(indices.dtype) for one in torch.unravel_index(indices, tuple(shape)))


def _sortable(x: Tensor) -> Tensor:
    return x.to(torch.uint8) if x.dtype is torch.bool else x


@op
def sort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The elements along an axis in rising order; None flattens first."""
    x, axis = flattened(x, axis)
    return torch.sort(_sortable(x), axis).values.to(x.dtype)


@op
def argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that sort an axis, as int32; equal elements stay in order."""
    x, axis = flattened(x, axis)
    return torch.argsort(_sortable(x), dim=axis, stable=True).to(torch.int32)


@op
def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Tensor:
    """Indices that bring the kth smallest to its place, smaller ones before it, as int32."""
    return argsort(x, axis)


@op
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Where to insert values into a sorted vector to keep its order, as int32.

    Args:
        side: of equal elements, "left" (default) or "right".

    Raises:
        ValueError: `sorted_sequence` is no vector.
    """
    if sorted_sequence.ndim != 1:
        raise ValueError(
            "searchsorted: `sorted_sequence` must be a vector. "
            f"Received: shape {tuple(sorted_sequence.shape)}"
        )
    return torch.searchsorted(sorted_sequence, values, side=side, out_int32=True)


@op
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """The number of the bin of each element, as int32: how many of the edges aren't above it."""
    return torch.bucketize(_sortable(x), bins, right=True).to(torch.int32)


@op
def histogram(x: Tensor, bins: int = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """How many elements fall in each of `bins` equal parts of a range, and the parts' edges.

    Args:
        range: (lowest, highest); None goes from the smallest to the largest element.
    """
    kind = torch_dtype(result_type(x.dtype, float))
    low, high = range or (x.min().item(), x.max().item())
    found = torch.histogram(x.to(kind).cpu().reshape(-1), bins, range=(float(low), float(high)))
    return found.hist.to(x.device), found.bin_edges.to(x.device)


@op
def bincount(
    x: Tensor, weights: Tensor | None = None, minlength: int = 0, sparse: bool = False
) -> Tensor:
    """How often each number from 0 occurs, or the sums of its weights; of each row of a matrix.

    Raises:
        ValueError: `sparse` isn't there.
    """
    if sparse:
        raise ValueError("bincount: sparse results aren't there. Received: sparse=True")
    kind = torch.int32 if weights is None else torch_dtype(result_type(x.dtype, weights.dtype))
    if x.ndim < 2:
        return torch.bincount(x, weights, minlength).to(kind)
    longest = builtins.max(minlength, int(x.max()) + 1 if x.numel() else 0)
    rows = [None] * len(x) if weights is None else list(weights)
    counts = [torch.bincount(a, b, longest) for a, b in zip(x, rows, strict=True)]
    return torch.stack(counts).to(kind)


class TopK(NamedTuple):
    """What `top_k` gives: unpack it, or take its fields."""

    values: Tensor
    indices: Tensor


@op
def top_k(x: Tensor, k: int, sorted: bool = True) -> TopK:
    """The k largest elements along the last axis, and their indices (int32).

    Args:
        sorted: the largest first.
    """
    values, indices = torch.topk(x, k, sorted=sorted)
    return TopK(values, indices.to(torch.int32))


@op
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether each row's class is among its k largest predictions; equal ones count.

    Args:
        targets: classes (batch,).
        predictions: (batch, classes).
    """
    least = torch.topk(predictions, k).values[:, -1]
    return predictions.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1) >= least


@op
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements, or slices along `axis`.

    Args:
        return_index: give where each occurs first.
        return_inverse: give for each element which one it is.
        return_counts: give how often each occurs.
        size: cut or fill up to so many.
        fill_value: what is filled in. Default 0.

    Returns:
        the values; or a tuple: values, then what was asked for in the order of the arguments.
    """
    values, inverse, counts = torch.unique(x, sorted, True, True, axis)
    dim = 0 if axis is None else one_axis(x.ndim, axis)
    fill = 0 if fill_value is None else fill_value
    found = [_sized(values, size, dim, fill)]
    if return_index:
        found.append(_sized(_first_places(inverse.reshape(-1), values.shape[dim]), size, 0, 1))
    if return_inverse:
        found.append(inverse)
    if return_counts:
        found.append(_sized(counts, size, 0, 0))
    return found[0] if len(found) == 1 else tuple(found)


def _first_places(inverse: Tensor, count: int) -> Tensor:
    places = torch.arange(len(inverse), device=inverse.device)
    return places.new_full((count,), len(inverse)).scatter_reduce(0, inverse, places, "amin")


def _sized(x: Tensor, size: int | None, axis: int, fill: Any) -> Tensor:
    if size is None or x.shape[axis] == size:
        return x
    if x.shape[axis] > size:
        return x.narrow(axis, 0, size)
    shape = [*x.shape[:axis], size - x.shape[axis], *x.shape[axis + 1 :]]
    return torch.cat([x, x.new_full(shape, fill)], axis)


@op
def scatter(indices: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros of a shape, with values added at indices.

    Args:
        indices: (..., n): the last axis has an index into each of the first n axes.
        values: (..., *shape[n:]).
    """
    zeros = values.new_zeros(tuple(shape))
    depth = indices.shape[-1]
    places = tuple(indices.long().reshape(-1, depth).unbind(-1))
    return zeros.index_put(places, values.reshape(-1, *shape[depth:]), accumulate=True)


_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


@op
def scatter_update(
    inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None
) -> Tensor:
    """`inputs` with the elements at indices set to updates, or joined with them.

    Args:
        indices: (updates, n): an index into each of the first n axes.
        updates: (updates, *inputs.shape[n:]).
        reduction: None sets; "add", "max", "min" and "mul" join.

    Raises:
        ValueError: another reduction.
    """
    places = tuple(indices.long().unbind(-1))
    updates = updates.to(inputs.dtype)
    if reduction in (None, "add"):
        return inputs.index_put(places, updates, accumulate=reduction == "add")
    if reduction not in _REDUCTIONS:
        raise unknown("reduction", reduction, ["add", *_REDUCTIONS])
    depth = len(places)
    rows = torch.zeros_like(places[0])
    for place, length in zip(places, inputs.shape[:depth], strict=True):
        rows = rows * length + torch.where(place < 0, place + length, place)
    flat = inputs.reshape(-1, *inputs.shape[depth:])
    rows = rows.reshape(-1, *[1] * (flat.ndim - 1)).expand(-1, *flat.shape[1:])
    joined = flat.scatter_reduce(0, rows, updates.expand_as(rows), _REDUCTIONS[reduction])
    return joined.reshape(inputs.shape)


@op
def slice(inputs: Tensor, start_indices: Value, shape: Any) -> Tensor:
    """The part of `inputs` of a shape that starts at an index of each axis."""
    starts, lengths = _integers(start_indices), _integers(shape)
    return inputs[tuple(map(_stretch, starts, lengths))]


@op
def slice_update(inputs: Tensor, start_indices: Value, updates: Tensor) -> Tensor:
    """`inputs` with the part that starts at an index of each axis replaced by `updates`."""
    result = inputs.clone()
    result[tuple(map(_stretch, _integers(start_indices), updates.shape))] = updates.to(inputs.dtype)
    return result


def _stretch(start: int, length: int) -> builtins.slice:
    return builtins.slice(start, start + length)


def _integers(values: Any) -> list[int]:
    if isinstance(values, Tensor):
        return values.tolist()
    return [int(one) for one in values]


@op
def segment_sum(
    data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sums of the rows that have the same segment's number.

    Args:
        data: (rows, ...).
        segment_ids: (rows,) integers; rows whose number isn't in 0 … num_segments - 1 are left
            out.
        num_segments: rows of the result. Default: the largest number plus one.
        sorted: taken, and of no use here.
    """
    return _segments("sum", data, segment_ids, num_segments, 0)


@op
def segment_prod(
    data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the products; 1 for a segment without rows."""
    return _segments("prod", data, segment_ids, num_segments, 1)


@op
def segment_max(
    data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the largest; the type's lowest for a segment without rows."""
    return _segments("amax", data, segment_ids, num_segments, _limits(data.dtype)[0])


@op
def segment_min(
    data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the smallest; the type's highest for a segment without rows."""
    return _segments("amin", data, segment_ids, num_segments, _limits(data.dtype)[1])


def _segments(how: str, data: Tensor, ids: Tensor, count: int | None, start: Any) -> Tensor:
    ids = ids.long()
    count = int(ids.max()) + 1 if count is None else count
    ids = torch.where((ids < 0) | (ids >= count), count, ids)  # one row more, cut off below
    rows = ids.reshape(-1, *[1] * (data.ndim - 1)).expand_as(data)
    result = data.new_full((count + 1, *data.shape[1:]), start)
    return result.scatter_reduce(0, rows, data, how)[:-1]


def _limits(dtype: torch.dtype) -> tuple[Any, Any]:
    if dtype.is_floating_point:
        return -torch.inf, torch.inf
    info = torch.iinfo(dtype)
    return info.min, info.max
