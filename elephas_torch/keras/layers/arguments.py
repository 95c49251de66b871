"""Checks of constructors' arguments: each returns the value, or raises an error that names it."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.keras import config


def positive_integer(owner: str, argument: str, value: Any) -> int:
    """Returns `value` as an int; raises ValueError unless it is a whole number above 0."""
    if not _is_integer(value) or value <= 0:
        raise ValueError(
            f"{owner}: `{argument}` must be a positive whole number. Received: {argument}={value!r}"
        )
    return int(value)


def rate(owner: str, argument: str, value: Any) -> float:
    """Returns `value`; raises ValueError unless it is a number from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(
            f"{owner}: `{argument}` must be a number from 0 to 1. Received: {argument}={value!r}"
        )
    return float(value)


def positive(owner: str, argument: str, value: Any) -> float:
    """Returns `value`; raises ValueError unless it is a number above 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError(
            f"{owner}: `{argument}` must be a number above 0. Received: {argument}={value!r}"
        )
    return float(value)


def not_negative(owner: str, argument: str, value: Any) -> float:
    """Returns `value`; raises ValueError unless it is a number, 0 or more."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise ValueError(
            f"{owner}: `{argument}` must be a number, 0 or more. Received: {argument}={value!r}"
        )
    return float(value)


def number(owner: str, argument: str, value: Any) -> float:
    """Returns `value`; raises ValueError unless it is a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{owner}: `{argument}` must be a number. Received: {argument}={value!r}")
    return float(value)


def channel_axis(owner: str, value: Any) -> int:
    """Returns the argument `axis`, of the channels; raises ValueError unless it is one axis
    beside the batch's."""
    # Keras 2 wrote a list of one axis.
    axis = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    if not _is_integer(axis) or axis == 0:
        raise ValueError(
            f"{owner}: `axis` must be the number of one axis, not the batch's 0. "
            f"Received: axis={value!r}"
        )
    return int(axis)


def has_axis(label: str, axis: int, shape: Any) -> None:
    """Raises ValueError, naming the layer, unless inputs of this shape have the axis beside the
    batch."""
    if not -len(shape) < axis < len(shape):
        raise ValueError(
            f"{label}: the inputs have no axis {axis} beside the batch. "
            f"Received: inputs of shape {tuple(shape)}"
        )


def axes(owner: str, argument: str, value: Any) -> int | list[int]:
    """Returns the number of an axis, or a list of several; raises ValueError unless it is."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    if not several or not all(_is_integer(n) for n in several):
        raise ValueError(
            f"{owner}: `{argument}` must be the number of an axis, or a list of them. "
            f"Received: {argument}={value!r}"
        )
    return [int(n) for n in several] if isinstance(value, list | tuple) else int(value)


def integers(owner: str, argument: str, value: Any, count: int) -> tuple[int, ...]:
    """Returns `count` positive whole numbers; one number stands for all of them.

    Raises:
        ValueError: another count, or a number that isn't whole and above 0.
    """
    numbers_ = (value,) * count if _is_integer(value) else value
    if (
        isinstance(numbers_, str)
        or not isinstance(numbers_, Iterable)
        or len(numbers_ := tuple(numbers_)) != count
        or not all(_is_integer(n) and n > 0 for n in numbers_)
    ):
        many = "" if count == 1 else f", or {count} of them"
        raise ValueError(
            f"{owner}: `{argument}` must be a positive whole number{many}. "
            f"Received: {argument}={value!r}"
        )
    return tuple(int(n) for n in numbers_)


def choice(argument: str, value: Any, known: Iterable[str]) -> str:
    """Returns the one of `known` that `value` names, in whatever case.

    Raises:
        ValueError: it names none; the message has the nearest.
    """
    name = value.lower() if isinstance(value, str) else value
    if name not in known:
        raise unknown(argument, value, known)
    return name


def padding(value: Any, known: tuple[str, ...] = ("valid", "same")) -> str:
    """Returns the `padding` argument in lower case, checked."""
    return choice("padding", value, known)


def data_format(value: Any) -> str:
    """Returns the `data_format` argument, checked; None is the global setting."""
    return config.checked_data_format(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
