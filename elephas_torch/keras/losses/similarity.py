"""Losses on pairs of embeddings: Circle."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import masks
from elephas_torch.keras.losses.base import NamedLoss
from elephas_torch.keras.losses.functions import misfit, numbers


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Tensor:
    """The circle loss of each embedding against the others (Sun et al., 2020).

    Args:
        y_true: class numbers, (batch,) or (batch, 1).
        y_pred: embeddings of length 1, (batch, size).
        ref_labels, ref_embeddings: what to compare with. Default: the batch itself.
        remove_diagonal: whether an embedding isn't compared with itself. Default True.
        gamma: the scale of the distances. Default 80.
        margin: how far apart classes are to be. Default 0.4.

    Returns:
        (batch,); masked where there is nothing to learn, the loss being 0.
    """
    y_pred = numbers("y_pred", y_pred)
    y_true = _column(y_true, y_pred)
    if len(y_true) != len(y_pred):
        raise misfit(y_true, y_pred, "a class number for each row")
    others = y_pred if ref_embeddings is None else torch.as_tensor(ref_embeddings).to(y_pred)
    same = y_true == (y_true if ref_labels is None else _column(ref_labels, y_pred)).T
    different = ~same
    if remove_diagonal:
        same = same & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device)
    distances = (1.0 - y_pred @ others.T).clamp(min=0.0)
    near = -gamma * (margin + distances) * (margin - distances)
    far = gamma * (1.0 + margin - distances).clamp(min=0.0) * (1.0 - margin - distances)
    losses = F.softplus(_log_sum(near, same) + _log_sum(far, different))
    masks.put(losses, losses > 0)
    return losses


def _column(labels: Any, y_pred: Tensor) -> Tensor:
    return numbers("y_true", labels, device=y_pred.device).long().reshape(-1, 1)


def _log_sum(values: Tensor, counted: Tensor) -> Tensor:
    return torch.logsumexp(values.masked_fill(~counted, -torch.inf), 1)


class Circle(NamedLoss):
    """Draws embeddings of a class together and pushes those of other classes apart.

    Follows https://keras.io/api/losses/probabilistic_losses/ (Circle). Targets are class numbers,
    predictions embeddings of length 1 (end the model with `UnitNormalization()`).

    Args:
        gamma: the scale of the distances. Default 80.
        margin: how far apart classes are to be. Default 0.4.
        remove_diagonal: whether an embedding isn't compared with itself. Default True.
        reduction, name, dtype: see `Loss`.
    """

    function = circle
    options = ("gamma", "margin", "remove_diagonal")
    targets = "any"
    target_dtype = torch.int64

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal
