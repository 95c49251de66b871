"""Names of layers: those that nobody gave (dense, dense_1, conv2d, as Keras counts them) too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_used: Counter[str] = Counter()
_from_configs: ContextVar[bool] = ContextVar("names from configs", default=False)


@contextmanager
def from_configs() -> Iterator[None]:
    """Within, names may have a "/": Keras 1 and 2 took them, so their files have them."""
    token = _from_configs.set(True)
    try:
        yield
    finally:
        _from_configs.reset(token)


def checked(name: Any, owner: str) -> str | None:
    """The name, where a layer can have it; `owner` is its class.

    Raises:
        TypeError: it is no string.
        ValueError: it has a "/", which parts names from each other in files: Keras refuses it.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"{owner}: `name` must be a string. Received: name={name!r}")
    if "/" in name and not _from_configs.get():
        raise ValueError(
            f"{owner}: `name` can't have a '/' in it; write {name.replace('/', '_')!r}. "
            f"Received: name={name!r}"
        )
    return name


def snake_case(name: str) -> str:
    """`"MaxPooling2D"` -> `"max_pooling2d"`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """The prefix itself at first, then with _1, _2 …"""
    count = _used[prefix]
    _used[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def clear() -> None:
    """Starts counting anew."""
    _used.clear()
