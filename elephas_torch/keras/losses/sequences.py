"""Losses on sequences that aren't aligned: CTC."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.losses.base import NamedLoss
from elephas_torch.keras.losses.functions import numbers

#: The class number that stands for no label, and that pads targets.
BLANK = 0


def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """Connectionist temporal classification: -log of the probability of a sequence of labels.

    Args:
        y_true: class numbers from 1, (batch, labels), filled up with 0.
        y_pred: logits, (batch, steps, classes); class 0 is the blank.

    Returns:
        (batch,); infinite where the steps are too few for the labels.

    Raises:
        ValueError: a shape is another.
    """
    y_pred = numbers("y_pred", y_pred)
    y_true = numbers("y_true", y_true, device=y_pred.device).long()
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise ValueError(
            "ctc takes `y_true` of shape (batch, labels) and `y_pred` of shape (batch, steps, "
            f"classes). Received: y_true of shape {tuple(y_true.shape)} and y_pred of shape "
            f"{tuple(y_pred.shape)}"
        )
    logs = torch.log_softmax(y_pred, -1).transpose(0, 1)
    steps = torch.full((y_pred.shape[0],), y_pred.shape[1], dtype=torch.int64)
    labels = (y_true != BLANK).sum(-1)
    return F.ctc_loss(logs, y_true, steps, labels.cpu(), blank=BLANK, reduction="none")


class CTC(NamedLoss):
    """Connectionist temporal classification, for labels without times.

    Follows https://keras.io/api/losses/probabilistic_losses/ (CTC). Targets are class numbers from
    1, (batch, labels), filled up with 0; predictions logits, (batch, steps, classes).

    Args:
        reduction, name, dtype: see `Loss`.
    """

    function = ctc
    targets = "any"
    target_dtype = torch.int64
