"""Zeros in the place of symbolic tensors, and the masks that symbolic tensors will have.

A layer's outputs are found by calling it on zeros, where it doesn't tell their shape. One that
needs a mask must find one then too; so symbolic tensors have masks as others do: symbolic ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import masks, trees
from elephas_torch.keras.symbolic import KerasTensor


def spec(layer: Any, args: Any, kwargs: Any) -> Any:
    """The symbolic outputs of a layer, with their masks."""
    outputs = layer.compute_output_spec(*args, **kwargs)
    if layer.supports_masking and args:
        _hand_on_masks(layer, args[0], outputs)
    return outputs


def _hand_on_masks(layer: Any, inputs: Any, outputs: Any) -> None:
    several = trees.leaves(outputs)
    previous = masks.of(inputs)
    made = layer._makes_masks
    if not (made or masks.any_of(previous)) or masks.any_of(masks.of(several)):
        return
    if made:
        kind = layer.input_dtype
        inputs = trees.map_leaves(lambda one: masked_zeros(one, 2, kind), inputs)
        previous = layer.compute_mask(inputs, masks.of(inputs))
    for one, mask in zip(several, trees.leaves(previous), strict=False):
        if mask is not None:
            masks.put(one, symbolic_mask(one))


def symbolic_mask(tensor: KerasTensor) -> KerasTensor:
    """The mask of a symbolic tensor that will have one."""
    return KerasTensor(tensor.shape[:2], "bool", "mask")


def masked_zeros(value: Any, size: int, dtype: torch.dtype) -> Any:
    """What `zeros` gives, with a mask that hides nothing where the symbolic tensor has one."""
    found = zeros(value, size, dtype)
    if isinstance(value, KerasTensor) and masks.get(value) is not None:
        masks.put(found, torch.ones(found.shape[:2], dtype=torch.bool))
    return found


def zeros(value: Any, size: int, dtype: torch.dtype) -> Any:
    """Zeros for a symbolic tensor; everything else as it is.

    Args:
        size: of the batch, where it isn't known.
        dtype: where torch hasn't the tensor's own.
    """
    if not isinstance(value, KerasTensor):
        return value
    own = getattr(torch, value.dtype, dtype)
    first, *others = value.shape if value.shape else (None,)
    if not value.shape:
        return torch.zeros((), dtype=own)
    # Another length than the batch's, and another at each size too.
    lengths = [size + 5 if n is None else n for n in others]
    return torch.zeros([size if first is None else first, *lengths], dtype=own)


def between(first: Any, second: Any) -> Any:
    """The symbolic tensor of two that a layer gave for two sizes: what differs isn't known."""
    if not isinstance(first, Tensor):
        return first
    shape = (a if a == b else None for a, b in zip(first.shape, second.shape, strict=True))
    found = KerasTensor(shape, str(first.dtype).removeprefix("torch."))
    if masks.get(first) is not None:
        masks.put(found, symbolic_mask(found))
    return found
