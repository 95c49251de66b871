"""Losses on overlapping regions: Dice and Tversky."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch.keras.losses.base import NamedLoss
from elephas_torch.keras.losses.functions import EPSILON, paired

Axes = int | tuple[int, ...] | list[int] | None


def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> Tensor:
    """1 - 2 |A ∩ B| / (|A| + |B|), with sums for sizes.

    Args:
        y_true, y_pred: memberships from 0 to 1, of one shape.
        axis: what the sums are over, an axis or several. Default None, all.

    Returns:
        `y_pred`'s shape without these axes.
    """
    y_true, y_pred = paired(y_true, y_pred)
    both = _sum(y_true * y_pred, axis)
    return 1.0 - 2.0 * both / (_sum(y_true, axis) + _sum(y_pred, axis) + EPSILON)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None
) -> Tensor:
    """1 - |A ∩ B| / (|A ∩ B| + alpha |A - B| + beta |B - A|), A the targets (Salehi et al., 2017).

    Args:
        alpha: how much it counts that a target is missed. Default 0.5.
        beta: how much it counts that more is predicted. Default 0.5.
        y_true, y_pred, axis: see `dice`.
    """
    y_true, y_pred = paired(y_true, y_pred)
    both = _sum(y_true * y_pred, axis)
    missed = _sum((1.0 - y_pred) * y_true, axis)
    added = _sum(y_pred * (1.0 - y_true), axis)
    return 1.0 - both / (both + missed * alpha + added * beta + EPSILON)


class Dice(NamedLoss):
    """1 - 2 |A ∩ B| / (|A| + |B|), for targets and predictions from 0 to 1.

    Follows https://keras.io/api/losses/regression_losses/#dice-class

    Args:
        axis: what the sums are over. Default None, all: the batch has one value.
        reduction, name, dtype: see `Loss`.
    """

    function = dice
    options = ("axis",)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Axes = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = axis


class Tversky(NamedLoss):
    """1 - |A ∩ B| / (|A ∩ B| + alpha |A - B| + beta |B - A|), A the targets.

    Follows https://keras.io/api/losses/regression_losses/#tversky-class

    Args:
        alpha, beta: how much misses and additions count. Default 0.5: the Dice loss.
        axis: see `Dice`.
        reduction, name, dtype: see `Loss`.
    """

    function = tversky
    options = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Axes = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.alpha = alpha
        self.beta = beta
        self.axis = axis


def _sum(x: Tensor, axis: Axes) -> Tensor:
    return x.sum() if axis is None else x.sum(axis)
