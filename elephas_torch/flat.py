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
        trainable = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        for name, parameter in trainable:
            if parameter.dtype != torch.float32:
                raise TypeError(
                    f"The weight {name!r} is {parameter.dtype}; training takes float32. "
                    "Convert the module with .float(), or freeze the weight with "
                    ".requires_grad_(False)."
                )
        buffers = [buffer for _, buffer in module.named_buffers() if buffer is not None]
        floats = [b for b in buffers if b.dtype == torch.float32]
        counts = [b for b in buffers if b.dtype == torch.int64]
        self.names = [name for name, _ in trainable]
        self._parameters = [p for _, p in trainable]
        self._buffers = floats + counts
        self.sizes = [p.numel() for p in self._parameters]
        self.parameters = _flatten(self._parameters, torch.float32)
        self.gradients = torch.zeros_like(self.parameters)
        self.state = _flatten(floats, torch.float32)
        self.counters = _flatten(counts, torch.int64)
        self._gradient_views = list(_views(self.gradients, self._parameters))
        self.attach_gradients()

    def attach_gradients(self) -> None:
        """Makes every weight's `.grad` its view again (something may have set it to None)."""
        for parameter, view in zip(self._parameters, self._gradient_views, strict=True):
            parameter.grad = view

    def zero_gradients(self) -> None:
        """Sets all gradients to 0; to be called before each backward pass."""
        self.gradients.zero_()

    def holds(self, module: nn.Module) -> bool:
        """Whether this object's vectors still lie under the module's weights and buffers."""
        parameters = [p for p in module.parameters() if p.requires_grad]
        if len(parameters) != len(self._parameters):
            return False
        if any(a is not b for a, b in zip(parameters, self._parameters, strict=True)):
            return False
        ours = {b.data_ptr() for b in self._buffers}
        if any(
            b.data_ptr() not in ours
            for b in module.buffers()
            if b.dtype in (torch.float32, torch.int64) and b.numel()
        ):
            return False
        offset, start = 0, self.parameters.data_ptr()
        for parameter in parameters:
            if parameter.data_ptr() != start + 4 * offset and parameter.numel():
                return False
            offset += parameter.numel()
        return all(
            p.grad is v for p, v in zip(self._parameters, self._gradient_views, strict=True)
        )

    @property
    def vectors(self) -> Vectors:
        """What a pull overwrites: parameters, state and counters, not copied."""
        return Vectors(self.parameters, self.state, self.counters)


def _flatten(tensors: list[Tensor], dtype: torch.dtype) -> Tensor:
    device = tensors[0].device if tensors else torch.device("cpu")
    flat = torch.empty(sum(t.numel() for t in tensors), dtype=dtype, device=device)
    for tensor, view in zip(tensors, _views(flat, tensors), strict=True):
        view.copy_(tensor.detach())
        tensor.data = view
    return flat


def _views(flat: Tensor, like: list[Tensor]) -> Iterator[Tensor]:
    offset = 0
    for tensor in like:
        yield flat[offset : offset + tensor.numel()].view(tensor.shape)
        offset += tensor.numel()
