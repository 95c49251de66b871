"""The random masks of dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Noise:
    """Makes masks: 0 with probability `rate`, otherwise 1 / (1 - rate).

    Args:
        seed: for a generator of its own, made at the first mask. None: torch's global one.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._generator: torch.Generator | None = None

    def mask(self, like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        """A mask of that shape, on the device and of the dtype of `like`."""
        if self.seed is None:
            return F.dropout(like.new_ones(tuple(shape)), rate)
        if self._generator is None:
            self._generator = torch.Generator(like.device).manual_seed(self.seed)
        mask = like.new_empty(tuple(shape)).bernoulli_(1 - rate, generator=self._generator)
        return mask if rate == 1 else mask.div_(1 - rate)
