"""Counts of right and wrong positives and negatives; precision and recall."""

from __future__ import annotations

from typing import Any, ClassVar

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.metrics.base import Metric, plain, ratio
from elephas_torch.keras.metrics.thresholds import count, parsed


class _Thresholded(Metric):
    """Sums at each of some thresholds: those of `Counts` that are named in `sums`."""

    sums: ClassVar[tuple[str, ...]] = ()

    def _keep(self, thresholds: Any, default: float) -> None:
        self.init_thresholds = thresholds
        self.thresholds = parsed(thresholds, default, type(self).__name__)
        for name in self.sums:
            setattr(self, name, self.add_variable((len(self.thresholds),), name=name))

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> None:
        counts = count(y_true, y_pred, self.thresholds, sample_weight, **options)
        for name in self.sums:
            getattr(self, name).assign_add(getattr(counts, name))


class _Count(_Thresholded):
    """The sum of the weights of one of the four kinds."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._keep(thresholds, 0.5)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        sums = getattr(self, self.sums[0])
        return plain(sums[0] if len(self.thresholds) == 1 else sums)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """How many predictions above the threshold are right, by weight.

    Follows https://keras.io/api/metrics/classification_metrics/#truepositives-class

    Args:
        thresholds: a number, or a list for an array of results. Default 0.5.
        name, dtype: see `Metric`.

    Raises:
        ValueError: a threshold is outside [0, 1].
    """

    sums = ("true_positives",)


class TrueNegatives(_Count):
    """How many predictions not above the threshold are right, by weight.

    Follows https://keras.io/api/metrics/classification_metrics/#truenegatives-class

    Args:
        thresholds: a number, or a list for an array of results. Default 0.5.
        name, dtype: see `Metric`.

    Raises:
        ValueError: a threshold is outside [0, 1].
    """

    sums = ("true_negatives",)


class FalsePositives(_Count):
    """How many predictions above the threshold are wrong, by weight.

    Follows https://keras.io/api/metrics/classification_metrics/#falsepositives-class

    Args:
        thresholds: a number, or a list for an array of results. Default 0.5.
        name, dtype: see `Metric`.

    Raises:
        ValueError: a threshold is outside [0, 1].
    """

    sums = ("false_positives",)


class FalseNegatives(_Count):
    """How many predictions not above the threshold are wrong, by weight.

    Follows https://keras.io/api/metrics/classification_metrics/#falsenegatives-class

    Args:
        thresholds: a number, or a list for an array of results. Default 0.5.
        name, dtype: see `Metric`.

    Raises:
        ValueError: a threshold is outside [0, 1].
    """

    sums = ("false_negatives",)


class _Rate(_Thresholded):
    """The true positives' share: of `sums`, the first over both."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if top_k is not None:
            check_whole("top_k", top_k, 1)
        if class_id is not None:
            check_whole("class_id", class_id, 0)
        self.top_k = top_k
        self.class_id = class_id
        # With top_k alone every prediction that is kept counts, however small.
        self._keep(thresholds, 0.5 if top_k is None else -1e10)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> Any:
        right, wrong = (getattr(self, name) for name in self.sums)
        found = ratio(right, right + wrong)
        return plain(found[0] if len(self.thresholds) == 1 else found)

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Rate):
    """The share of right ones among the predictions above a threshold.

    Follows https://keras.io/api/metrics/classification_metrics/#precision-class

    Args:
        thresholds: a number, or a list for an array of results. Default 0.5; with `top_k` none.
        top_k: only the k largest predictions of a row count as 1. Default None: all.
        class_id: only this class counts. Default None: all.
        name, dtype: see `Metric`.

    Raises:
        ValueError: a threshold is outside [0, 1], `top_k` isn't 1 or more, `class_id` 0 or more.
    """

    sums = ("true_positives", "false_positives")


class Recall(_Rate):
    """The share of targets 1 whose predictions are above a threshold.

    Follows https://keras.io/api/metrics/classification_metrics/#recall-class

    Args:
        thresholds, top_k, class_id: see `Precision`.
        name, dtype: see `Metric`.

    Raises:
        ValueError: see `Precision`.
    """

    sums = ("true_positives", "false_negatives")
