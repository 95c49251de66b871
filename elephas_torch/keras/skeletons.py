"""A model's copy without weights, small to send, and how it gets weights again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import Tensor, nn

from elephas_torch.keras.training import Trainer
from elephas_torch.optimizers import Optimizer

M = TypeVar("M", bound=Trainer)


def skeleton(model: M) -> M:
    """The copy; see `Model.skeleton`."""
    memo: dict[int, Any] = {
        id(tensor): _ghost(tensor) for tensor in (*model.parameters(), *model.buffers())
    }
    for one in (m for m in model.modules() if isinstance(m, Trainer)):
        for left_out in (one._step, one.history):
            memo[id(left_out)] = None
        if one.compiled is not None and one.compiled.optimizer.slots:
            memo[id(one.compiled.optimizer)] = _anew(one.compiled.optimizer)
    return copy.deepcopy(model, memo)


def flesh_out(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Gives it its weights; see `Model.flesh_out`."""
    mine = dict(_named_tensors(model))
    if set(mine) != set(weights):
        odd = sorted(set(mine) ^ set(weights))
        raise ValueError(f"flesh_out: `weights` must be the model's own. In one only: {odd}")
    for name, tensor in mine.items():
        # In place, so that whatever else holds the tensor (a tied layer, a list) has it too.
        tensor.data = weights[name].detach().clone()


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers by name, those left out of state_dict() too."""
    return {name: tensor.detach() for name, tensor in _named_tensors(module)}


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _anew(optimizer: Optimizer) -> Optimizer:
    fresh = copy.copy(optimizer)
    fresh.reset()
    return copy.deepcopy(fresh)


def _ghost(tensor: Tensor) -> Tensor:
    empty = tensor.detach().new_empty(0)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
