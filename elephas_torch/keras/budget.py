"""How much memory a model from a file may take: not far more than the file has numbers for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from elephas_torch.errors import ModelFileError

_LEFT: ContextVar[list[int] | None] = ContextVar("budget", default=None)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Within it, layers make weights of so many bytes together."""
    token = _LEFT.set([size])
    try:
        yield
    finally:
        _LEFT.reset(token)


def take(what: str, shape: Sequence[int]) -> None:
    """To be called before a weight of float32 is made; raises ModelFileError beyond the limit."""
    left = _LEFT.get()
    if left is None:
        return
    size = 4 * math.prod(shape)
    left[0] -= size
    if left[0] < 0:
        raise ModelFileError(
            f"{what} would take {size} bytes, far more than the file has: that isn't read."
        )
