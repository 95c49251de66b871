"""Intersection over union, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.losses.functions import EPSILON, misfit, numbers
from elephas_torch.keras.losses.reduction import spread
from elephas_torch.keras.metrics.base import Metric


class IoU(Metric):
    """The mean of right / (predicted or true) over some classes.

    Follows https://keras.io/api/metrics/segmentation_metrics/#iou-class

    Args:
        num_classes: how many classes there are. Class numbers outside aren't counted.
        target_class_ids: the classes whose mean it is.
        name, dtype: see `Metric`. Default dtype "int32", which is for configs: weights count as
            they are.
        ignore_class: targets of this class don't count. Default None.
        sparse_y_true, sparse_y_pred: class numbers (True, the default), or one-hot targets and
            probabilities.
        axis: the classes' axis, where they are no class numbers. Default -1.

    Raises:
        ValueError: a class of `target_class_ids` isn't below `num_classes`.
    """

    _direction = "up"
    default_dtype = "int32"
    #: What configs have of it.
    _arguments: ClassVar[tuple[str, ...]] = (
        "num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis",
    )  # fmt: skip

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        check_whole("num_classes", num_classes, 1)
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        if not self.target_class_ids or not all(
            0 <= t < num_classes for t in self.target_class_ids
        ):
            raise ValueError(
                f"{type(self).__name__}: `target_class_ids` must be classes from 0 to "
                f"{num_classes - 1}. Received: target_class_ids={self.target_class_ids}"
            )
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        y_pred = numbers("y_pred", y_pred, type(self).__name__)
        y_true = numbers("y_true", y_true, type(self).__name__, device=y_pred.device)
        given = y_true, y_pred
        y_true = y_true if self.sparse_y_true else y_true.argmax(self.axis)
        y_pred = y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)
        if y_true.numel() != y_pred.numel():
            raise misfit(*given, "as many classes as the predictions")
        weights = self._weights(sample_weight, y_true)
        y_true, y_pred = y_true.long().reshape(-1), y_pred.long().reshape(-1)
        size = self.num_classes
        counted = (y_true >= 0) & (y_true < size) & (y_pred >= 0) & (y_pred < size)
        if self.ignore_class is not None:
            counted &= y_true != self.ignore_class
        cells = torch.where(counted, y_true * size + y_pred, 0)
        sums = torch.bincount(cells, weights * counted, size * size)
        self.total_cm.assign_add(sums.reshape(size, size))

    def _weights(self, sample_weight: Any, y_true: Tensor) -> Tensor:
        ones = torch.ones(y_true.shape, dtype=widest(y_true.device), device=y_true.device)
        if sample_weight is not None:
            given = numbers("sample_weight", sample_weight, type(self).__name__).to(ones)
            if given.numel() == ones.numel():
                return given.reshape(-1)
            ones = spread(given, ones)
        return ones.reshape(-1)

    def result(self) -> float:
        right = self.total_cm.diagonal()
        either = self.total_cm.sum(0) + self.total_cm.sum(1) - right
        right, either = right[self.target_class_ids], either[self.target_class_ids]
        there = either > 1e-9
        shares = torch.where(there, right / (either + EPSILON), 0.0)
        return float(shares.sum() / (there.sum() + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self._arguments}}


class BinaryIoU(IoU):
    """IoU of two classes, from probabilities of the second.

    Follows https://keras.io/api/metrics/segmentation_metrics/#binaryiou-class

    Args:
        target_class_ids: the classes whose mean it is: (0, 1) by default.
        threshold: predictions of it or more are class 1. Default 0.5.
        name, dtype: see `IoU`.

    Raises:
        ValueError: see `IoU`.
    """

    def __init__(
        self,
        target_class_ids: Iterable[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    _arguments = ("target_class_ids", "threshold")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, probabilities, and weights for the values or None."""
        above = numbers("y_pred", y_pred, type(self).__name__) >= self.threshold
        super().update_state(y_true, above, sample_weight)


class MeanIoU(IoU):
    """IoU's mean over all classes.

    Follows https://keras.io/api/metrics/segmentation_metrics/#meaniou-class

    Args:
        num_classes, ignore_class, sparse_y_true, sparse_y_pred, axis: see `IoU`.
        name, dtype: see `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        ids = range(num_classes)
        super().__init__(
            num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )

    _arguments: ClassVar[tuple[str, ...]] = (
        "num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis",
    )  # fmt: skip


class OneHotIoU(IoU):
    """IoU of one-hot targets.

    Follows https://keras.io/api/metrics/segmentation_metrics/#onehotiou-class

    Args:
        num_classes, target_class_ids, ignore_class, axis: see `IoU`.
        sparse_y_pred: predictions are class numbers. Default False: probabilities.
        name, dtype: see `IoU`.

    Raises:
        ValueError: see `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )

    _arguments = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")


class OneHotMeanIoU(MeanIoU):
    """IoU's mean over all classes, for one-hot targets.

    Follows https://keras.io/api/metrics/segmentation_metrics/#onehotmeaniou-class

    Args:
        num_classes, ignore_class, axis: see `IoU`.
        sparse_y_pred: predictions are class numbers. Default False: probabilities.
        name, dtype: see `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    _arguments = ("num_classes", "ignore_class", "sparse_y_pred", "axis")
