"""First values that are no random numbers: Zeros, Ones, Constant, Identity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.initializers.base import Initializer, Shape, number


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(tuple(shape), dtype=dtype)


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.ones(tuple(shape), dtype=dtype)


class Constant(Initializer):
    """All `value`, a number. Default 0."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = number(self, "value", value)

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.full(tuple(shape), self.value, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Identity(Initializer):
    """The identity matrix times `gain`; for two-dimensional weights.

    Raises:
        ValueError: when called with a shape that isn't two-dimensional.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(self, "gain", gain)

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity gives matrices only. Received: shape={tuple(shape)}")
        return self.gain * torch.eye(*shape, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
