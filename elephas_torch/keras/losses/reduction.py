"""From a value for each sample to one number: weights, masks, and the ways to add up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.losses.functions import numbers, same_rank

MEANS = ("sum_over_batch_size", "mean")
REDUCTIONS = (*MEANS, "sum", "mean_with_sample_weight", "none", None)


class Reduction:
    """Keras 2's names for reductions; Keras 3 takes the strings."""

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """Returns the names."""
        return cls.AUTO, cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE


def reduce_weighted(
    values: Tensor, sample_weight: Any, mask: Tensor | None, reduction: str | None
) -> Tensor:
    """Returns the values, each times its weight, reduced.

    Args:
        values: any shape.
        sample_weight: weights for `values` or for its first axes, array or tensor; None for 1.
        mask: bool, as `sample_weight`: values that it is False for don't count. None for all.
        reduction: see `Loss`.

    Raises:
        ValueError: the weights' or the mask's shape doesn't fit the values'.
    """
    weights = masked_weights(sample_weight, mask, reduction, values.dtype, values.device)
    if weights is not None:
        # A loss of one number a batch, such as Dice, counts for each weight.
        values = values * (spread(weights, values) if values.ndim else weights)
    if reduction in (None, "none"):
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weights is not None:
        total = weights.sum()
        return torch.where(total == 0, 0.0, values.sum() / total)
    return values.sum() / max(values.numel(), 1)


def masked_weights(
    sample_weight: Any,
    mask: Tensor | None,
    reduction: str | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor | None:
    """Returns the weights times the mask; None where there is neither.

    With a mean the mask weighs total / valid, so that the mean over all values becomes the mean
    over those that count.
    """
    weights = None
    if sample_weight is not None:
        weights = numbers("sample_weight", sample_weight, dtype=dtype, device=device)
    if mask is None:
        return weights
    counts = torch.as_tensor(mask, device=device).to(dtype)
    if reduction in MEANS:
        counts = counts * (counts.numel() / counts.sum().clamp(min=1))
    if weights is None:
        return counts
    counts, weights = aligned(counts, weights)
    return counts * weights


def aligned(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both in shapes that multiply: weights of the first axes count for all that follows.

    Raises:
        ValueError: the weights don't fit.
    """
    if values.shape == weights.shape:
        return values, weights
    several, weight = same_rank(values, weights)
    rank = max(several.ndim, weight.ndim)
    several, weight = _with_axes(several, rank), _with_axes(weight, rank)
    if any(a != b and 1 not in (a, b) for a, b in zip(several.shape, weight.shape, strict=True)):
        raise _misfit(weights, values)
    return several, weight


def spread(weights: Tensor, values: Tensor) -> Tensor:
    """Returns the weights in the values' shape, as a view where it can be one.

    Raises:
        ValueError: they don't fit.
    """
    several, weight = aligned(values, weights)
    if weight.numel() > several.numel():
        raise _misfit(weights, values)
    return weight.expand(several.shape).reshape(values.shape)


def _with_axes(x: Tensor, rank: int) -> Tensor:
    return x if x.ndim == rank else x.reshape(*x.shape, *(1,) * (rank - x.ndim))


def _misfit(weights: Tensor, values: Tensor) -> ValueError:
    return ValueError(
        "`sample_weight` must have a weight for each value, or for each of the values' first "
        f"axes. Received: sample_weight of shape {tuple(weights.shape)} for values of shape "
        f"{tuple(values.shape)}"
    )
