"""The best of one rate where another is high enough: sensitivity at specificity, and its kin."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.metrics.base import Metric, ratio
from elephas_torch.keras.metrics.thresholds import count

_SUMS = ("true_positives", "true_negatives", "false_positives", "false_negatives")


class _At(Metric):
    """The largest `wanted` rate among thresholds at which the `given` rate is `value` or more."""

    _direction = "up"
    given: ClassVar[str]
    wanted: ClassVar[str]

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ValueError(
                f"{type(self).__name__}: `{self.given}` must be from 0 to 1. "
                f"Received: {self.given}={value}"
            )
        check_whole("num_thresholds", num_thresholds, 1)
        if class_id is not None:
            check_whole("class_id", class_id, 0)
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        last = num_thresholds - 1
        self.thresholds = [i / last for i in range(num_thresholds)] if last else [0.5]
        for sums in _SUMS:
            setattr(self, sums, self.add_variable((num_thresholds,), name=sums))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        found = count(y_true, y_pred, self.thresholds, sample_weight, class_id=self.class_id)
        for sums in _SUMS:
            getattr(self, sums).assign_add(getattr(found, sums))

    def _rate(self, name: str) -> Tensor:
        first, second = _RATES[name]
        right, wrong = getattr(self, first), getattr(self, second)
        return ratio(right, right + wrong)

    def result(self) -> float:
        # In float32 as Keras: a rate that falls short by rounding alone is high enough.
        enough = self._rate(self.given).float() >= torch.tensor(self.value)
        return float(torch.where(enough, self._rate(self.wanted), 0.0).max())

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_thresholds": self.num_thresholds, self.given: self.value,
            "class_id": self.class_id,
        }  # fmt: skip
        return {**super().get_config(), **own}


#: The sums of a rate: the first divided by both.
_RATES = {
    "sensitivity": ("true_positives", "false_negatives"),
    "recall": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
    "precision": ("true_positives", "false_positives"),
}


class SensitivityAtSpecificity(_At):
    """The largest sensitivity (recall) at thresholds where the specificity is high enough.

    Follows https://keras.io/api/metrics/classification_metrics/#sensitivityatspecificity-class

    Args:
        specificity: the least share of targets 0 that must be found as such.
        num_thresholds: how many thresholds from 0 to 1 are tried. Default 200.
        class_id: only this class counts. Default None: all.
        name, dtype: see `Metric`.

    Raises:
        ValueError: `specificity` is outside [0, 1], or `num_thresholds` below 1.
    """

    given, wanted = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity


class SpecificityAtSensitivity(_At):
    """The largest specificity at thresholds where the sensitivity (recall) is high enough.

    Follows https://keras.io/api/metrics/classification_metrics/#specificityatsensitivity-class

    Args:
        sensitivity: the least share of targets 1 that must be found.
        num_thresholds, class_id: see `SensitivityAtSpecificity`.
        name, dtype: see `Metric`.

    Raises:
        ValueError: `sensitivity` is outside [0, 1], or `num_thresholds` below 1.
    """

    given, wanted = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity


class PrecisionAtRecall(_At):
    """The largest precision at thresholds where the recall is high enough.

    Follows https://keras.io/api/metrics/classification_metrics/#precisionatrecall-class

    Args:
        recall: the least share of targets 1 that must be found.
        num_thresholds, class_id: see `SensitivityAtSpecificity`.
        name, dtype: see `Metric`.

    Raises:
        ValueError: `recall` is outside [0, 1], or `num_thresholds` below 1.
    """

    given, wanted = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = recall


class RecallAtPrecision(_At):
    """The largest recall at thresholds where the precision is high enough.

    Follows https://keras.io/api/metrics/classification_metrics/#recallatprecision-class

    Args:
        precision: the least share of right ones among what is above the threshold.
        num_thresholds, class_id: see `SensitivityAtSpecificity`.
        name, dtype: see `Metric`.

    Raises:
        ValueError: `precision` is outside [0, 1], or `num_thresholds` below 1.
    """

    given, wanted = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = precision
