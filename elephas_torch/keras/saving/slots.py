"""An optimizer's state in Keras's order: iterations, learning rate, then an array a weight.

Keras has the weights in the order of `model.trainable_weights`; in the flat vectors here they
lie in the order of the module's parameters.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import Tensor

from elephas_torch.keras.saving.states import array


def variables(optimizer: Any, model: Any) -> list[np.ndarray]:
    """The state of a model's optimizer as Keras's variables.

    A rule that took no step yet has its first values, as Keras's built optimizers do.
    """
    _describe(optimizer, model)
    return [array(one) for one in optimizer.keras_variables(_order(model))]


def load_or_warn(model: Any, state: list[np.ndarray], path: Any) -> None:
    """Gives a compiled model's optimizer a state, or warns that it isn't one of its kind."""
    optimizer = model.optimizer
    if not state:
        return
    _describe(optimizer, model)
    rate = optimizer.get_config().get("learning_rate")
    order = _order(model)
    if any(optimizer.load_keras_variables(one, order) for one in (state, _as_before(state, rate))):
        # Files have it in float32, the config in more digits.
        if isinstance(rate, float) and np.float32(rate) == np.float32(optimizer.learning_rate):
            optimizer.learning_rate = rate
    elif state[0]:
        warnings.warn(
            f"{str(path)!r}: the optimizer's state doesn't fit {optimizer!r}, so it starts anew.",
            stacklevel=5,
        )


def _as_before(state: list[np.ndarray], rate: Any) -> list[np.ndarray]:
    """A state in the order of Nadam's until Keras 3.10: what it has last came before the slots."""
    place = 2 if isinstance(rate, float) else 1
    return [*state[:place], *state[place + 1 :], *state[place : place + 1]]


def alternating(model: Any, state: list[np.ndarray]) -> list[np.ndarray]:
    """Arrays that come slot by slot, as Keras 1 and 2 kept them, in the order of `variables`."""
    found, start, count = [], 0, len(model.trainable_weights)
    for names in model.optimizer._groups():
        parts = [state[start + n * count : start + (n + 1) * count] for n in range(len(names))]
        found += [one for several in zip(*parts, strict=False) for one in several]
        start += len(names) * count
    return found


def _weights(model: Any) -> list[tuple[str, Tensor]]:
    return [(name, one) for name, one in model.named_parameters() if one.requires_grad]


def _describe(optimizer: Any, model: Any) -> None:
    names, weights = [name for name, _ in _weights(model)], [one for _, one in _weights(model)]
    optimizer.describe(names, [tuple(one.shape) for one in weights], weights)


def _order(model: Any) -> list[int]:
    places = {id(one): number for number, (_, one) in enumerate(_weights(model))}
    return [places[id(one)] for one in model.trainable_weights]
