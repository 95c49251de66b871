"""Sums, means, extremes … over axes. Follows https://keras.io/api/ops/numpy/

`axis` is one axis, several, or None for all of them; `keepdims` keeps them with length 1.
Variances divide by the number of elements, as NumPy's do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import config
from elephas_torch.keras.dtypes import result_type, torch_dtype
from elephas_torch.keras.operations import op
from elephas_torch.keras.ops.axes import Axis, axes, flattened

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod",
    "cumsum", "diff", "logsumexp", "max", "mean", "median", "min", "moments", "nanargmax",
    "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin",
    "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "percentile",
    "prod", "ptp", "quantile", "std", "sum", "trapezoid", "var",
]  # fmt: skip

_SHORT = (torch.bool, torch.uint8, torch.int8, torch.int16)


def _as_float(x: Tensor) -> Tensor:
    return x.to(torch_dtype(result_type(x.dtype, float)))


def _total(x: Tensor) -> torch.dtype:
    """What a sum or product is counted in."""
    return torch.int32 if x.dtype in _SHORT else x.dtype


def _nothing(axis: Axis) -> bool:
    """No axis at all; torch would take all of them."""
    return isinstance(axis, list | tuple) and len(axis) == 0


@op
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum."""
    if _nothing(axis):
        return x
    return torch.sum(x, axes(x, axis), keepdims, dtype=_total(x))


@op
def prod(x: Tensor, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product, counted in `dtype`."""
    kind = _total(x) if dtype is None else torch_dtype(dtype)
    for one in sorted(axes(x, axis), reverse=True):
        x = torch.prod(x, one, keepdims, dtype=kind)
    return x.to(kind)


@op
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean, a float also for integers."""
    if _nothing(axis):
        return x
    return torch.mean(_as_float(x), axes(x, axis), keepdims)


@op
def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean."""
    if _nothing(axis):
        return torch.zeros_like(_as_float(x))
    return torch.var(_as_float(x), axes(x, axis), correction=0, keepdim=keepdims)


@op
def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The square root of the variance."""
    if _nothing(axis):
        return torch.zeros_like(_as_float(x))
    return torch.std(_as_float(x), axes(x, axis), correction=0, keepdim=keepdims)


@op
def moments(
    x: Tensor, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean and the variance.

    Raises:
        ValueError: `synchronized`, over devices, isn't there.
    """
    if synchronized:
        raise ValueError("moments: over several devices isn't there. Received: synchronized=True")
    wide = x.to(torch.float32) if x.dtype is torch.float16 else x
    return mean(wide, axes, keepdims).to(x.dtype), var(wide, axes, keepdims).to(x.dtype)


@op
def amax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element. Equal ones share the gradient."""
    return x if _nothing(axis) else torch.amax(x, axes(x, axis), keepdims)


@op
def amin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element. Equal ones share the gradient."""
    return x if _nothing(axis) else torch.amin(x, axes(x, axis), keepdims)


@op
def max(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The largest element, or `initial` if that is larger or there is none."""
    if initial is None:
        return amax(x, axis, keepdims)
    first = torch.as_tensor(initial, dtype=x.dtype, device=x.device)
    return torch.maximum(_or_filled(x, axis, keepdims, first, torch.amax), first)


@op
def min(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The smallest element, or `initial` if that is smaller or there is none."""
    if initial is None:
        return amin(x, axis, keepdims)
    first = torch.as_tensor(initial, dtype=x.dtype, device=x.device)
    return torch.minimum(_or_filled(x, axis, keepdims, first, torch.amin), first)


def _or_filled(x: Tensor, axis: Axis, keepdims: bool, first: Tensor, reduce: Any) -> Tensor:
    if x.numel():
        return reduce(x, axes(x, axis), keepdims)
    return first.expand(torch.sum(x, axes(x, axis), keepdims).shape)


@op
def ptp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest minus the smallest element."""
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


@op
def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all are true."""
    x = x.to(torch.bool)
    return x if _nothing(axis) else torch.all(x, axes(x, axis), keepdims)


@op
def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one is true."""
    x = x.to(torch.bool)
    return x if _nothing(axis) else torch.any(x, axes(x, axis), keepdims)


@op
def count_nonzero(x: Tensor, axis: Axis = None) -> Tensor:
    """How many are not 0, as int32."""
    found = x.ne(0).to(torch.int32)
    return found if _nothing(axis) else torch.sum(found, axes(x, axis), dtype=torch.int32)


@op
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element is, as int32; None: in the flattened tensor."""
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmax(x, axis, keepdims).to(torch.int32)


@op
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element is, as int32; None: in the flattened tensor."""
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmin(x, axis, keepdims).to(torch.int32)


@op
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The sums up to each element along `axis`; None flattens first."""
    x, axis = flattened(x, axis)
    return torch.cumsum(x, axis, dtype=_running(x, dtype))


@op
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The products up to each element along `axis`; None flattens first."""
    x, axis = flattened(x, axis)
    return torch.cumprod(x, axis, dtype=_running(x, dtype))


def _running(x: Tensor, dtype: Any) -> torch.dtype:
    kind = x.dtype if dtype is None else torch_dtype(dtype)
    return torch.int32 if kind is torch.bool else kind


@op
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """Each element along `axis` minus the one before, n times over."""
    return torch.diff(a, n, axis)


@op
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))), without overflow."""
    return torch.logsumexp(_as_float(x), axes(x, axis), keepdims)


@op
def average(x: Tensor, axis: int | None = None, weights: Tensor | None = None) -> Tensor:
    """The mean weighted by `weights`: of x's shape, or a vector along `axis`.

    Raises:
        ValueError: the weights have another shape.
    """
    if weights is None:
        return mean(x, axis)
    kind = torch_dtype(result_type(x.dtype, weights.dtype, float))
    x, weights = x.to(kind), _along(weights.to(kind), x, axis)
    over = axes(x, axis)
    return torch.sum(x * weights, over) / torch.sum(weights.expand_as(x), over)


def _along(weights: Tensor, x: Tensor, axis: int | None) -> Tensor:
    if weights.shape == x.shape:
        return weights
    if axis is None or weights.ndim != 1 or len(weights) != x.shape[axis]:
        raise ValueError(
            "average: `weights` must have x's shape, or be a vector as long as `axis`. Received: "
            f"weights of shape {tuple(weights.shape)}, x of shape {tuple(x.shape)}, axis={axis}"
        )
    shape = [1] * x.ndim
    shape[axis] = -1
    return weights.reshape(shape)


@op
def quantile(
    x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """The values under which the parts `q` (0 to 1) of the elements lie.

    Args:
        method: "linear" (default), "lower", "higher", "midpoint" or "nearest".

    Returns:
        q's axes come first.
    """
    return _quantile(torch.quantile, x, q, axis, method, keepdims)


@op
def nanquantile(
    x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` without the elements that are NaN."""
    return _quantile(torch.nanquantile, x, q, axis, method, keepdims)


def _quantile(
    compute: Any, x: Tensor, q: Tensor, axis: Axis, method: str, keepdims: bool
) -> Tensor:
    kind = torch_dtype(result_type(x.dtype, float))
    wide = x.to(torch_dtype(result_type(x.dtype, torch.float32)))
    over = axes(x, axis)
    kept = [i for i in range(x.ndim) if i not in over]
    rows = wide.permute(*kept, *over).flatten(len(kept)) if x.ndim else wide.reshape(1)
    found = compute(rows, q.to(wide.dtype), -1, interpolation=method)
    for one in sorted(over) if keepdims else ():
        found = found.unsqueeze(one + q.ndim)
    return found.to(kind)


@op
def percentile(
    x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile`, with q in percent."""
    return quantile(x, _as_float(q) / 100, axis, method, keepdims)


@op
def nanpercentile(
    x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`nanquantile`, with q in percent."""
    return nanquantile(x, _as_float(q) / 100, axis, method, keepdims)


@op
def median(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two middle ones."""
    return quantile(x, 0.5, axis, "linear", keepdims)


@op
def nanmedian(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`median` without the elements that are NaN."""
    return nanquantile(x, 0.5, axis, "linear", keepdims)


@op
def nansum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`sum` without the elements that are NaN."""
    return sum(torch.nan_to_num(x, 0.0, torch.inf, -torch.inf), axis, keepdims)


@op
def nanprod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`prod` without the elements that are NaN."""
    return prod(torch.nan_to_num(x, 1.0, torch.inf, -torch.inf), axis, keepdims)


@op
def nanmean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`mean` without the elements that are NaN."""
    return x if _nothing(axis) else torch.nanmean(_as_float(x), axes(x, axis), keepdims)


@op
def nanvar(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`var` without the elements that are NaN."""
    x = _as_float(x)
    real = ~torch.isnan(x)
    distances = torch.where(real, x - nanmean(x, axis, True), 0.0)
    over = axes(x, axis)
    return torch.sum(distances**2, over, keepdims) / torch.sum(real, over, keepdims)


@op
def nanstd(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`std` without the elements that are NaN."""
    return torch.sqrt(nanvar(x, axis, keepdims))


@op
def nanmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`max` without the elements that are NaN; NaN where all are."""
    return _nan_extreme(amax, x, axis, keepdims, -torch.inf)


@op
def nanmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`min` without the elements that are NaN; NaN where all are."""
    return _nan_extreme(amin, x, axis, keepdims, torch.inf)


def _nan_extreme(reduce: Any, x: Tensor, axis: Axis, keepdims: bool, instead: float) -> Tensor:
    if not x.dtype.is_floating_point:
        return reduce(x, axis, keepdims)
    empty = torch.isnan(x)
    found = reduce(torch.where(empty, instead, x), axis, keepdims)
    return torch.where(all(empty, axis, keepdims), torch.nan, found)


@op
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmax` without the elements that are NaN; -1 where all are."""
    return _nan_where(argmax, x, axis, keepdims, -torch.inf)


@op
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmin` without the elements that are NaN; -1 where all are."""
    return _nan_where(argmin, x, axis, keepdims, torch.inf)


def _nan_where(search: Any, x: Tensor, axis: int | None, keepdims: bool, instead: float) -> Tensor:
    if not x.dtype.is_floating_point:
        return search(x, axis, keepdims)
    empty = torch.isnan(x)
    found = search(torch.where(empty, instead, x), axis, keepdims)
    return torch.where(all(empty, axis, keepdims), -1, found)


@op
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumsum` with 0 for NaN."""
    return cumsum(torch.nan_to_num(x, 0.0, torch.inf, -torch.inf), axis, dtype)


@op
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumprod` with 1 for NaN."""
    return cumprod(torch.nan_to_num(x, 1.0, torch.inf, -torch.inf), axis, dtype)


@op
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along `axis` by the trapezoidal rule, at places x or in steps of dx."""
    y = y.to(torch_dtype(config.floatx())) if y.dtype is torch.bool else y
    if x is not None:
        return torch.trapezoid(y, x=x, dim=axis)
    return torch.trapezoid(y, dx=dx, dim=axis)
