"""Correlations between targets and predictions: Pearson's, and Lin's concordance."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch.keras.losses.functions import EPSILON, paired
from elephas_torch.keras.metrics.reductions import NamedMetric


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """cov(y_true, y_pred) / (std(y_true) std(y_pred)), along `axis`.

    Returns:
        `y_pred`'s shape without that axis; nan where one of the two is constant.
    """
    (y_true, true_spread), (y_pred, pred_spread) = _centred(y_true, y_pred, axis)
    return (y_true * y_pred).mean(axis) / (true_spread * pred_spread).sqrt()


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """2 cov(y_true, y_pred) / (var(y_true) + var(y_pred) + (their means' difference)^2).

    Returns:
        `y_pred`'s shape without that axis.
    """
    y_true, y_pred = paired(y_true, y_pred)
    apart = (y_true.mean(axis) - y_pred.mean(axis)).square()
    (y_true, true_spread), (y_pred, pred_spread) = _centred(y_true, y_pred, axis)
    return 2.0 * (y_true * y_pred).mean(axis) / (true_spread + pred_spread + apart + EPSILON)


def _centred(y_true: Any, y_pred: Any, axis: int) -> list[tuple[Tensor, Tensor]]:
    """Returns each without its mean, and its variance."""
    both = [x - x.mean(axis, keepdim=True) for x in paired(y_true, y_pred)]
    return [(x, x.square().mean(axis)) for x in both]


class PearsonCorrelation(NamedMetric):
    """The mean of the samples' correlations of targets and predictions.

    Follows https://keras.io/api/metrics/regression_metrics/ (PearsonCorrelation)

    Args:
        name, dtype: see `Metric`.
        axis: along which a sample's values are. Default -1, the last.
    """

    function = pearson_correlation
    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.options = {"axis": axis}


class ConcordanceCorrelation(NamedMetric):
    """The mean of the samples' concordance correlations: 1 where both are equal.

    Follows https://keras.io/api/metrics/regression_metrics/ (ConcordanceCorrelation)

    Args:
        name, dtype: see `Metric`.
        axis: along which a sample's values are. Default -1, the last.
    """

    function = concordance_correlation
    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.options = {"axis": axis}
