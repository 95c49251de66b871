"""Masks: which steps of a sequence count. A mask is a tensor of bools that travels with another.

It is an attribute of its tensor, as in Keras, so functions between layers lose it and layers that
know of masks hand it on. See https://keras.io/guides/understanding_masking_and_padding/
"""

from __future__ import annotations

from typing import Any

from elephas_torch.keras import trees

_ATTRIBUTE = "_keras_mask"


def get(tensor: Any) -> Any:
    """Returns the mask of a tensor, or None."""
    return getattr(tensor, _ATTRIBUTE, None)


def put(tensor: Any, mask: Any) -> None:
    """Gives a tensor a mask; None takes it away."""
    if mask is None:
        if hasattr(tensor, _ATTRIBUTE):
            delattr(tensor, _ATTRIBUTE)
    else:
        setattr(tensor, _ATTRIBUTE, mask)


def moved(tensor: Any, other: Any) -> Any:
    """Returns another tensor, with the mask that the first one has."""
    put(other, get(tensor))
    return other


def of(inputs: Any) -> Any:
    """Returns the masks of a tree of tensors: a tree of the same form, or one mask for one."""
    return trees.map_leaves(get, inputs)


def any_of(masks: Any) -> bool:
    """Whether a tree of masks has one that isn't None."""
    return any(mask is not None for mask in trees.leaves(masks))
