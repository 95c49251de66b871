"""The argument `weights` of Keras 1's and 2's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def weights_today(layer: Any, given: Sequence[Any]) -> list[np.ndarray]:
    """Returns a list of arrays as the layer has its weights today.

    Args:
        layer: built.
        given: today's arrays, or those of Keras 1, which kept each gate of an LSTM or GRU by
            itself. None stands for a first value of the layer's own.
    """
    if len(given) != len(layer.weights):
        from elephas_torch.keras.saving import old_weights

        given = old_weights.modern(layer, [("", np.asarray(one)) for one in given], "1")
    if len(given) != len(layer.weights) or all(one is not None for one in given):
        return list(given)
    own = layer.get_weights()
    return [mine if one is None else one for one, mine in zip(given, own, strict=True)]
