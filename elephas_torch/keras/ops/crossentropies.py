"""Crossentropies of probabilities or logits, element by element.

Follows https://keras.io/api/ops/nn/
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import config
from elephas_torch.keras.dtypes import result_type, torch_dtype
from elephas_torch.keras.operations import op

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "ctc_loss",
    "sparse_categorical_crossentropy",
]  # fmt: skip


@op
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """-target log(output) - (1 - target) log(1 - output), of the targets' shape.

    Args:
        target: 0 to 1.
        output: probabilities of 1, of the same shape; logits with `from_logits`.

    Raises:
        ValueError: the shapes differ.
    """
    _check_same("binary_crossentropy", target, output)
    target = target.to(output.dtype)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(_inside(output), target, reduction="none")


@op
def categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum(target log(output)) along the classes' axis.

    Args:
        target: probabilities, such as one-hot ones.
        output: probabilities of the same shape (their sum is made 1); logits with `from_logits`.
        axis: of the classes.

    Raises:
        ValueError: the shapes differ, or there is no axis.
    """
    _check_same("categorical_crossentropy", target, output)
    if target.ndim < 1:
        raise ValueError("categorical_crossentropy: `target` and `output` have no axis of classes.")
    return -torch.sum(target * _log_probabilities(output, from_logits, axis), axis)


@op
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(output[class]), for targets that are classes.

    Args:
        target: integers; output's shape without the classes' axis, or 1 there.
        output: probabilities (their sum is made 1); logits with `from_logits`.
        axis: of the classes.

    Raises:
        ValueError: the shapes don't fit.
    """
    if target.ndim == output.ndim and output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    shape = list(output.shape)
    if not shape or (shape.pop(axis) and list(target.shape) != shape):
        raise ValueError(
            "sparse_categorical_crossentropy: `target` must have `output`'s shape without its "
            f"classes. Received: target of shape {tuple(target.shape)}, output of shape "
            f"{tuple(output.shape)}, axis={axis}"
        )
    logs = _log_probabilities(output, from_logits, axis)
    return -logs.gather(axis, target.long().unsqueeze(axis)).squeeze(axis)


@op
def ctc_loss(
    target: Tensor,
    output: Tensor,
    target_length: Tensor,
    output_length: Tensor,
    mask_index: int = 0,
) -> Tensor:
    """The connectionist temporal classification loss of each row.

    Args:
        target: classes (batch, longest target).
        output: logits (batch, steps, classes).
        target_length, output_length: how much of each row counts.
        mask_index: the blank class.
    """
    logits = output.to(torch_dtype(result_type(output.dtype, torch.float32)))
    logs = F.log_softmax(logits.transpose(0, 1), -1)
    return F.ctc_loss(logs, target, output_length, target_length, mask_index, "none")


def _check_same(owner: str, target: Tensor, output: Tensor) -> None:
    if target.shape != output.shape:
        raise ValueError(
            f"{owner}: `target` and `output` must have the same shape. "
            f"Received: {tuple(target.shape)}, {tuple(output.shape)}"
        )


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return torch.log_softmax(output, axis)
    return torch.log(_inside(output / output.sum(axis, keepdim=True)))


def _inside(probabilities: Tensor) -> Tensor:
    return torch.clamp(probabilities, config.epsilon(), 1 - config.epsilon())
