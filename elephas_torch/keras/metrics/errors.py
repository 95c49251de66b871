"""Errors: the losses as metrics, their means over all samples."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from elephas_torch.keras.losses import functions
from elephas_torch.keras.metrics.base import NamedMetric


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between the two, along `axis`."""
    return -functions.cosine_similarity(y_true, y_pred, axis)


class MeanSquaredError(NamedMetric):
    """mean((y_true - y_pred)^2)."""

    function = functions.mean_squared_error


class RootMeanSquaredError(NamedMetric):
    """The root of the mean of (y_true - y_pred)^2 over all samples."""

    function = functions.mean_squared_error

    def result(self) -> float:
        return math.sqrt(super().result())


class MeanAbsoluteError(NamedMetric):
    """mean(|y_true - y_pred|)."""

    function = functions.mean_absolute_error


class MeanAbsolutePercentageError(NamedMetric):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    function = functions.mean_absolute_percentage_error


class MeanSquaredLogarithmicError(NamedMetric):
    """mean((log(y_true + 1) - log(y_pred + 1))^2)."""

    function = functions.mean_squared_logarithmic_error


class LogCoshError(NamedMetric):
    """mean(log(cosh(y_pred - y_true)))."""

    function = functions.log_cosh
    default_name = "logcosh"


class CosineSimilarity(NamedMetric):
    """The mean cosine of the angle between targets and predictions, along `axis` (-1)."""

    function = cosine_similarity

    def __init__(self, name: str | None = None, axis: int = -1) -> None:
        super().__init__(name, axis=axis)


class Hinge(NamedMetric):
    """mean(max(1 - y_true * y_pred, 0)), targets -1 and 1 (or 0 and 1)."""

    function = functions.hinge


class SquaredHinge(NamedMetric):
    """mean(max(1 - y_true * y_pred, 0)^2), targets -1 and 1 (or 0 and 1)."""

    function = functions.squared_hinge


class CategoricalHinge(NamedMetric):
    """mean(max(neg - pos + 1, 0)), targets one-hot."""

    function = functions.categorical_hinge


class KLDivergence(NamedMetric):
    """mean(sum(y_true * log(y_true / y_pred)))."""

    function = functions.kl_divergence


class Poisson(NamedMetric):
    """mean(y_pred - y_true * log(y_pred))."""

    function = functions.poisson


class BinaryCrossentropy(NamedMetric):
    """The mean binary crossentropy; arguments as the loss's."""

    function = functions.binary_crossentropy

    def __init__(
        self, name: str | None = None, from_logits: bool = False, label_smoothing: float = 0
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(NamedMetric):
    """The mean categorical crossentropy; arguments as the loss's."""

    function = functions.categorical_crossentropy

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(NamedMetric):
    """The mean sparse categorical crossentropy; arguments as the loss's."""

    function = functions.sparse_categorical_crossentropy

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, from_logits=from_logits, ignore_class=ignore_class, axis=axis)
