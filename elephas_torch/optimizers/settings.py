"""Checks of an optimizer's settings, and of a schedule's."""

from __future__ import annotations

import inspect
import math
from typing import Any


def not_negative(owner: str, argument: str, value: float) -> float:
    """Returns `value` as a float; raises ValueError unless it is finite and 0 or more."""
    if not is_number(value) or not 0 <= value < math.inf:
        raise ValueError(
            f"{owner}: `{argument}` must be a number, 0 or more. Received: {argument}={value!r}"
        )
    return float(value)


def positive(owner: str, argument: str, value: float) -> float:
    """Returns `value` as a float; raises ValueError unless it is finite and above 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(
            f"{owner}: `{argument}` must be a number above 0. Received: {argument}={value!r}"
        )
    return float(value)


def share(owner: str, argument: str, value: float, closed: bool = False) -> float:
    """Returns `value` as a float; raises ValueError unless 0 <= value < 1 (closed: <= 1)."""
    if not is_number(value) or not (0 <= value < 1 or (closed and value == 1)):
        raise ValueError(
            f"{owner}: `{argument}` must be from 0 to {'1' if closed else 'below 1'}. "
            f"Received: {argument}={value!r}"
        )
    return float(value)


def whole(owner: str, argument: str, value: int, least: int) -> int:
    """Returns `value`; raises ValueError unless it is a whole number, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{owner}: `{argument}` must be a whole number, {least} or more. "
            f"Received: {argument}={value!r}"
        )
    return value


def is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str | bool)


def accepted(cls: type) -> list[str]:
    """Returns the names of the arguments that a class and its bases take."""
    names: dict[str, None] = {}
    for one in cls.__mro__[:-1]:
        parameters = inspect.signature(one.__init__).parameters.values()  # type: ignore[misc]
        named = (p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        names.update(dict.fromkeys(named))
    return [*(name for name in names if name != "self"), "lr"]
