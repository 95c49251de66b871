"""Areas under curves of rates, from counts at thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.losses.functions import EPSILON, numbers
from elephas_torch.keras.metrics.base import Metric, ratio
from elephas_torch.keras.metrics.thresholds import count

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "minoring", "majoring")
_SUMS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class AUC(Metric):
    """The area under a curve of two rates, as the threshold goes from 1 to 0.

    Follows https://keras.io/api/metrics/classification_metrics/#auc-class

    Args:
        num_thresholds: how many thresholds, from 0 to 1, the curve has. Default 200.
        curve: "ROC" (default): true positives' rate over false positives'; "PR": precision over
            recall; "PRGAIN": precision gain over recall gain.
        summation_method: "interpolation" (default), or the sums below and above: "minoring",
            "majoring".
        name, dtype: see `Metric`.
        thresholds: thresholds of your own between 0 and 1, in place of `num_thresholds`; 0 and 1
            are added.
        multi_label: each column has an area of its own, and the result is their mean.
        num_labels: how many columns, with `multi_label`. Default None: as the data has.
        label_weights: a weight for each column.
        from_logits: predictions are what goes into the sigmoid. Default False.

    Raises:
        ValueError: an argument is none of these.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        self.curve = _choice("curve", curve, _CURVES)
        self.summation_method = _choice("summation_method", summation_method, _METHODS)
        self._given_thresholds = thresholds is not None
        inner = _inner(num_thresholds, thresholds)
        self.num_thresholds = len(inner) + 2
        self.thresholds = [-EPSILON, *inner, 1.0 + EPSILON]
        if num_labels and not multi_label:
            raise ValueError(
                "AUC: `num_labels` is for multi_label=True. "
                f"Received: num_labels={num_labels}, multi_label={multi_label}"
            )
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None
        if label_weights is not None:
            self.label_weights = torch.as_tensor(label_weights, dtype=torch.float64)
        self.from_logits = from_logits
        if not multi_label or num_labels:
            self._add_sums(num_labels)

    def _add_sums(self, labels: int | None) -> None:
        shape = (self.num_thresholds, labels) if labels else (self.num_thresholds,)
        for sums in _SUMS:
            setattr(self, sums, self.add_variable(shape, name=sums))

    def _fit(self, size: int) -> None:
        labels, left = divmod(size, len(_SUMS) * self.num_thresholds)
        if not self._variables and labels and not left:
            self._add_sums(labels)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        y_pred = numbers("y_pred", y_pred, type(self).__name__).detach()
        if self.from_logits:
            y_pred = torch.sigmoid(y_pred)
        if self.multi_label and y_pred.ndim != 2:
            raise ValueError(
                "AUC(multi_label=True) takes predictions of shape (rows, labels). "
                f"Received: y_pred of shape {tuple(y_pred.shape)}"
            )
        if not self._variables:
            self._add_sums(y_pred.shape[-1])
        found = count(
            y_true, y_pred, self.thresholds, sample_weight,
            label_weights=None if self.multi_label else self.label_weights,
            multi_label=self.multi_label,
        )  # fmt: skip
        for sums in _SUMS:
            getattr(self, sums).assign_add(getattr(found, sums).reshape(getattr(self, sums).shape))

    def result(self) -> float:
        if not self._variables:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated()
        else:
            areas = self._riemann(*self._curve())
        if not self.multi_label:
            return float(areas.sum())
        by_label = areas.sum(0)
        if self.label_weights is None:
            return float(by_label.mean())
        weights = self.label_weights.to(by_label)
        return float(ratio((by_label * weights).sum(), weights.sum()))

    def _curve(self) -> tuple[Tensor, Tensor]:
        """Returns x and y at each threshold."""
        tp, fp, tn, fn = (getattr(self, sums).detach() for sums in _SUMS)
        recall = ratio(tp, tp + fn)
        if self.curve == "ROC":
            return ratio(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, ratio(tp, tp + fp)
        odds = ratio(tp + fn, tn + fp)
        recall_gain = torch.where(tp == 0, 0.0, 1.0 - odds * ratio(fn, tp)).clamp(min=0.0)
        return recall_gain, torch.where(tp == 0, 1.0, 1.0 - odds * ratio(fp, tp))

    def _riemann(self, x: Tensor, y: Tensor) -> Tensor:
        if self.summation_method == "minoring":
            heights = torch.minimum(y[:-1], y[1:])
        elif self.summation_method == "majoring":
            heights = torch.maximum(y[:-1], y[1:])
        else:
            heights = (y[:-1] + y[1:]) / 2.0
        return (x[:-1] - x[1:]) * heights

    def _interpolated(self) -> Tensor:
        """The area under PR between thresholds, by Davis and Goadrich (2006): true positives grow
        in proportion to all positives, which makes precision a hyperbola."""
        tp, fp, _, fn = (getattr(self, sums).detach() for sums in _SUMS)
        all_ = tp + fp
        more = tp[:-1] - tp[1:]
        slope = ratio(more, (all_[:-1] - all_[1:]).clamp(min=0.0))
        intercept = tp[1:] - slope * all_[1:]
        both = (all_[:-1] > 0) & (all_[1:] > 0)
        growth = torch.where(both, ratio(all_[:-1], all_[1:]), 1.0)
        return ratio(slope * (more + intercept * growth.log()), tp[1:] + fn[1:])

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        own = {
            "num_thresholds": self.num_thresholds, "curve": self.curve,
            "summation_method": self.summation_method, "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else weights.tolist(),
            "from_logits": self.from_logits,
        }  # fmt: skip
        if self._given_thresholds:
            own["thresholds"] = self.thresholds[1:-1]
        return {**super().get_config(), **own}


def _choice(argument: str, value: Any, known: Sequence[str]) -> str:
    # Keras has enums for these; their values are the names.
    name = str(getattr(value, "value", value))
    found = next((one for one in known if one.lower() == name.lower()), None)
    if found is None:
        raise unknown(f"AUC {argument}", name, known)
    return found


def _inner(num_thresholds: int, thresholds: Sequence[float] | None) -> list[float]:
    if thresholds is None:
        check_whole("num_thresholds", num_thresholds, 2)
        return [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    if any(not 0 <= t <= 1 for t in thresholds):
        raise ValueError(
            f"AUC: `thresholds` must be from 0 to 1. Received: thresholds={list(thresholds)}"
        )
    return sorted(float(t) for t in thresholds)
