"""Checks of the arguments of `fit` and its kin."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from elephas_torch.errors import unknown_arguments

DEFAULT_BATCH_SIZE = 32


def check_epochs(epochs: Any, initial_epoch: Any = 0) -> None:
    """Raises ValueError unless both are whole numbers, epochs >= 1 and initial_epoch >= 0."""
    check_whole("epochs", epochs, 1)
    check_whole("initial_epoch", initial_epoch, 0)


def check_batch_size(batch_size: Any, argument: str = "batch_size") -> int:
    """Returns the batch size (32 for None); raises ValueError unless it is 1 or more."""
    if batch_size is None:
        return DEFAULT_BATCH_SIZE
    check_whole(argument, batch_size, 1)
    return int(batch_size)


def check_share(argument: str, value: Any) -> None:
    """Raises ValueError unless 0 <= value < 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(
            f"`{argument}` must be a share of the rows, from 0 to below 1. "
            f"Received: {argument}={value!r}"
        )


def check_whole(argument: str, value: Any, least: int) -> None:
    """Raises ValueError unless `value` is a whole number, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"`{argument}` must be a whole number, {least} or more. Received: {argument}={value!r}"
        )


def check_flag(argument: str, value: Any) -> None:
    """Raises ValueError unless `value` is True or False (or 1 or 0)."""
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"`{argument}` must be True or False. Received: {argument}={value!r}")


def check_class_weight(weights: Any) -> None:
    """Raises ValueError unless `weights` is None or maps class numbers to weights, 0 or more."""
    if weights is None:
        return
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(
            "`class_weight` must be a dict of class numbers and weights, such as {0: 1.0, 1: 5.0}."
            f" Received: class_weight={weights!r}"
        )
    for number, weight in weights.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise ValueError(
                f"`class_weight` has a key that is no class number: {number!r}. "
                f"Received: class_weight={dict(weights)!r}"
            )
        if not _is_number(weight) or not 0 <= weight < math.inf:
            raise ValueError(
                f"`class_weight` must have weights of 0 or more; class {number} has {weight!r}."
            )


def check_known(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises TypeError where keyword arguments are left that a method doesn't take."""
    if given:
        names = inspect.signature(function).parameters
        known = [name for name in names if name not in ("self", "kwargs")]
        raise unknown_arguments(function.__name__, given, known)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
