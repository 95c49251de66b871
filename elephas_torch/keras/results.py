"""What `evaluate` and `predict_classes` return."""

from __future__ import annotations

from typing import Any

import numpy as np


def results(logs: dict[str, float], return_dict: bool = False) -> Any:
    """Logs as `evaluate` returns them: a dict, a list, or the loss alone."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def to_classes(predictions: np.ndarray) -> np.ndarray:
    """Class numbers from a model's outputs.

    Returns:
        int64: the largest output's number, shape (rows,); or where there is one output a row, of
        the predictions' shape: whether it is above 0.5.
    """
    if predictions.ndim > 1 and predictions.shape[-1] > 1:
        return predictions.argmax(axis=-1)
    return (predictions > 0.5).astype(np.int64)
