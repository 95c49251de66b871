"""An optimizer's state in Keras's order: iterations, learning rate, then an array a weight.

Keras keeps a variable for each weight, in the order in which its optimizers make them; here a
rule keeps one flat vector a slot, in the order of the module's parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

#: The slots of each rule in Keras's order. Those in one tuple alternate from weight to weight.
_GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "SGD": (("momentum",),),
    "RMSprop": (("velocity",), ("momentum",), ("average",)),
    "Adagrad": (("accumulator",),),
    "Adadelta": (("accumulated_grad", "accumulated_delta"),),
    "Adam": (("momentum", "velocity"), ("velocity_hat",)),
    "Adamax": (("momentum", "norm"),),
    "Nadam": (("momentum", "velocity"),),
    "Lion": (("momentum",),),
    "Ftrl": (("accumulator", "linear"),),
}


class Piece(NamedTuple):
    """The place of one weight's values in a slot: start, end and shape."""

    start: int
    end: int
    shape: tuple[int, ...]

    def of(self, vector: Tensor) -> Tensor:
        return vector[self.start : self.end].view(self.shape)


def pieces(model: Any) -> list[Piece]:
    """The places of a model's trainable weights, in Keras's order, in a flat vector of them."""
    places: dict[int, Piece] = {}
    start = 0
    for weight in model.parameters():
        if weight.requires_grad:
            end = start + weight.numel()
            places[id(weight)] = Piece(start, end, tuple(weight.shape))
            start = end
    return [places[id(weight)] for weight in model.trainable_weights]


def variables(optimizer: Any, model: nn.Module) -> list[np.ndarray]:
    """The state of a model's optimizer as Keras's variables.

    A rule that took no step yet has its first values, as Keras's built optimizers do.
    """
    state = [np.asarray(optimizer.iterations, "int32")]
    if _has_rate(optimizer):
        state.append(np.asarray(optimizer.learning_rate, "float32"))
    places = pieces(model)
    slots = optimizer.slots or _first_values(optimizer, places)
    for names in _groups(optimizer, slots):
        state += [_array(place.of(slots[name])) for place in places for name in names]
    return state + [_array(slots[name]) for name in _single(slots)]


def load(optimizer: Any, model: nn.Module, state: list[np.ndarray]) -> bool:
    """Gives an optimizer the state that `variables` returned, or Keras saved.

    Returns:
        Whether it fits; if not, nothing is taken.
    """
    wanted = variables(optimizer, model)
    if [one.shape for one in wanted] != [one.shape for one in state]:
        return False
    places, left = pieces(model), iter(state)
    iterations = int(next(left))
    if _has_rate(optimizer):
        optimizer.learning_rate = float(next(left))
    slots = _first_values(optimizer, places)
    for names in _groups(optimizer, slots):
        for place in places:
            for name in names:
                place.of(slots[name]).copy_(_tensor(next(left)))
    for name in _single(slots):
        slots[name].copy_(_tensor(next(left)))
    optimizer.load_state_dict({"iterations": iterations, **slots})
    return True


def load_or_warn(model: Any, state: list[np.ndarray], path: Any) -> None:
    """Gives a compiled model's optimizer a state, or warns that it isn't one of its kind."""
    if state and not load(model.optimizer, model, state) and state[0]:
        warnings.warn(
            f"{str(path)!r}: the optimizer's state doesn't fit {model.optimizer!r}, so it "
            "starts anew.",
            stacklevel=5,
        )


def alternating(model: Any, state: list[np.ndarray]) -> list[np.ndarray]:
    """Arrays that come slot by slot, as Keras 1 and 2 kept them, in the order of `variables`."""
    optimizer, places = model.optimizer, pieces(model)
    groups = _groups(optimizer, optimizer.slots or _first_values(optimizer, places))
    found, start, count = [], 0, len(places)
    for names in groups:
        parts = [state[start + n * count : start + (n + 1) * count] for n in range(len(names))]
        found += [one for several in zip(*parts, strict=False) for one in several]
        start += len(names) * count
    return found


def _has_rate(optimizer: Any) -> bool:
    return isinstance(optimizer.get_config().get("learning_rate"), int | float)


def _first_values(optimizer: Any, places: Iterable[Piece]) -> dict[str, Tensor]:
    length = max((place.end for place in places), default=0)
    return {name: torch.full((length,), value) for name, value in optimizer.slot_values().items()}


def _groups(optimizer: Any, slots: Mapping[str, Tensor]) -> Iterator[tuple[str, ...]]:
    known = next(
        (_GROUPS[c.__name__] for c in type(optimizer).__mro__ if c.__name__ in _GROUPS), ()
    )
    flat = [name for name in slots if name not in _single(slots)]
    listed = {name for names in known for name in names}
    # The running averages of weights are Keras's first; a rule of somebody's own has its order.
    yield from ((name,) for name in flat if name not in listed)
    for names in known:
        if all(name in flat for name in names):
            yield names


def _single(slots: Mapping[str, Tensor]) -> list[str]:
    """The slots that hold one number for all weights."""
    longest = max((slot.numel() for slot in slots.values()), default=0)
    return [name for name, slot in slots.items() if slot.dim() == 0 and longest >= 1]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(values))
