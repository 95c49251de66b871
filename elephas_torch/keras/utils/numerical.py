"""Arrays: one-hot labels and unit norms."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch


def to_categorical(x: Any, num_classes: int | None = None, *, nb_classes: int | None = None) -> Any:
    """Makes class numbers one-hot: what 'categorical_crossentropy' takes.

    Args:
        x: class numbers, integers from 0, of any shape; a last axis of 1 is dropped.
        num_classes: the number of classes; the largest in `x` and one more by default.
        nb_classes: Keras 1's name for `num_classes`.

    Returns:
        float32, of `x`'s shape with the classes as a last axis: an array, or for a tensor a
        tensor on its device. (Keras gives arrays as float64.)

    Raises:
        ValueError: a class is negative, no whole number, or `num_classes` and more.

    Example:
        >>> to_categorical([0, 2], 3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    if nb_classes is not None:
        warnings.warn(
            "to_categorical: `nb_classes` is the old name of `num_classes`.",
            DeprecationWarning,
            stacklevel=2,
        )
        num_classes = nb_classes
    if isinstance(x, torch.Tensor):
        one_hot = to_categorical(x.detach().cpu().numpy(), num_classes)
        return torch.from_numpy(one_hot).to(x.device)
    given = np.asarray(x)
    labels = _whole(given[..., 0] if given.ndim > 1 and given.shape[-1] == 1 else given)
    classes = _number_of_classes(labels, num_classes)
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(np.argmax(outside.reshape(-1)))
        raise ValueError(
            f"to_categorical: class {labels.reshape(-1)[row]} at position {row} isn't one of the "
            f"{classes} classes 0 to {classes - 1}. Received: num_classes={num_classes}"
        )
    one_hot = np.zeros((labels.size, classes), np.float32)
    one_hot[np.arange(labels.size), labels.reshape(-1)] = 1.0
    return one_hot.reshape(*labels.shape, classes)


def _whole(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    try:
        numbers = labels.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.full(1, np.nan)
    if not np.array_equal(numbers, np.round(numbers)):
        raise ValueError(
            "to_categorical takes class numbers, integers from 0. Received: "
            f"x of dtype {labels.dtype}, such as {labels.reshape(-1)[:3].tolist()}"
        )
    return numbers.astype(np.int64)


def _number_of_classes(labels: np.ndarray, num_classes: int | None) -> int:
    if num_classes is not None:
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be 1 or more. Received: {num_classes}")
        return int(num_classes)
    if not labels.size:
        raise ValueError("to_categorical needs `num_classes` for an empty x.")
    return int(labels.max()) + 1


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Divides an array by its norms along an axis; what is all 0 stays.

    Args:
        x: array or tensor.
        axis: along which the norms are taken. Default -1, the last.
        order: of the norm. Default 2.

    Returns:
        A new array of the same shape, or for a tensor a tensor.
    """
    if isinstance(x, torch.Tensor):
        lengths = torch.linalg.vector_norm(x, order, axis, keepdim=True)
        return x / torch.where(lengths == 0, torch.ones_like(lengths), lengths)
    x = np.asarray(x)
    norms = np.linalg.norm(x, order, axis, keepdims=True)
    return np.asarray(x / np.where(norms == 0, 1, norms))


def probas_to_classes(y_pred: Any) -> np.ndarray:
    """Returns the classes of predictions, as Keras 1 had it.

    Args:
        y_pred: shape (rows, classes), or (rows,) or (rows, 1) of one class's probability.

    Returns:
        int64, shape (rows,): the largest column, or whether the probability is above 0.5.
    """
    probabilities = np.asarray(y_pred)
    if probabilities.ndim > 1 and probabilities.shape[1] > 1:
        return categorical_probas_to_classes(probabilities)
    return (probabilities.reshape(-1) > 0.5).astype(np.int64)


def categorical_probas_to_classes(p: Any) -> np.ndarray:
    """Returns each row's largest column: int64, shape (rows,)."""
    return np.asarray(p).argmax(axis=1)
