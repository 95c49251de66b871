"""What an optimizer keeps between steps: slots, in its own form and in Keras's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.optimizers.layout import Layout


class State:
    """The part of `Optimizer` that gives its state away and takes it back.

    Attributes:
        iterations: updates done.
        accumulated: gradients in the sum of `gradient_accumulation_steps`.
        slots: the vectors that the rule keeps, by name.
        layout: the single weights, after `describe`.
    """

    #: The slots in the order of Keras's variables: those in one tuple alternate over the weights.
    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = ()

    iterations: int
    accumulated: int
    slots: dict[str, Tensor]
    layout: Layout | None
    gradient_accumulation_steps: int | None
    _learning_rate: Any
    _length: int | None

    @property
    def steps(self) -> int:
        """Calls of `step` so far: what Keras saves as `iteration`."""
        return self.iterations * (self.gradient_accumulation_steps or 1) + self.accumulated

    def build(self, parameters: Tensor) -> None:
        """Makes the slots."""
        raise TypeError(f"{type(self).__name__} must define build(self, parameters).")

    def _slot_names(self) -> list[str]:
        """The slots that the optimizer keeps, made or not."""
        return list(self.slots)

    @property
    def variables(self) -> list[Tensor]:
        """The state in Keras's order: see `keras_variables`. Slots are views, numbers copies."""
        return self.keras_variables() if self.layout else self._numbers()

    def _numbers(self) -> list[Tensor]:
        numbers = [torch.tensor(self.steps, dtype=torch.int32)]
        if isinstance(self._learning_rate, float):
            numbers.append(torch.tensor(self._learning_rate))
        return numbers

    def keras_variables(self, order: Sequence[int] | None = None) -> list[Tensor]:
        """Returns the state as Keras's optimizer of this name has it in `variables`.

        Args:
            order: the numbers of the weights in the vector, in the order in which Keras has
                them; as they lie by default.

        Returns:
            The number of steps (int32), the learning rate (float32; not with a schedule), then
            for each slot, or each group of `slot_order`, a view for each weight.

        Raises:
            ValueError: `describe` wasn't called.
        """
        layout = self._needs_layout("the state in Keras's order")
        if not self.slots:
            self.build(torch.zeros(sum(layout.sizes)))
        numbers = range(len(layout.shapes)) if order is None else order
        found = self._numbers()
        for group in self._groups():
            places = [self.slot_of(name, n) for n in numbers for name in group]
            found += [place for place in places if place is not None]
        return found

    @torch.no_grad()
    def load_keras_variables(
        self, values: Iterable[Any], order: Sequence[int] | None = None
    ) -> bool:
        """Takes what `keras_variables`, or Keras's optimizer, gave.

        Args:
            values: arrays or tensors.
            order: see `keras_variables`.

        Returns:
            Whether numbers and shapes fit; if not, nothing is taken.
        """
        tensors = [torch.as_tensor(value) for value in values]
        mine = self.keras_variables(order)
        if [one.shape for one in mine] != [one.shape for one in tensors]:
            return False
        for place, value in zip(mine, tensors, strict=True):
            place.copy_(value)
        self._take_numbers(mine)
        return True

    def _take_numbers(self, state: list[Tensor]) -> None:
        every = self.gradient_accumulation_steps or 1
        self.iterations, self.accumulated = divmod(int(state[0]), every)
        if isinstance(self._learning_rate, float):
            self._learning_rate = float(state[1])

    def slot_of(self, name: str, number: int) -> Tensor | None:
        """Returns a weight's part of a slot, in its shape; None where Keras keeps nothing."""
        layout = self._needs_layout("a single weight's state")
        start, end = layout.spans[number]
        return self.slots[name][start:end].view(layout.shapes[number])

    def _groups(self) -> list[tuple[str, ...]]:
        listed = {name for group in self.slot_order for name in group}
        others = [(name,) for name in self.slots if name not in listed]
        groups = [tuple(name for name in group if name in self.slots) for group in self.slot_order]
        return [*others, *(group for group in groups if group)]

    def _needs_layout(self, what: str) -> Layout:
        if self.layout is None:
            raise ValueError(
                f"{type(self).__name__}: {what} needs the shapes of the "
                "weights: call describe(names, shapes) first."
            )
        return self.layout

    def state_dict(self) -> dict[str, Any]:
        """`{"iterations": int, slot: Tensor ...}`, tensors shared with the optimizer."""
        counted = {"accumulated": self.accumulated} if self.accumulated else {}
        return {"iterations": self.iterations, **counted, **self.slots}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a `state_dict()` of the same kind of optimizer; its tensors are copied.

        Raises:
            ValueError: it lacks something that this rule keeps; nothing is taken then.
        """
        kept = self._slot_names()
        missing = {"iterations", *(kept if state.get("iterations") else ())} - set(state)
        if missing:
            raise ValueError(
                f"{type(self).__name__} keeps {', '.join(sorted(missing))}, which the state "
                f"doesn't have. Received: a state of {', '.join(map(str, state)) or 'nothing'}"
            )
        self.iterations = int(state["iterations"])
        self.accumulated = int(state.get("accumulated", 0))
        self.slots = {name: state[name].clone() for name in kept if name in state}
        self._length = None
