"""Optimizer steps on lists of weights: what `Optimizer.apply` does with a flat vector's rule."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from elephas_torch.optimizers.base import Optimizer


class Variables:
    """The weights that an optimizer was built with.

    Args:
        weights: float tensors, such as parameters.

    Attributes:
        weights: the list.
        sizes: their numbers of elements.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self.weights = list(weights)
        self.numbers = {id(weight): number for number, weight in enumerate(self.weights)}
        self.sizes = [weight.numel() for weight in self.weights]

    @property
    def description(self) -> dict[str, Any]:
        """The arguments of `Optimizer.describe`."""
        names = [_name(weight, number) for number, weight in enumerate(self.weights)]
        shapes = [tuple(weight.shape) for weight in self.weights]
        return {"names": names, "shapes": shapes, "variables": self.weights}

    def vector(self) -> tuple[Tensor, bool]:
        """Returns all weights as one vector, and whether it is a copy.

        It isn't where they lie one after the other in memory, as those of a fitted model do.
        """
        if _lie_together(self.weights):
            first = self.weights[0].detach()
            return first.as_strided((sum(self.sizes),), (1,), first.storage_offset()), False
        if not self.weights:
            return torch.zeros(0), True
        return torch.cat([weight.detach().reshape(-1) for weight in self.weights]), True

    def aligned(self, grads: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Any]:
        """Returns a gradient or None for each of the optimizer's weights, given those of some.

        Raises:
            ValueError: a weight isn't one of them, or a gradient has another shape.
        """
        found: list[Tensor | None] = [None] * len(self.weights)
        for gradient, weight in zip(grads, weights, strict=True):
            number = self.numbers.get(id(weight))
            if number is None:
                raise ValueError(
                    "An optimizer takes the weights that it was built with; for others make "
                    f"another. Received: a weight of shape {tuple(weight.shape)} that it doesn't "
                    "know"
                )
            if gradient is not None and gradient.shape != weight.shape:
                raise ValueError(
                    f"A gradient must have its weight's shape {tuple(weight.shape)}. "
                    f"Received: a gradient of shape {tuple(gradient.shape)}"
                )
            found[number] = gradient
        return found


@torch.no_grad()
def apply(
    optimizer: Optimizer,
    grads: Iterable[Tensor | None],
    trainable_variables: Iterable[Tensor] | None,
) -> None:
    """Does what `Optimizer.apply` says."""
    grads = list(grads)
    if not grads:
        return
    weights = None if trainable_variables is None else list(trainable_variables)
    known = _built(optimizer, weights)
    weights = known.weights if weights is None else weights
    _check(grads, weights)
    aligned = known.aligned(grads, weights)
    vector, copied = known.vector()
    gradient = torch.cat(
        [
            (torch.zeros_like(weight) if one is None else one).detach().reshape(-1)
            for weight, one in zip(known.weights, aligned, strict=True)
        ]
    ).to(vector.dtype)
    still = [number for number, one in enumerate(aligned) if one is None]
    if optimizer._length != vector.numel():
        optimizer.build(vector)
    held = [(place, place.clone()) for place in _places(optimizer, vector, still)]
    optimizer.step(vector, gradient, known.sizes)
    for place, value in held:
        place.copy_(value)
    if copied:
        fill(known.weights, vector)
    _constrain(known.weights)


def fill(weights: Sequence[Tensor], vector: Tensor) -> None:
    """Copies a flat vector into a list of weights."""
    parts = vector.split([weight.numel() for weight in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.detach().copy_(part.view(weight.shape))


def _built(optimizer: Optimizer, weights: list[Tensor] | None) -> Variables:
    if optimizer._variables is None:
        if weights is None:
            raise ValueError(
                f"{type(optimizer).__name__}: apply() needs the weights, or call "
                "build(trainable_variables) first."
            )
        optimizer.build(weights)
    assert optimizer._variables is not None
    return optimizer._variables


def _check(grads: Sequence[Tensor | None], weights: Sequence[Tensor]) -> None:
    if len(grads) != len(weights):
        raise ValueError(
            f"There must be a gradient, or None, for each weight. Received: {len(grads)} "
            f"gradients for {len(weights)} weights"
        )
    missing = [number for number, one in enumerate(grads) if one is None]
    if len(missing) == len(grads):
        raise ValueError("None of the weights has a gradient. Did the loss depend on them?")
    if missing:
        names = ", ".join(_name(weights[number], number) for number in missing)
        warnings.warn(
            f"There are no gradients for these weights, which stay as they are: {names}.",
            stacklevel=5,
        )


def _places(optimizer: Optimizer, vector: Tensor, numbers: Sequence[int]) -> Iterator[Tensor]:
    """Yields what a step must leave alone: these weights, and what is kept for them."""
    if not numbers or optimizer.layout is None:
        return
    for number in numbers:
        start, end = optimizer.layout.spans[number]
        yield vector[start:end]
        for name in optimizer.slots:
            place = optimizer.slot_of(name, number)
            if place is not None:
                yield place


def _constrain(weights: Sequence[Tensor]) -> None:
    for weight in weights:
        constraint = getattr(weight, "constraint", None)
        if constraint is not None:
            weight.detach().copy_(constraint(weight.detach()))


def _name(weight: Tensor, number: int) -> str:
    for attribute in ("path", "name"):
        name = getattr(weight, attribute, None)
        if isinstance(name, str):
            return name
    return f"variable_{number}"


def _lie_together(weights: Sequence[Tensor]) -> bool:
    if not weights:
        return False
    first = weights[0]
    address, width = first.data_ptr(), first.element_size()
    for weight in weights:
        if weight.dtype != first.dtype or weight.device != first.device:
            return False
        if weight.data_ptr() != address or not weight.is_contiguous():
            return False
        address += width * weight.numel()
    # Neighbours in memory by chance lie in storages of their own.
    storage = first.untyped_storage().data_ptr()
    return all(weight.untyped_storage().data_ptr() == storage for weight in weights)
