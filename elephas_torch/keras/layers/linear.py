"""The product of a dense layer, whose backward pass computes a large kernel's gradient where it is
kept, in place of making one that is added there: the greatest layer's weights once more in memory,
and two passes over them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """inputs @ kernel + bias, along the last axis.

    Args:
        inputs: (..., features).
        kernel: (features, units). Where it has a `elephas_torch.flat.Place`, its gradient is
            computed there.
        bias: (units,), or None for 0.
    """
    place = getattr(kernel, "place", None)
    if place is not None and _eager():
        place.wanted = True
        rows = _Linear.apply(inputs.reshape(-1, kernel.shape[0]), kernel, bias, place)
        return rows.view(*inputs.shape[:-1], -1)
    if bias is None:
        return torch.matmul(inputs, kernel)
    if inputs.dim() == 2:
        return torch.addmm(bias, inputs, kernel)
    return F.linear(inputs, kernel.t(), bias)


def _eager() -> bool:
    """Whether gradients are wanted, and taken as torch commonly does."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, kernel: Tensor, bias: Tensor | None, place: Any
    ) -> Tensor:
        ctx.save_for_backward(inputs, kernel)
        ctx.place = place
        there = kernel.to(inputs.dtype)
        return inputs @ there if bias is None else torch.addmm(bias.to(there.dtype), inputs, there)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Any:
        inputs, kernel = ctx.saved_tensors
        of_inputs, of_kernel, of_bias, _ = ctx.needs_input_grad
        return (
            given @ kernel.to(given.dtype).t() if of_inputs else None,
            _of_kernel(ctx.place, inputs.to(given.dtype).t(), given) if of_kernel else None,
            given.sum(0) if of_bias else None,
            None,
        )


def _of_kernel(place: Any, inputs: Tensor, given: Tensor) -> Tensor:
    there = None if torch.is_grad_enabled() else place.take()
    if there is None:
        return inputs @ given
    if given.dtype == there.dtype:
        return torch.mm(inputs, given, out=there)
    return there.copy_(inputs @ given)
