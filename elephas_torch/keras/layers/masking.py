"""Masking: steps that a value marks are left out by what comes after."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import masks, serialization
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = ["Masking"]


class Masking(BuiltIn):
    """Masks each step whose features all equal `mask_value`, and sets them to 0.

    Follows https://keras.io/api/layers/core_layers/masking/

    Args:
        mask_value: a number. Default 0.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `mask_value` is no number.
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, dict):
            mask_value = serialization.deserialize_keras_object(mask_value)
        if isinstance(mask_value, Tensor) and mask_value.numel() == 1:
            mask_value = mask_value.item()
        if isinstance(mask_value, bool) or not isinstance(mask_value, int | float):
            raise ValueError(
                f"Masking: `mask_value` must be a number. Received: mask_value={mask_value!r}"
            )
        self.mask_value = mask_value

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor:
        return (inputs != self.mask_value).any(-1)

    def call(self, inputs: Tensor) -> Tensor:
        mask = self.compute_mask(inputs)
        outputs = torch.where(mask[..., None], inputs, 0.0)
        masks.put(outputs, mask)
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
