"""`save_freq`: each epoch, or each so many batches."""

from __future__ import annotations

from typing import Any

import numpy as np


def checked_frequency(owner: str, save_freq: Any) -> str | int:
    """Returns "epoch" or a whole number, 1 or more; raises ValueError for anything else."""
    if isinstance(save_freq, str) and save_freq == "epoch":
        return "epoch"
    whole = isinstance(save_freq, int | np.integer) and not isinstance(save_freq, bool)
    if not whole or save_freq < 1:
        raise ValueError(
            f"{owner}: `save_freq` must be 'epoch', or a number of batches, 1 or more. "
            f"Received: save_freq={save_freq!r}"
        )
    return int(save_freq)


class Every:
    """Counts batches, over the ends of epochs; `due(batch)` is true each `batches`-th time."""

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self._seen = 0
        self._last = -1

    def due(self, batch: int) -> bool:
        """Whether it is time, after a batch of this number.

        Args:
            batch: its number in the epoch, from 0. Several may have been made since the last.
        """
        self._seen += batch - self._last if batch > self._last else batch + 1
        self._last = batch
        if self._seen < self.batches:
            return False
        self._seen = 0
        return True
