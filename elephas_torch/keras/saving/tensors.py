"""Weights as safetensors: numbered by their order in the model.

The names of layers that nobody named change (dense, dense_1), so what belongs where is told by
the order, and checked by shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from elephas_torch.errors import ModelFileError

OPTIMIZER = "optimizer/"


def written(model: nn.Module) -> bytes:
    """A model's weights as the bytes of a file."""
    return safetensors.torch.save(
        {
            f"{number:05d}.{name}": tensor.detach().clone().as_subclass(Tensor).contiguous()
            for number, (name, tensor) in enumerate(model.state_dict().items())
        }
    )


def parsed(content: bytes, path: Any) -> dict[str, Tensor]:
    """The tensors of a file's bytes.

    Raises:
        ModelFileError: they aren't safetensors.
    """
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"{str(path)!r} holds no weights in safetensors' form, or is cut off ({error})."
        ) from None


def take(model: nn.Module, tensors: Mapping[str, Tensor], path: Any) -> None:
    """Gives a built model its weights.

    Raises:
        ModelFileError: they don't fit; nothing is taken then.
    """
    theirs = [(k, tensors[k]) for k in sorted(tensors) if not k.startswith(OPTIMIZER)]
    mine = list(model.state_dict().items())
    if len(theirs) != len(mine):
        raise ModelFileError(
            f"{str(path)!r} doesn't fit the model: it has {len(theirs)} weights, "
            f"the model has {len(mine)}."
        )
    for (name, tensor), (_, stored) in zip(mine, theirs, strict=True):
        if tensor.shape != stored.shape:
            raise ModelFileError(
                f"{str(path)!r} doesn't fit the model: {name!r} has shape "
                f"{tuple(tensor.shape)} in the model and {tuple(stored.shape)} in the file."
            )
    with torch.no_grad():
        for (_, tensor), (_, stored) in zip(mine, theirs, strict=True):
            tensor.copy_(stored)


def take_optimizer(optimizer: Any, tensors: Mapping[str, Tensor], path: Any) -> None:
    """Gives an optimizer the state that a file of the older form has.

    Raises:
        ModelFileError: something of it is missing.
    """
    state = {k.removeprefix(OPTIMIZER): v for k, v in tensors.items() if k.startswith(OPTIMIZER)}
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise ModelFileError(f"{str(path)!r}: the optimizer's state is damaged: {error}") from None
