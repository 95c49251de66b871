"""Where Keras 1 and 2 have `count_params` and `print_summary`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def count_params(weights: Iterable[Any]) -> int:
    """Returns how many numbers there are in some weights; a weight that comes twice counts once."""
    return sum(int(weight.numel()) for weight in {id(one): one for one in weights}.values())


def print_summary(model: Any, **kwargs: Any) -> None:
    """`model.summary()` under its old name.

    Args:
        model: a `Model`.
        kwargs: for `model.summary`.
    """
    model.summary(**kwargs)
