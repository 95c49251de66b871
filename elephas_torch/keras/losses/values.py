"""Losses on numbers: squared and absolute errors, hinges, and distances of distributions.

For the arguments `reduction`, `name` and `dtype`, which all of them take, see `Loss`.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.losses import functions
from elephas_torch.keras.losses.base import NamedLoss


class MeanSquaredError(NamedLoss):
    """mean((y_true - y_pred)^2)."""

    function = functions.mean_squared_error

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_true.shape != y_pred.shape or y_true.dtype is not y_pred.dtype:
            return super().mean(y_true, y_pred)
        return F.mse_loss(y_pred, y_true)


class MeanAbsoluteError(NamedLoss):
    """mean(|y_true - y_pred|)."""

    function = functions.mean_absolute_error

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_true.shape != y_pred.shape or y_true.dtype is not y_pred.dtype:
            return super().mean(y_true, y_pred)
        return F.l1_loss(y_pred, y_true)


class MeanAbsolutePercentageError(NamedLoss):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    function = functions.mean_absolute_percentage_error


class MeanSquaredLogarithmicError(NamedLoss):
    """mean((log(y_true + 1) - log(y_pred + 1))^2)."""

    function = functions.mean_squared_logarithmic_error


class LogCosh(NamedLoss):
    """mean(log(cosh(y_pred - y_true)))."""

    function = functions.log_cosh


class Hinge(NamedLoss):
    """mean(max(1 - y_true * y_pred, 0)), targets -1 and 1 (or 0 and 1)."""

    function = functions.hinge


class SquaredHinge(NamedLoss):
    """mean(max(1 - y_true * y_pred, 0)^2), targets -1 and 1 (or 0 and 1)."""

    function = functions.squared_hinge


class CategoricalHinge(NamedLoss):
    """max(neg - pos + 1, 0), targets one-hot."""

    function = functions.categorical_hinge
    targets = "one-hot"


class KLDivergence(NamedLoss):
    """sum(y_true * log(y_true / y_pred))."""

    function = functions.kl_divergence


class Poisson(NamedLoss):
    """mean(y_pred - y_true * log(y_pred))."""

    function = functions.poisson


class CosineSimilarity(NamedLoss):
    """Minus the cosine of the angle between targets and predictions, along `axis`.

    Args:
        axis: Default -1, the last.
        reduction, name, dtype: see `Loss`.
    """

    function = functions.cosine_similarity
    options = ("axis",)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = axis


class Huber(NamedLoss):
    """Squared for differences up to `delta` (default 1), linear beyond."""

    function = functions.huber
    default_name = "huber_loss"
    options = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = delta
