"""`Initializer`: what gives a new weight its first value."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras.making import Maker

Shape = Sequence[int]


def number(initializer: Any, argument: str, value: Any) -> Any:
    """Returns the argument; raises TypeError unless it is a number."""
    if isinstance(value, numbers.Real):
        return value
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 0:
        return value.item()
    raise TypeError(
        f"{type(initializer).__name__}: `{argument}` must be a number. "
        f"Received: {argument}={value!r}"
    )


class Initializer(metaclass=Maker):
    """Gives a new weight its first value. Subclass it with `__call__` and `get_config`."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns a new CPU tensor of that shape and dtype."""
        raise TypeError(f"{type(self).__name__} must define __call__(self, shape, dtype).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)

    def clone(self) -> Initializer:
        """Returns another with the same arguments."""
        return type(self).from_config(self.get_config())
