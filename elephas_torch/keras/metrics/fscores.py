"""F-scores: precision and recall in one number, for each class or over all."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.losses.functions import EPSILON, broadcastable, misfit, numbers
from elephas_torch.keras.losses.reduction import spread
from elephas_torch.keras.metrics.base import Metric, plain

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall).

    Follows https://keras.io/api/metrics/classification_metrics/#fbetascore-class. Targets (one-hot
    or several 1 a row) and predictions are (rows, classes).

    Args:
        average: None (default) for an array with a score for each class; "macro" for their mean;
            "weighted" for the mean weighted by how often each class is right; "micro" for one
            score over all.
        beta: how much more recall counts than precision. Default 1.
        threshold: predictions above it count as 1. Default None: each row's largest.
        name, dtype: see `Metric`.

    Raises:
        ValueError: an argument is out of its range, or the data has another rank.
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        owner = type(self).__name__
        if average not in _AVERAGES:
            raise unknown(f"{owner} average", average, map(str, _AVERAGES))
        if not 0 < beta < math.inf:
            raise ValueError(f"{owner}: `beta` must be above 0. Received: beta={beta}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(
                f"{owner}: `threshold` must be above 0 and at most 1, or None. "
                f"Received: threshold={threshold}"
            )
        self.average = average
        self.beta = float(beta)
        self.threshold = threshold

    def _fit(self, size: int) -> None:
        if not self._variables and size and size % 4 == 0:
            self._add_classes(size // 4)

    def _add_classes(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, name="intermediate_weights")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the rows or None."""
        y_pred = numbers("y_pred", y_pred, type(self).__name__).detach()
        y_true = numbers("y_true", y_true, type(self).__name__, device=y_pred.device)
        y_true = y_true.to(widest(y_true.device))
        if y_pred.ndim != 2 or y_true.ndim != 2:
            raise ValueError(
                f"{type(self).__name__} takes targets and predictions of shape (rows, classes). "
                f"Received: y_true of shape {tuple(y_true.shape)} and y_pred of shape "
                f"{tuple(y_pred.shape)}"
            )
        if not broadcastable(y_true.shape, y_pred.shape):
            raise misfit(y_true, y_pred)
        if not self._variables:
            self._add_classes(y_pred.shape[-1])
        chosen = self._chosen(y_pred).to(y_true.dtype)
        weights = torch.ones_like(chosen)
        if sample_weight is not None:
            given = numbers("sample_weight", sample_weight, type(self).__name__)
            weights = spread(given.to(chosen), chosen)
        axes = (0, 1) if self.average == "micro" else (0,)
        self.true_positives.assign_add((chosen * y_true * weights).sum(axes))
        self.false_positives.assign_add((chosen * (1 - y_true) * weights).sum(axes))
        self.false_negatives.assign_add(((1 - chosen) * y_true * weights).sum(axes))
        self.intermediate_weights.assign_add((y_true * weights).sum(axes))

    def _chosen(self, y_pred: Tensor) -> Tensor:
        if self.threshold is not None:
            return y_pred > self.threshold
        return (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)

    def result(self) -> Any:
        if not self._variables:
            return 0.0
        precision = self.true_positives / (self.true_positives + self.false_positives + EPSILON)
        recall = self.true_positives / (self.true_positives + self.false_negatives + EPSILON)
        square = self.beta**2
        scores = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "weighted":
            weights = self.intermediate_weights
            scores = (scores * (weights / (weights.sum() + EPSILON))).sum()
        elif self.average is not None:
            scores = scores.mean()
        return plain(scores)

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall).

    Follows https://keras.io/api/metrics/classification_metrics/#f1score-class

    Args:
        average, threshold: see `FBetaScore`.
        name, dtype: see `Metric`.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
