"""Accuracies: functions that give 1 or 0 for each sample, and the metrics of their means."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.losses.functions import (
    broadcastable,
    class_numbers,
    misfit,
    numbers,
    paired,
    same_rank,
)
from elephas_torch.keras.metrics.reductions import NamedMetric


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the two are equal, else 0."""
    y_true, y_pred = paired(y_true, y_pred)
    return (y_true == y_pred).float()


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where the prediction is on the target's side of the threshold, else 0."""
    y_true, y_pred = same_rank(numbers("y_true", y_true), numbers("y_pred", y_pred))
    if not broadcastable(y_true.shape, y_pred.shape):
        raise misfit(y_true, y_pred)
    return ((y_pred > threshold) == y_true).float()


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the most probable class is the one of the one-hot target, else 0."""
    y_true, y_pred = numbers("y_true", y_true), numbers("y_pred", y_pred)
    if not broadcastable(y_true.shape[:-1], y_pred.shape[:-1]):
        raise misfit(y_true, y_pred)
    return (y_true.argmax(-1) == y_pred.argmax(-1)).float()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the most probable class is the target, a class number; else 0."""
    y_pred = numbers("y_pred", y_pred)
    return (_classes(y_true, y_pred) == y_pred.argmax(-1)).float()


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class of the one-hot target is among the k most probable ones, else 0."""
    y_true, y_pred = numbers("y_true", y_true), numbers("y_pred", y_pred)
    if y_true.shape[:-1] != y_pred.shape[:-1]:
        raise misfit(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(y_true.argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target, a class number, is among the k most probable ones, else 0.

    Args:
        y_true: class numbers, of `y_pred`'s shape without its last axis (or with 1 there).
        y_pred: probabilities or logits; with `from_sorted_ids` class numbers, the likeliest first.
        k: how many are looked at. Default 5.
        from_sorted_ids: see above. Default False.
    """
    y_pred = numbers("y_pred", y_pred)
    y_true = class_numbers(y_true, y_pred)
    if from_sorted_ids:
        return (y_pred[..., :k] == y_true.unsqueeze(-1)).any(-1).float()
    # As Keras: whoever is as probable as the k-th is among them.
    last = y_pred.topk(min(k, y_pred.shape[-1]), -1).values[..., -1]
    return (y_pred.gather(-1, y_true.unsqueeze(-1)).squeeze(-1) >= last).float()


def _classes(y_true: Any, y_pred: Tensor) -> Tensor:
    y_true = numbers("y_true", y_true)
    if y_true.ndim == y_pred.ndim and y_true.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if not broadcastable(y_true.shape, y_pred.shape[:-1]):
        raise misfit(y_true, y_pred, "the predictions' shape without the classes' axis")
    return y_true


def accuracy_by_shape(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The accuracy that Keras takes for targets and predictions of these shapes."""
    if y_pred.shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
        return sparse_categorical_accuracy(y_true, y_pred)
    return categorical_accuracy(y_true, y_pred)


class _Accuracy(NamedMetric):
    _direction = "up"
    function = accuracy


class Accuracy(_Accuracy):
    """The share of predictions that equal their target.

    Follows https://keras.io/api/metrics/accuracy_metrics/#accuracy-class
    """

    function = accuracy


class CategoricalAccuracy(_Accuracy):
    """The share of samples whose most probable class is that of the one-hot target.

    Follows https://keras.io/api/metrics/accuracy_metrics/#categoricalaccuracy-class
    """

    function = categorical_accuracy


class SparseCategoricalAccuracy(_Accuracy):
    """The share of samples whose most probable class is the target, a class number.

    Follows https://keras.io/api/metrics/accuracy_metrics/#sparsecategoricalaccuracy-class
    """

    function = sparse_categorical_accuracy


class BinaryAccuracy(_Accuracy):
    """The share of predictions on their target's side of a threshold.

    Follows https://keras.io/api/metrics/accuracy_metrics/#binaryaccuracy-class

    Args:
        name, dtype: see `Metric`.
        threshold: from 0 to 1. Default 0.5.

    Raises:
        ValueError: `threshold` is outside.
    """

    function = binary_accuracy

    def __init__(self, name: str | None = None, dtype: Any = None, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(
                f"BinaryAccuracy: `threshold` must be from 0 to 1. Received: threshold={threshold}"
            )
        super().__init__(name, dtype)
        self.options = {"threshold": threshold}


class TopKCategoricalAccuracy(_Accuracy):
    """The share of samples whose one-hot target is among the k most probable classes.

    Follows https://keras.io/api/metrics/accuracy_metrics/#topkcategoricalaccuracy-class

    Args:
        k: how many are looked at. Default 5.
        name, dtype: see `Metric`.

    Raises:
        ValueError: `k` isn't a whole number above 0.
    """

    function = top_k_categorical_accuracy

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        check_whole("k", k, 1)
        super().__init__(name, dtype)
        self.options = {"k": k}


class SparseTopKCategoricalAccuracy(_Accuracy):
    """The share of samples whose class number is among the k most probable classes.

    Follows https://keras.io/api/metrics/accuracy_metrics/#sparsetopkcategoricalaccuracy-class

    Args:
        k: how many are looked at. Default 5.
        name, dtype: see `Metric`.
        from_sorted_ids: predictions are class numbers, the likeliest first. Default False.

    Raises:
        ValueError: `k` isn't a whole number above 0.
    """

    function = sparse_top_k_categorical_accuracy

    def __init__(
        self,
        k: int = 5,
        name: str | None = None,
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        check_whole("k", k, 1)
        super().__init__(name, dtype)
        self.options = {"k": k, "from_sorted_ids": from_sorted_ids}
