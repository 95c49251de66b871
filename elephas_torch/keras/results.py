"""What `evaluate`, `predict` and `predict_classes` return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import trees
from elephas_torch.keras.structure import is_shape


def results(
    logs: dict[str, Any], return_dict: bool = False, order: Sequence[str] | None = None
) -> Any:
    """Logs as `evaluate` returns them: a dict, a list, or the loss alone.

    Args:
        order: the names in the order of the list. Default that of `logs`.
    """
    if return_dict:
        return logs
    values = [logs[name] for name in order or logs]
    return values[0] if len(values) == 1 else values


def in_order(logs: dict[str, Any], metrics: Iterable[Any]) -> list[str]:
    """The names in logs in Keras's order: as `Model.metrics` has them, then the others sorted."""
    known: list[str] = []
    for metric in metrics:
        several = getattr(metric, "metrics", None)
        known += [metric.name] if several is None else [one.name for one in several]
    first = dict.fromkeys(name for name in known if name in logs)
    return [*first, *sorted(name for name in logs if name not in first)]


def joined(parts: Sequence[Any]) -> Any:
    """The outputs of batches, one after the other, in the structure of each.

    Raises:
        DataError: they differ in shape.
    """
    if isinstance(parts[0], Tensor):
        return _joined(*parts)
    return trees.map_leaves(_joined, *parts)


def _joined(*parts: Any) -> Any:
    try:
        return torch.cat(parts)
    except RuntimeError:
        shapes = list(dict.fromkeys(tuple(part.shape[1:]) for part in parts))
        raise DataError(
            "predict: the outputs of batches differ in shape, so they make no one array: "
            f"{shapes[0]} and {shapes[-1]} a row. Predict them one by one."
        ) from None


def as_arrays(outputs: Any) -> Any:
    """Tensors as NumPy arrays, in their structure; what NumPy has no type for as float32."""
    return trees.map_leaves(_array, outputs)


def _array(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        return tensor
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def empty(shapes: Any) -> Any:
    """Outputs of no rows, of a shape or a tree of them."""
    if is_shape(shapes):
        return np.zeros((0, *(n or 0 for n in shapes[1:])), dtype=np.float32)
    if isinstance(shapes, dict):
        return {key: empty(one) for key, one in shapes.items()}
    several = [empty(one) for one in shapes]
    return tuple(several) if isinstance(shapes, tuple) else several


def to_classes(predictions: np.ndarray) -> np.ndarray:
    """Class numbers from a model's outputs.

    Returns:
        int64: the largest output's number, shape (rows,); or where there is one output a row, of
        the predictions' shape: whether it is above 0.5.
    """
    if predictions.ndim > 1 and predictions.shape[-1] > 1:
        return predictions.argmax(axis=-1)
    return (predictions > 0.5).astype(np.int64)
