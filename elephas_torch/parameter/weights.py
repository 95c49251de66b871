"""The server's vectors, their version, and the optimizer that steps them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from torch import Tensor

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import rules, wire
from elephas_torch.parameter.wire import Push, Settings


class Weights:
    """Vectors that change by whole updates, each of which makes a new version.

    Asynchronous and synchronous updates go in under a lock. In hogwild mode there is none
    around the vectors: concurrent updates may interleave, and a snapshot may have a part of
    one; only the counting of versions is locked.

    Args:
        settings: mode, optimizer, staleness.
        initial: the vectors to start from; copied.
    """

    def __init__(self, settings: Settings, initial: Vectors) -> None:
        wire.check_vectors(initial, settings.sizes, "initial")
        self._settings = settings
        body = wire.allocate(settings.sizes)
        self._buffer, self.vectors = body.buffer, body.vectors
        self.vectors.copy_(initial)
        self.version = 0
        self.optimizer = optimizers.get(settings.optimizer, importing=True)
        self.optimizer.build(self.vectors.parameters)
        hogwild = settings.mode == "hogwild"
        self._guard: AbstractContextManager[object] = nullcontext() if hogwild else threading.Lock()
        self._counting = threading.Lock()
        self._snapshot = (-1, memoryview(b""))
        self._spare: list[Any] = []
        self._shares: dict[int, tuple[int, Tensor]] = {}

    def snapshot(self) -> tuple[int, memoryview]:
        """Returns a version and its vectors as memory that never changes; made once a version."""
        with self._guard:
            return self._frozen()

    def _frozen(self) -> tuple[int, memoryview]:
        kept = self._snapshot
        if kept[0] == self.version:
            return kept
        # The version is read before the copy: a torn hogwild copy has at least its updates.
        kept = (self.version, self._copied())
        self._snapshot = kept
        return kept

    def _copied(self) -> memoryview:
        """Returns a copy whose memory is used again only after the last view of it is gone.

        So it never changes while a socket still reads it, and no update pays for fresh pages.
        """
        try:
            whole = self._spare.pop()
        except IndexError:
            whole = np.empty(len(self._buffer), np.uint8)
        view = whole[:]
        weakref.finalize(view, self._spare.append, whole).atexit = False
        copied = memoryview(view)
        copied[:] = self._buffer
        return copied.toreadonly()

    def step(self, push: Push, update: Vectors) -> tuple[int, memoryview, int]:
        """Applies one worker's update at once; returns version, snapshot and staleness.

        The update's memory is overwritten.
        """
        with self._guard:
            stale = self.version - push.base_version
            if self._settings.staleness is not None:
                rules.scale_(update.parameters, stale)
            self._move(update.parameters)
            self._take_state(push, update.state)
            rules.raise_counters_(self.vectors.counters, [update.counters])
            self._count()
            return (*self._frozen(), stale)

    def step_round(
        self, pushes: Sequence[Push], updates: Sequence[Vectors]
    ) -> tuple[int, memoryview]:
        """Applies a round, given in worker order; returns version and snapshot.

        The updates' memory is overwritten.
        """
        samples = [push.samples for push in pushes]
        with self._guard:
            self._move(rules.mean_([one.parameters for one in updates], samples))
            if self.vectors.state.numel():
                self.vectors.state.copy_(rules.mean_([one.state for one in updates], samples))
            rules.raise_counters_(self.vectors.counters, [one.counters for one in updates])
            self._count()
            return self._frozen()

    def _move(self, update: Tensor) -> None:
        self.optimizer.step(self.vectors.parameters, update, self._settings.weight_sizes)

    def _count(self) -> None:
        with self._counting:
            self.version += 1

    def _take_state(self, push: Push, state: Tensor) -> None:
        if state.numel():
            self._shares[push.worker] = (push.samples, state.clone())
            shares = [self._shares[key] for key in sorted(self._shares)]
            self.vectors.state.copy_(rules.weighted_state(shares))
