"""Loss functions: one number a sample, from targets and predictions, as Keras 3 defines them.

Each follows the function of its name on https://keras.io/api/losses, takes `y_true` and
`y_pred` as arrays or tensors (whole numbers are made floats; a last axis of 1 that only one of them
has is dropped or added), and returns a tensor of `y_pred`'s shape without its last axis.

    >>> import torch
    >>> mean_squared_error(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([0.5000])
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import masks

#: Keras's `epsilon()`: probabilities are kept this far from 0 and 1.
EPSILON = 1e-7


def numbers(argument: str, value: Any, owner: str = "", **settings: Any) -> Tensor:
    """`torch.as_tensor(value, **settings)`.

    Raises:
        TypeError: it holds no numbers; the message names the argument, and the `owner`.
    """
    if isinstance(value, Tensor):
        return torch.as_tensor(value, **settings)
    try:
        return torch.as_tensor(value, **settings)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{owner and f'{owner}: '}`{argument}` must be numbers: a tensor, an array, or nested "
            f"lists with rows of one length. Received: {argument}={str(value)[:50]} (of type "
            f"{type(value).__name__})"
        ) from None


def misfit(y_true: Tensor, y_pred: Tensor, wanted: str = "the predictions' shape") -> ValueError:
    """Returns the error of targets whose shape doesn't fit the predictions'."""
    return ValueError(
        f"Targets must have {wanted}. Received: y_true of shape {tuple(y_true.shape)} and y_pred "
        f"of shape {tuple(y_pred.shape)}"
    )


def broadcastable(one: Any, other: Any) -> bool:
    """Whether two shapes broadcast."""
    lengths = zip(reversed(one), reversed(other), strict=False)
    return all(a == b or 1 in (a, b) for a, b in lengths)


def class_numbers(y_true: Any, y_pred: Tensor) -> Tensor:
    """Returns class numbers as int64, of the predictions' shape without its last axis.

    Raises:
        ValueError: there are more or fewer of them.
    """
    y_true = numbers("y_true", y_true, device=y_pred.device)
    if y_true.shape.numel() != y_pred.shape[:-1].numel() or not y_pred.ndim:
        raise misfit(y_true, y_pred, "the predictions' shape without the classes' axis")
    return y_true.long().reshape(y_pred.shape[:-1])


def paired(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Returns both as tensors of `y_pred`'s dtype (float32 for whole numbers) and device, and of
    the same rank where one of them lacks a last axis of 1.

    Raises:
        ValueError: their shapes don't broadcast.
    """
    y_pred = numbers("y_pred", y_pred)
    if not y_pred.is_floating_point():
        y_pred = y_pred.to(torch.float32)
    y_true = numbers("y_true", y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    y_true, y_pred = same_rank(y_true, y_pred)
    if not broadcastable(y_true.shape, y_pred.shape):
        raise misfit(y_true, y_pred)
    return y_true, y_pred


def same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both, the one that has a last axis of 1 too many without it; a vector gets one."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.unsqueeze(-1)) if b.ndim == 1 else (a.squeeze(-1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a.unsqueeze(-1), b) if a.ndim == 1 else (a, b.squeeze(-1))
    return a, b


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((y_true - y_pred)^2)."""
    y_true, y_pred = paired(y_true, y_pred)
    return (y_true - y_pred).square().mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean(|y_true - y_pred|)."""
    y_true, y_pred = paired(y_true, y_pred)
    return (y_true - y_pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 * mean(|y_true - y_pred| / |y_true|)."""
    y_true, y_pred = paired(y_true, y_pred)
    return 100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=EPSILON)).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean((log(y_true + 1) - log(y_pred + 1))^2)."""
    y_true, y_pred = paired(y_true, y_pred)
    low = torch.full((), EPSILON, dtype=y_pred.dtype, device=y_pred.device)
    logs = torch.log(torch.maximum(y_pred, low) + 1) - torch.log(torch.maximum(y_true, low) + 1)
    return logs.square().mean(-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between the two, along `axis`."""
    y_true, y_pred = paired(y_true, y_pred)
    return -(_unit(y_true, axis) * _unit(y_pred, axis)).sum(axis)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean of d^2 / 2, and of delta |d| - delta^2 / 2 where the difference |d| > delta."""
    y_true, y_pred = paired(y_true, y_pred)
    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """mean(log(cosh(y_pred - y_true)))."""
    y_true, y_pred = paired(y_true, y_pred)
    difference = y_pred - y_true
    return (difference + F.softplus(-2.0 * difference) - math.log(2.0)).mean(-1)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)) for targets -1 and 1; 0 and 1 are taken for them."""
    y_true, y_pred = paired(y_true, y_pred)
    return torch.relu(1.0 - _signs(y_true) * y_pred).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean(max(1 - y_true * y_pred, 0)^2) for targets -1 and 1; 0 and 1 are taken for them."""
    y_true, y_pred = paired(y_true, y_pred)
    return torch.relu(1.0 - _signs(y_true) * y_pred).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(neg - pos + 1, 0): pos is the right class's prediction, neg the best of the others."""
    y_true, y_pred = paired(y_true, y_pred)
    pos = (y_true * y_pred).sum(-1)
    neg = ((1.0 - y_true) * y_pred).amax(-1)
    return torch.relu(neg - pos + 1.0)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """sum(y_true * log(y_true / y_pred))."""
    y_true, y_pred = paired(y_true, y_pred)
    y_true, y_pred = y_true.clamp(EPSILON, 1.0), y_pred.clamp(EPSILON, 1.0)
    return (y_true * torch.log(y_true / y_pred)).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """mean(y_pred - y_true * log(y_pred))."""
    y_true, y_pred = paired(y_true, y_pred)
    return (y_pred - y_true * torch.log(y_pred + EPSILON)).mean(-1)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean(-log p for targets 1, -log(1 - p) for targets 0).

    Args:
        y_true: probabilities, mostly 0 or 1, of `y_pred`'s shape.
        y_pred: probabilities, or with `from_logits` what goes into the sigmoid.
        from_logits: see above. Default False.
        label_smoothing: moves the targets this share of the way to 0.5.
        axis: what the mean is over.
    """
    y_true, y_pred = paired(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, 2)
    if from_logits:
        losses = F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none")
    else:
        losses = F.binary_cross_entropy(_inside(y_pred), y_true, reduction="none")
    return losses.mean(axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary crossentropy times (1 - p)^gamma, p being the probability of what is right
    (Lin et al., 2018); with `apply_class_balancing` also times alpha for targets 1 and
    1 - alpha for targets 0."""
    y_true, y_pred = paired(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, 2)
    y_pred = torch.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    losses = F.binary_cross_entropy(_inside(y_pred), y_true, reduction="none")
    losses = (1.0 - right) ** gamma * losses
    if apply_class_balancing:
        losses = (y_true * alpha + (1 - y_true) * (1 - alpha)) * losses
    return losses.mean(axis)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(y_true * log p) over the classes.

    Args:
        y_true: one-hot, or probabilities of the classes, of `y_pred`'s shape.
        y_pred: probabilities (they are divided by their sum), or with `from_logits` what goes
            into the softmax.
        from_logits: see above. Default False.
        label_smoothing: moves the targets this share of the way to equal probabilities.
        axis: the classes' axis.
    """
    y_true, y_pred = paired(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, y_true.shape[-1])
    return -(y_true * _log_probabilities(y_pred, from_logits, axis)).sum(axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(alpha * (1 - p)^gamma * y_true * log p) over the classes (Lin et al., 2018)."""
    y_true, y_pred = paired(y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, y_true.shape[-1])
    y_pred = torch.softmax(y_pred, axis) if from_logits else y_pred
    p = _inside(y_pred / y_pred.sum(axis, keepdim=True))
    return -((1.0 - p) ** gamma * alpha * y_true * torch.log(p)).sum(axis)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log p of the right class.

    Args:
        y_true: class numbers, of `y_pred`'s shape without the classes' axis (or with 1 there).
        y_pred: probabilities (they are divided by their sum), or with `from_logits` what goes
            into the softmax.
        from_logits: see above. Default False.
        ignore_class: samples of this class get 0, and are masked in what is returned.
        axis: the classes' axis.
    """
    y_pred = numbers("y_pred", y_pred).movedim(axis, -1)
    y_true = class_numbers(y_true, y_pred)
    ignored = None if ignore_class is None else y_true == ignore_class
    if ignored is not None:
        y_true = y_true.masked_fill(ignored, 0)
    logs = _log_probabilities(y_pred, from_logits, -1)
    losses = -logs.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
    if ignored is not None:
        losses = losses.masked_fill(ignored, 0.0)
        masks.put(losses, ~ignored)
    return losses


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """(1 - p^q) / q, p being the probability of the right class (Zhang and Sabuncu, 2018).

    Args:
        y_true: class numbers, of `y_pred`'s shape without its last axis (or with 1 there).
        y_pred: probabilities.
        q: between 0 and 1.
    """
    y_pred = numbers("y_pred", y_pred)
    y_true = class_numbers(y_true, y_pred)
    p = y_pred.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
    return (1.0 - p**q) / q


def smoothed(y_true: Tensor, label_smoothing: float, classes: int) -> Tensor:
    """Returns the targets, moved by a share of the way towards `1 / classes`."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return torch.log_softmax(y_pred, axis)
    return torch.log(_inside(y_pred / y_pred.sum(axis, keepdim=True)))


def _inside(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(EPSILON, 1.0 - EPSILON)


def _unit(x: Tensor, axis: int) -> Tensor:
    # The norm is kept above epsilon, as Keras does.
    return x * x.square().sum(axis, keepdim=True).clamp(min=EPSILON**2).rsqrt()


def _signs(y_true: Tensor) -> Tensor:
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)
