"""A module's weights as flat vectors with named views.

A `Flat` moves a module's trainable weights into one contiguous float32 vector and their
gradients into another; the float buffers (BatchNorm's moving statistics) into a third and
the integer ones (counters) into a fourth. The module works as before, on views. So an
optimizer's step is one vector operation, and a push or pull is one copy.

    >>> import torch
    >>> flat = Flat(torch.nn.Linear(2, 3))
    >>> flat.parameters.shape, flat.sizes
    (torch.Size([9]), [6, 3])
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

#: Elements of a weight from which on its gradient has a `Place`: a layer that uses it has torch
#: call a function of Python's in each pass.
LARGE = 1 << 20


class Vectors(NamedTuple):
    """What travels between a worker and the server, each a contiguous 1-D CPU tensor.

    Attributes:
        parameters: float32, the trainable weights (or an update of the same length).
        state: float32, weights that aren't trained by gradients: moving statistics. Often empty.
        counters: int64, counts of steps and the like. Often empty.
    """

    parameters: Tensor
    state: Tensor
    counters: Tensor

    def clone(self) -> Vectors:
        return Vectors(*(one.clone() for one in self))

    def copy_(self, other: Vectors) -> None:
        for mine, theirs in zip(self, other, strict=True):
            mine.copy_(theirs)

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.parameters.numel(), self.state.numel(), self.counters.numel()


class Place:
    """Where a large weight's gradient is kept: set as `place` of weights that have the attribute.

    A layer that wants to compute it there, without memory beside it, sets `wanted` in its forward
    pass, takes the place in its backward pass, and returns it as the gradient. Whatever else
    happens to that gradient on its way is torch's: if it ends up elsewhere, it is copied.

    Args:
        view: the part of `Flat.gradients`.
    """

    def __init__(self, view: Tensor) -> None:
        self._view = view
        self.wanted = self.free = False

    def take(self) -> Tensor | None:
        """The memory to put the gradient into, once a step; None where it is in use."""
        if not self.free:
            return None
        self.free = False
        return self._view.view_as(self._view)  # torch keeps a gradient that nobody else refers to


class Flat:
    """Flat vectors under a module's weights, gradients and buffers.

    Args:
        module: its trainable float32 parameters, and its buffers, become views into this
            object's vectors, in the order of `named_parameters()` and `named_buffers()`.
            Parameters with `requires_grad=False` stay as they are: nothing changes them.

    Attributes:
        parameters, gradients: float32, 1-D, of the same length.
        state: float32, 1-D: the floating-point buffers.
        counters: int64, 1-D: the integer buffers that are int64.
        sizes: the number of elements of each trainable weight, in order.

    Raises:
        TypeError: a trainable weight isn't float32; the message names it.
    """

    def __init__(self, module: nn.Module) -> None:
        check_dtypes(module)
        self.names = [name for name, p in module.named_parameters() if p.requires_grad]
        self._parameters = _trainable(module)
        self._floats = _buffers(module, torch.float32)
        self._counts = _buffers(module, torch.int64)
        self.sizes = [p.numel() for p in self._parameters]
        self.parameters = _flatten(self._parameters, torch.float32)
        self.gradients = torch.zeros_like(self.parameters)
        where = self.parameters.device  # of vectors without elements too
        self.state = _flatten(self._floats, torch.float32, where)
        self.counters = _flatten(self._counts, torch.int64, where)
        self._lay_gradients()

    def _lay_gradients(self) -> None:
        self._gradient_views = list(_views(self.gradients, self._parameters))
        self._places = []
        for weight, view in zip(self._parameters, self._gradient_views, strict=True):
            if hasattr(weight, "place") and weight.numel() >= LARGE:
                place = weight.place = Place(view)
                self._places.append((weight, view, place))
        self.attach_gradients()

    def move(self, parameters: Tensor | None = None, gradients: Tensor | None = None) -> None:
        """Lays the weights, or their gradients, over other memory, and takes what is there.

        Args:
            parameters, gradients: float32, 1-D, of the same length as those before.
        """
        if parameters is not None:
            self.parameters = parameters
            for weight, view in zip(
                self._parameters, _views(parameters, self._parameters), strict=True
            ):
                weight.data = view
        if gradients is not None:
            self.gradients = gradients
            self._lay_gradients()

    def attach_gradients(self) -> None:
        """Makes every weight's `.grad` its view again (something may have set it to None)."""
        for parameter, view in zip(self._parameters, self._gradient_views, strict=True):
            parameter.grad = view

    def zero_gradients(self) -> None:
        """Sets all gradients to 0; to be called before each backward pass."""
        self.gradients.zero_()
        # Whoever sets gradients to None sets all of them: looking at the first is enough.
        if self.sizes and self._parameters[0].grad is not self._gradient_views[0]:
            self.attach_gradients()

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss to `gradients`."""
        used = [entry for entry in self._places if entry[2].wanted]
        for weight, _, place in used:
            weight.grad, place.free = None, True
        try:
            loss.backward()
            for weight, view, _ in used:
                _gather(weight.grad, view)
        finally:
            for weight, view, place in used:
                weight.grad, place.free, place.wanted = view, False, False

    def holds(self, module: nn.Module) -> bool:
        """Whether this object's vectors still lie under the module's weights and buffers."""
        return (
            _lie_under(self.parameters, self._parameters, _trainable(module))
            and _lie_under(self.state, self._floats, _buffers(module, torch.float32))
            and _lie_under(self.counters, self._counts, _buffers(module, torch.int64))
            and all(
                p.grad is v for p, v in zip(self._parameters, self._gradient_views, strict=True)
            )
        )

    @property
    def vectors(self) -> Vectors:
        """What a pull overwrites: parameters, state and counters, not copied."""
        return Vectors(self.parameters, self.state, self.counters)


def check_dtypes(module: nn.Module) -> None:
    """Raises TypeError where a trainable weight isn't float32; the message names it."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise TypeError(
                f"The weight {name!r} is {parameter.dtype}; training takes float32. "
                "Convert the module with .float(), or freeze the weight with "
                ".requires_grad_(False)."
            )


def _trainable(module: nn.Module) -> list[Tensor]:
    return [p for p in module.parameters() if p.requires_grad]


def _buffers(module: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    return [b for b in module.buffers() if b.dtype == dtype]


def _lie_under(flat: Tensor, known: list[Tensor], found: list[Tensor]) -> bool:
    """Whether the tensors found are those known, one after the other in `flat`."""
    if len(known) != len(found) or any(a is not b for a, b in zip(known, found, strict=True)):
        return False
    address, width = flat.data_ptr(), flat.element_size()
    for tensor in found:
        if tensor.numel() and (tensor.data_ptr() != address or not tensor.is_contiguous()):
            return False
        address += width * tensor.numel()
    return address == flat.data_ptr() + width * flat.numel()


def _flatten(
    tensors: list[Tensor], dtype: torch.dtype, where: torch.device | None = None
) -> Tensor:
    device = tensors[0].device if tensors else where
    flat = torch.empty(sum(t.numel() for t in tensors), dtype=dtype, device=device)
    for tensor, view in zip(tensors, _views(flat, tensors), strict=True):
        view.copy_(tensor.detach())
        tensor.data = view
    return flat


def _gather(found: Tensor | None, view: Tensor) -> None:
    if found is None:
        view.zero_()
    elif found.data_ptr() != view.data_ptr():
        view.copy_(found)


def _views(flat: Tensor, like: list[Tensor]) -> Iterator[Tensor]:
    offset = 0
    for tensor in like:
        yield flat[offset : offset + tensor.numel()].view(tensor.shape)
        offset += tensor.numel()
