"""The coefficient of determination."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.losses.functions import numbers, paired
from elephas_torch.keras.losses.reduction import spread
from elephas_torch.keras.metrics.base import Metric, plain

_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """1 - the squared error / the variance of the targets, for each output.

    Follows https://keras.io/api/metrics/regression_metrics/#r2score-class. Targets and predictions
    are (rows, outputs).

    Args:
        class_aggregation: what is made of several outputs' scores: "uniform_average" (default),
            "variance_weighted_average", or None for an array of them.
        num_regressors: how many independent variables the score is adjusted for. Default 0: not.
        name, dtype: see `Metric`.

    Raises:
        ValueError: an argument is none of these, or the data has another rank.
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in _AGGREGATIONS:
            raise unknown("class_aggregation", class_aggregation, map(str, _AGGREGATIONS))
        check_whole("num_regressors", num_regressors, 0)
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), name="num_samples")

    def _fit(self, size: int) -> None:
        if len(self._variables) == 1 and size > 1 and (size - 1) % 4 == 0:
            self._add_outputs((size - 1) // 4)

    def _add_outputs(self, outputs: int) -> None:
        self.squared_sum = self.add_variable((outputs,), name="squared_sum")
        self.sum = self.add_variable((outputs,), name="sum")
        self.total_mse = self.add_variable((outputs,), name="residual")
        self.count = self.add_variable((outputs,), name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the rows or values or None."""
        y_true, y_pred = (x.detach() for x in paired(y_true, y_pred))
        y_true, y_pred = (x.to(widest(x.device)) for x in (y_true, y_pred))
        if y_pred.ndim != 2 or y_true.ndim != 2:
            raise ValueError(
                "R2Score takes targets and predictions of shape (rows, outputs). Received: "
                f"y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}"
            )
        if len(self._variables) == 1:
            self._add_outputs(y_pred.shape[-1])
        weights = torch.ones_like(y_true)
        if sample_weight is not None:
            given = numbers("sample_weight", sample_weight, type(self).__name__)
            weights = spread(given.to(y_true), y_true)
        self.sum.assign_add((y_true * weights).sum(0))
        self.squared_sum.assign_add((y_true.square() * weights).sum(0))
        self.total_mse.assign_add(((y_true - y_pred).square() * weights).sum(0))
        self.count.assign_add(weights.sum(0))
        self.num_samples.assign_add(y_true.numel())

    def result(self) -> Any:
        if len(self._variables) == 1:
            return 0.0
        total = self.squared_sum - self.sum * self.sum / self.count
        scores = 1.0 - self.total_mse / total
        scores = torch.where(scores.isinf(), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        return plain(self._adjusted(scores))

    def _adjusted(self, scores: Tensor) -> Tensor:
        rows = float(self.num_samples)
        if not self.num_regressors:
            return scores
        if self.num_regressors >= rows - 1:
            warnings.warn(
                f"R2Score isn't adjusted: it takes more than num_regressors + 1 = "
                f"{self.num_regressors + 1} values, and there are {rows:g}.",
                stacklevel=3,
            )
            return scores
        return 1.0 - (1.0 - scores) * (rows - 1.0) / (rows - self.num_regressors - 1.0)

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
