"""Crossentropies, and their twins on logits."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.losses import functions
from elephas_torch.keras.losses.base import Loss, NamedLoss
from elephas_torch.keras.losses.functions import paired, smoothed


class BinaryCrossentropy(NamedLoss):
    """mean(-log p for targets 1, -log(1 - p) for targets 0).

    Args:
        from_logits: predictions are what goes into the sigmoid, not probabilities.
        label_smoothing: moves the targets this share of the way to 0.5.
        axis: what the mean of a sample is over. Default -1, the last.
        reduction, name, dtype: see `Loss`.
    """

    function = functions.binary_crossentropy
    options = ("from_logits", "label_smoothing", "axis")
    targets = "binary"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = smoothing(label_smoothing)
        self.axis = axis

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if not self.from_logits:
            return super().mean(y_true, y_pred)
        if y_true.shape != y_pred.shape or y_true.dtype is not y_pred.dtype:
            y_true, y_pred = paired(y_true, y_pred)
        y_true = smoothed(y_true, self.label_smoothing, 2)
        return F.binary_cross_entropy_with_logits(y_pred, y_true)

    def fused(self, activation: str) -> Loss | None:
        return None if activation != "sigmoid" or self.from_logits else _on_logits(self)


class BinaryFocalCrossentropy(NamedLoss):
    """Binary crossentropy that counts what is known already less, by (1 - p)^gamma.

    Args:
        apply_class_balancing: weigh targets 1 with alpha, 0 with 1 - alpha.
        alpha, gamma: Defaults 0.25 and 2.
        from_logits, label_smoothing, axis: see `BinaryCrossentropy`.
        reduction, name, dtype: see `Loss`.
    """

    function = functions.binary_focal_crossentropy
    options = (
        "from_logits", "label_smoothing", "axis", "apply_class_balancing", "alpha", "gamma",
    )  # fmt: skip
    targets = "binary"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = smoothing(label_smoothing)
        self.axis = axis


class CategoricalCrossentropy(NamedLoss):
    """-sum(y_true * log p) over the classes, targets one-hot or probabilities.

    Args:
        from_logits: predictions are what goes into the softmax, not probabilities.
        label_smoothing: moves the targets this share of the way to equal probabilities.
        axis: the classes' axis. Default -1, the last.
        reduction, name, dtype: see `Loss`.
    """

    function = functions.categorical_crossentropy
    options = ("from_logits", "label_smoothing", "axis")
    targets = "one-hot"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = smoothing(label_smoothing)
        self.axis = axis

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if not self.from_logits or self.axis != -1 or y_true.shape != y_pred.shape:
            return super().mean(y_true, y_pred)
        if y_true.dtype is not y_pred.dtype:
            y_true = y_true.to(y_pred.dtype)
        if y_pred.ndim != 2:
            y_true, y_pred = y_true.flatten(0, -2), y_pred.flatten(0, -2)
        return F.cross_entropy(y_pred, y_true, label_smoothing=self.label_smoothing)

    def fused(self, activation: str) -> Loss | None:
        fits = activation == "softmax" and not self.from_logits and self.axis == -1
        return _on_logits(self) if fits else None


class CategoricalFocalCrossentropy(NamedLoss):
    """Categorical crossentropy that counts what is known already less, by (1 - p)^gamma.

    Args:
        alpha, gamma: Defaults 0.25 and 2.
        from_logits, label_smoothing, axis: see `CategoricalCrossentropy`.
        reduction, name, dtype: see `Loss`.
    """

    function = functions.categorical_focal_crossentropy
    options = ("from_logits", "label_smoothing", "axis", "alpha", "gamma")
    targets = "one-hot"

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = smoothing(label_smoothing)
        self.axis = axis


class SparseCategoricalCrossentropy(NamedLoss):
    """-log p of the right class, targets class numbers.

    Args:
        from_logits: predictions are what goes into the softmax, not probabilities.
        ignore_class: samples of this class don't count.
        reduction: see `Loss`.
        axis: the classes' axis. Default -1, the last.
        name, dtype: see `Loss`.
    """

    function = functions.sparse_categorical_crossentropy
    options = ("from_logits", "ignore_class", "axis")
    targets = "classes"
    target_dtype = torch.int64

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if not self.from_logits or self.axis != -1 or self.ignore_class is not None:
            return super().mean(y_true, y_pred)
        if y_true.dtype is not torch.int64:
            y_true = y_true.long()
        if y_true.ndim != 1 or y_pred.ndim != 2:
            y_true = functions.class_numbers(y_true, y_pred).flatten()
            y_pred = y_pred.flatten(0, -2)
        if len(y_true) != len(y_pred):
            raise functions.misfit(y_true, y_pred, "a class number for each row")
        return F.cross_entropy(y_pred, y_true)

    def fused(self, activation: str) -> Loss | None:
        fits = activation == "softmax" and not self.from_logits and self.axis == -1
        return _on_logits(self) if fits else None


class CategoricalGeneralizedCrossEntropy(NamedLoss):
    """(1 - p^q) / q of the right class: learns less from labels that are wrong.

    Follows https://keras.io/api/losses/probabilistic_losses/. Targets are class numbers,
    predictions probabilities.

    Args:
        q: from the crossentropy (near 0) to the absolute error (near 1). Default 0.5.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: `q` isn't between 0 and 1.
    """

    function = functions.categorical_generalized_cross_entropy
    options = ("q",)
    targets = "classes"
    target_dtype = torch.int64

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(
                f"CategoricalGeneralizedCrossEntropy: `q` must be between 0 and 1. Received: q={q}"
            )
        super().__init__(reduction, name, dtype)
        self.q = q


def smoothing(value: float) -> float:
    """Returns `label_smoothing`; raises ValueError unless it is from 0 to 1."""
    if not 0 <= value <= 1 or math.isnan(value):
        raise ValueError(
            f"`label_smoothing` must be from 0 to 1. Received: label_smoothing={value}"
        )
    return float(value)


def _on_logits(loss: Loss) -> Loss:
    return type(loss).from_config({**loss.get_config(), "from_logits": True})
