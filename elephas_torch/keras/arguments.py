"""Checks of the arguments of `fit` and its kin."""

from __future__ import annotations

import inspect
import math
import warnings
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


def check_steps(argument: str, steps: Any) -> None:
    """Raises ValueError unless `steps` is None or a whole number, 1 or more."""
    if steps is not None:
        check_whole(argument, steps, 1)


def check_shuffle(shuffle: Any) -> None:
    """Raises ValueError unless `shuffle` is True, False or "batch"."""
    flag = isinstance(shuffle, bool | np.bool_ | int) and shuffle in (0, 1)
    if not flag and not (isinstance(shuffle, str) and shuffle == "batch"):
        raise ValueError(
            f"`shuffle` must be True or False, or 'batch'. Received: shuffle={shuffle!r}"
        )


def check_validation_freq(freq: Any) -> Callable[[int], bool]:
    """Returns what tells whether to validate after an epoch (the first is 1).

    Raises:
        ValueError: it is neither a whole number, 1 or more, nor a list of such.
    """
    if isinstance(freq, list | tuple | set | frozenset | range):
        for one in freq:
            check_whole("validation_freq", one, 1)
        return lambda epoch: epoch in freq
    check_whole("validation_freq", freq, 1)
    return lambda epoch: epoch % freq == 0


def check_loss_weights(weights: Any) -> None:
    """Raises TypeError unless `weights` is None, a number, or a list or dict of numbers."""
    if isinstance(weights, Mapping):
        parts = list(weights.values())
    else:
        parts = list(weights) if isinstance(weights, list | tuple) else [weights]
    for one in parts:
        if isinstance(one, list | tuple | Mapping):
            check_loss_weights(one)
        elif one is not None and not _is_number(one):
            raise TypeError(
                "`loss_weights` must be numbers: a list with one for each output, or a dict by "
                f"their names; metrics go with metrics=…. Received: loss_weights={weights!r}"
            )


#: What Keras 2 took to say how data is to be read ahead.
_READING = ("workers", "use_multiprocessing", "max_queue_size")


def without_workers(kwargs: dict[str, Any], owner: str) -> None:
    """Takes Keras 2's arguments of workers out of the arguments; warns of them."""
    found = [name for name in _READING if name in kwargs]
    for name in found:
        del kwargs[name]
    if found:
        warnings.warn(
            f"{owner}({found[0]}=…) is old and has no effect: a PyDataset takes it, or use a "
            "torch.utils.data.DataLoader with num_workers=….",
            DeprecationWarning,
            stacklevel=3,
        )


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


def check_known(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    instead: Mapping[str, str] | None = None,
) -> None:
    """Raises TypeError where keyword arguments are left that a method doesn't take.

    Args:
        instead: see `unknown_arguments`.
    """
    if given:
        names = inspect.signature(function).parameters
        known = [name for name in names if name not in ("self", "kwargs")]
        raise unknown_arguments(function.__name__, given, known, instead)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
