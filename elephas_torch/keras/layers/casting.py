"""The dtypes in which tensors come into a layer: Keras casts floats to what the layer computes in.

Ints and bools stay what they are.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from elephas_torch.keras import masks, trees


def is_plain(tensor: Tensor) -> bool:
    """Whether a float32 layer takes the tensor as it is."""
    return tensor.dtype is torch.float32 or not tensor.is_floating_point()


def as_float32(layer: nn.Module, outermost: bool, arguments: Any) -> Any:
    """Returns the arguments of a float32 layer's call with their floats in float32.

    A layer that was made `double()`, and one without weights in a model, which may have been made
    so, takes them as they are; so does every layer in a scope of `torch.autocast`.

    Args:
        outermost: whether the call comes from outside all layers.
        arguments: a tree with tensors in it.
    """
    odd = [one for one in trees.leaves(arguments) if is_tensor(one) and not is_plain(one)]
    if not odd or torch.is_autocast_enabled(odd[0].device.type):
        return arguments
    weight = next(layer.parameters(), None)
    if not outermost if weight is None else weight.dtype is torch.float64:
        return arguments
    return trees.map_leaves(functools.partial(to, dtype=torch.float32), arguments)


def to_policy(dtype: torch.dtype, tree: Any) -> Any:
    """Returns a tree with the floats of its tensors in a mixed policy's dtype."""
    return trees.map_leaves(functools.partial(_to_policy, dtype=dtype), tree)


def _to_policy(value: Any, dtype: torch.dtype) -> Any:
    # As where no policy is mixed: a layer made double() gives float64.
    wide = is_tensor(value) and value.dtype == torch.float64 and dtype == torch.float32
    return value if wide else to(value, dtype)


def to(value: Any, dtype: torch.dtype) -> Any:
    """Returns a float tensor in another dtype, with its mask; anything else as it is."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == dtype:
        return value
    return masks.moved(value, value.to(dtype))


def is_tensor(thing: Any) -> bool:
    return isinstance(thing, Tensor)
