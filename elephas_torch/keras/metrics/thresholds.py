"""Predictions above thresholds, counted: the sums that precision, recall and AUC are made of.

A prediction goes into the bucket of the thresholds below it; the positives of a threshold are the
sum of the buckets above it. So the work doesn't grow with the number of thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.losses.functions import EPSILON, misfit, numbers, same_rank
from elephas_torch.keras.losses.reduction import spread


@dataclass
class Counts:
    """Sums of weights, float64, of shape (thresholds,) or (thresholds, labels)."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor


def even(thresholds: Sequence[float]) -> bool:
    """Whether these are 0, 1 / (n - 1), 2 / (n - 1) … 1; there must be 3 or more."""
    last = len(thresholds) - 1
    return last > 1 and all(
        abs(t - i / last) <= EPSILON + 1e-5 * i / last for i, t in enumerate(thresholds)
    )


def parsed(thresholds: Any, default: float, owner: str) -> list[float]:
    """Returns thresholds as a list: a number, several, or None for the default.

    Raises:
        ValueError: one is outside [0, 1].
    """
    if thresholds is None:
        return [default]
    several = list(thresholds) if isinstance(thresholds, list | tuple) else [thresholds]
    if not several or any(t is None or not 0 <= t <= 1 for t in several):
        raise ValueError(
            f"{owner}: `thresholds` must be from 0 to 1. Received: thresholds={thresholds!r}"
        )
    return [float(t) for t in several]


def only_top(y_pred: Tensor, k: int) -> Tensor:
    """Returns the predictions with all but the k largest of the last axis at minus infinity."""
    chosen = y_pred.topk(min(k, y_pred.shape[-1]), -1).indices
    kept = torch.full_like(y_pred, -torch.inf)
    return kept.scatter(-1, chosen, y_pred.gather(-1, chosen))


def count(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    sample_weight: Any = None,
    *,
    top_k: int | None = None,
    class_id: int | None = None,
    label_weights: Tensor | None = None,
    multi_label: bool = False,
) -> Counts:
    """Counts what is above and not above each threshold, by whether its target is 0.

    Args:
        y_true: targets: 0, or anything else for 1; of `y_pred`'s shape.
        y_pred: predictions, mostly from 0 to 1.
        thresholds: what predictions must be above.
        sample_weight: for the predictions or their first axes; None for 1.
        top_k: only the k largest of the last axis can be above a threshold.
        class_id: only this one of the last axis counts.
        label_weights: (labels,): for the last axis.
        multi_label: count each of the last axis for itself; predictions are then (rows, labels).

    Raises:
        ValueError: shapes don't fit.
    """
    y_pred = numbers("y_pred", y_pred).detach().float()
    y_true = numbers("y_true", y_true, device=y_pred.device)
    y_true, y_pred = same_rank(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        raise misfit(y_true, y_pred)
    weights = _weights(sample_weight, y_pred)
    if top_k is not None:
        y_pred = only_top(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred, weights = (_one_class(x, class_id) for x in (y_true, y_pred, weights))
    if label_weights is not None:
        weights = weights * label_weights.to(weights)
    labels = y_pred.shape[-1] if multi_label else 1
    return _tally(y_true != 0, _buckets(y_pred, thresholds), weights, thresholds, labels)


def _weights(sample_weight: Any, y_pred: Tensor) -> Tensor:
    wide = widest(y_pred.device)
    if sample_weight is None:
        return torch.ones_like(y_pred, dtype=wide)
    given = numbers("sample_weight", sample_weight, dtype=wide, device=y_pred.device)
    if given.ndim == y_pred.ndim + 1 and given.shape[-1] == 1:
        given = given.squeeze(-1)
    return spread(given, y_pred)


def _one_class(x: Tensor, class_id: int) -> Tensor:
    if x.ndim < 2 or not -x.shape[-1] <= class_id < x.shape[-1]:
        raise ValueError(
            f"`class_id` must be a class of predictions of shape (rows, classes). Received: "
            f"class_id={class_id} for predictions of shape {tuple(x.shape)}"
        )
    return x[..., class_id].unsqueeze(-1)


def _buckets(y_pred: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Returns for each prediction how many thresholds, sorted, are below it."""
    y_pred = torch.nan_to_num(y_pred, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    if not even(thresholds):
        sorted_ = torch.tensor(sorted(thresholds), dtype=torch.float32, device=y_pred.device)
        return torch.searchsorted(sorted_, y_pred.contiguous())
    # Keras's way in float32: it decides where a prediction is as large as a threshold.
    found = torch.ceil(y_pred.clamp(0.0, 1.0) * (len(thresholds) - 1)).long()
    return found.clamp(min=1) if thresholds[0] < 0 else found


def _tally(
    positive: Tensor, buckets: Tensor, weights: Tensor, thresholds: Sequence[float], labels: int
) -> Counts:
    size = len(thresholds) + 1
    starts = torch.arange(labels, device=buckets.device) * size
    flat = (buckets.reshape(-1, labels) + starts).reshape(-1)
    weights, positive = weights.reshape(-1), positive.reshape(-1)
    true, false = (
        torch.bincount(flat, weights * chosen, labels * size).reshape(labels, size)
        for chosen in (positive, ~positive)
    )
    # Buckets are in the thresholds' order; the counts are to be in the order that was given.
    ranks = torch.tensor(thresholds).argsort().argsort().to(buckets.device)
    above = [x.flip(1).cumsum(1).flip(1)[:, 1:][:, ranks] for x in (true, false)]
    below = [x.sum(1, keepdim=True) - over for x, over in zip((true, false), above, strict=True)]
    several = (*above, below[1], below[0])
    return Counts(*(x.T if labels > 1 else x[0] for x in several))
