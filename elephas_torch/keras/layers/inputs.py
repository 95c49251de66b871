"""`Input`, the usual way to make an `InputLayer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elephas_torch.keras.layers.core import InputLayer

__all__ = ["Input", "InputLayer"]


def Input(shape: Sequence[int | None] | None = None, **kwargs: Any) -> InputLayer:
    """The start of a `Sequential`: says what shape a row has.

    Args:
        shape: of one row, without the batch.
        **kwargs: `batch_shape`, `batch_size`, `dtype`, `name`: see `InputLayer`.

    Example::

        Sequential([Input((784,)), Dense(10, activation="softmax")])
    """
    return InputLayer(shape=shape, **kwargs)
