"""`Input`, the start of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elephas_torch.keras.layers.basic import InputLayer
from elephas_torch.keras.symbolic import KerasTensor

__all__ = ["Input", "InputLayer"]


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    **kwargs: Any,
) -> KerasTensor:
    """The start of a model: says what shape a row has. Follows
    https://keras.io/api/layers/core_layers/input/

    Args:
        shape: of one row, without the batch.
        batch_size: kept for the config; batches of every size are taken.
        dtype: "float32" (default), or an integer type for inputs that are indices.
        **kwargs: `batch_shape`, `name`: see `InputLayer`.

    Returns:
        A symbolic tensor: call layers on it, and make a `Model(inputs, outputs)`; or put it
        first in a `Sequential`.

    Example::

        inputs = Input((784,))
        model = Model(inputs, Dense(10, activation="softmax")(inputs))
    """
    tensor = kwargs.pop("tensor", None)
    if isinstance(tensor, KerasTensor):
        return tensor
    return InputLayer(shape=shape, batch_size=batch_size, dtype=dtype, **kwargs).start()
