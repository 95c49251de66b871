"""Errors: the losses as metrics, their means over all samples.

For the arguments `name` and `dtype`, which all of them take, see `Metric`; what they compute is
said at the loss of the name.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from elephas_torch.keras.losses import functions
from elephas_torch.keras.losses.crossentropies import smoothing
from elephas_torch.keras.metrics.reductions import Mean, NamedMetric


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between the two, along `axis`."""
    return -functions.cosine_similarity(y_true, y_pred, axis)


class MeanSquaredError(NamedMetric):
    """mean((y_true - y_pred)^2)."""

    function = functions.mean_squared_error


class RootMeanSquaredError(Mean):
    """The root of the mean of (y_true - y_pred)^2 over all samples.

    Follows https://keras.io/api/metrics/regression_metrics/#rootmeansquarederror-class

    Args:
        name, dtype: see `Metric`.
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        y_true, y_pred = functions.paired(y_true, y_pred)
        self._add((y_pred - y_true).square(), sample_weight)

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
    """The mean cosine of the angle between targets and predictions.

    Follows https://keras.io/api/metrics/regression_metrics/#cosinesimilarity-class

    Args:
        name, dtype: see `Metric`.
        axis: along which. Default -1, the last.
    """

    function = cosine_similarity
    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.options = {"axis": axis}


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
    """The mean binary crossentropy.

    Follows https://keras.io/api/metrics/probabilistic_metrics/#binarycrossentropy-class

    Args:
        name, dtype: see `Metric`.
        from_logits, label_smoothing: as the loss's.
    """

    function = functions.binary_crossentropy

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, dtype)
        smoothing(label_smoothing)
        self.options = {"from_logits": from_logits, "label_smoothing": label_smoothing}


class CategoricalCrossentropy(NamedMetric):
    """The mean categorical crossentropy.

    Follows https://keras.io/api/metrics/probabilistic_metrics/#categoricalcrossentropy-class

    Args:
        name, dtype: see `Metric`.
        from_logits, label_smoothing, axis: as the loss's.
    """

    function = functions.categorical_crossentropy

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        smoothing(label_smoothing)
        self.options = {
            "from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis,
        }  # fmt: skip


class SparseCategoricalCrossentropy(NamedMetric):
    """The mean sparse categorical crossentropy.

    Follows https://keras.io/api/metrics/probabilistic_metrics/#sparsecategoricalcrossentropy-class

    Args:
        name, dtype: see `Metric`.
        from_logits, axis: as the loss's.
        ignore_class: samples of this class count 0; where there are weights, they don't count.
    """

    function = functions.sparse_categorical_crossentropy

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
