"""The server's vectors, their version, and the optimizer that steps them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from torch import Tensor

from elephas_torch import constraints, optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import board, rules, wire
from elephas_torch.parameter.board import Board
from elephas_torch.parameter.shared import Region
from elephas_torch.parameter.wire import Body, Push, Settings


class Pool:
    """Buffers for vectors, each used again only after the last view of its memory is gone.

    So what a socket still reads never changes, and no update pays for fresh pages. Once they are
    shared, new buffers are regions that other processes of this machine can open.
    """

    def __init__(self, sizes: wire.Sizes) -> None:
        self._sizes = sizes
        self._spare: list[Body] = []
        self._lent: dict[int, tuple[Any, Body]] = {}
        self._regions: dict[int, Region] | None = None

    def share(self) -> None:
        """Makes all buffers from now on regions."""
        if self._regions is None:
            self._regions, self._spare = {}, []

    def region(self, memory: memoryview) -> Region | None:
        """The region that lent memory lies in; None where it lies in this process alone."""
        return (self._regions or {}).get(_address(memory.obj))

    def _new(self) -> Body:
        if self._regions is None:
            return wire.allocate(self._sizes)
        try:
            region = Region.create(wire.vector_bytes(self._sizes))
        except OSError:  # no memory or no descriptor left: this one is sent
            return wire.allocate(self._sizes)
        body = wire.within(region.tensor, self._sizes)
        self._regions[_address(body.buffer.obj)] = region
        return body

    def take(self) -> tuple[Body, memoryview]:
        """Returns a buffer, and read-only memory of it; lent until nothing holds that memory."""
        try:
            body = self._spare.pop()
        except IndexError:
            body = self._new()
        view = np.frombuffer(body.buffer, np.uint8)
        # Not `weakref.finalize`: that takes longer than all the rest of this.
        gone = weakref.ref(view, self._back)
        self._lent[id(gone)] = (gone, body)
        return body, memoryview(view).toreadonly()  # type: ignore[arg-type]

    def _back(self, gone: Any) -> None:
        body = self._lent.pop(id(gone))[1]
        if self._regions is None or _address(body.buffer.obj) in self._regions:
            self._spare.append(body)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


class Weights:
    """Vectors that change by whole updates, each of which makes a new version.

    Asynchronous and synchronous updates go in under a lock; each makes vectors of its own, so
    that those of a version never change, and are sent as they are. In hogwild mode there is
    one place that all change without a lock: concurrent updates may interleave, and a snapshot
    may have a part of one; only the counting of versions is locked.

    Args:
        settings: mode, optimizer, staleness.
        initial: the vectors to start from; copied.

    Attributes:
        vectors: those of the present version.
        pool: the buffers of snapshots.
        board: where workers of this machine step by themselves; None where that can't be.
    """

    def __init__(self, settings: Settings, initial: Vectors) -> None:
        wire.check_vectors(initial, settings.sizes, "initial")
        self._settings = settings
        self._in_place = settings.mode == "hogwild"
        self._alone = settings.mode == "asynchronous"
        self._guard: AbstractContextManager[object]
        self._guard = nullcontext() if self._in_place else threading.Lock()
        self._counting = threading.Lock()
        self.pool = Pool(settings.sizes)
        self.vectors = initial.clone()
        self._version = 0
        self.optimizer = optimizers.get(settings.optimizer, importing=True)
        self.board = self._board()
        self.optimizer.build(self.vectors.parameters)
        self._snapshot = (-1, memoryview(b""))
        self._shares: dict[int, tuple[int, Tensor]] = {}

    def _board(self) -> Board | None:
        """The board of a run whose workers may step by themselves; the vectors lie there then."""
        if not board.fits(self._settings, self.optimizer):
            return None
        try:
            made = Board.create(self.vectors.parameters, self._settings.workers)
        except OSError:
            return None
        self.vectors = self.vectors._replace(parameters=made.parameters)
        made.tell(False, None, self.optimizer.learning_rate)
        return made

    @property
    def version(self) -> int:
        """Counts the updates."""
        return self._version if self.board is None else self.board.version

    @property
    def checks(self) -> bool:
        """Whether `step` looks by itself whether the update's parameters are finite."""
        return self._alone and rules.is_plain_sgd(self.optimizer)

    def snapshot(self) -> tuple[int, memoryview]:
        """Returns a version and its vectors as memory that never changes."""
        with self._guard:
            return self._frozen()

    def _frozen(self) -> tuple[int, memoryview]:
        kept = self._snapshot
        if kept[0] == self.version:
            return kept
        # The version is read before the copy: a torn hogwild copy has at least its updates.
        version, (body, memory) = self.version, self.pool.take()
        body.vectors.copy_(self.vectors)
        self._snapshot = kept = (version, memory)
        return kept

    def step(self, push: Push, update: Vectors) -> tuple[int, memoryview, int]:
        """Applies one worker's update at once; returns version, snapshot and staleness.

        The update's memory may be overwritten.

        Raises:
            Refused: it isn't finite, where it is this that `checks`; nothing was applied.
        """
        with self._guard:
            stale = self.version - push.base_version
            new, memory = self._room()
            self._move(new, update.parameters, stale if self._settings.staleness else 0)
            self._take_state(new, push, update.state)
            rules.raise_counters_(new.counters, [update.counters])
            self._publish(new, memory)
            return (*self._frozen(), stale)

    def step_round(
        self, pushes: Sequence[Push], updates: Sequence[Vectors]
    ) -> tuple[int, memoryview, list[int]]:
        """Applies a round, given in worker order; returns version, snapshot, and how many rounds
        each of the updates had missed.

        The updates' memory may be overwritten.
        """
        samples = [push.samples for push in pushes]
        with self._guard:
            missed = [self.version - push.base_version for push in pushes]
            scaled = self._settings.quorum < 1 and self._settings.staleness is not None
            taus = missed if scaled else [0] * len(missed)
            new, memory = self._room()
            mean = rules.late_mean_([one.parameters for one in updates], samples, taus)
            self._move(new, mean, 0)
            if new.state.numel():
                new.state.copy_(rules.late_state_([one.state for one in updates], samples, taus))
            rules.raise_counters_(new.counters, [one.counters for one in updates])
            self._publish(new, memory)
            return (*self._frozen(), missed)

    def _room(self) -> tuple[Vectors, memoryview]:
        """Returns the vectors to change; but for the parameters, they have the present values."""
        if self._in_place:
            return self.vectors, memoryview(b"")
        body, memory = self.pool.take()
        if body.vectors.counters.numel():
            body.vectors.counters.copy_(self.vectors.counters)
        if body.vectors.state.numel():
            body.vectors.state.copy_(self.vectors.state)
        return body.vectors, memory

    def put(self, vectors: Vectors) -> None:
        """Takes vectors as they are, as a new version."""
        with self._guard:
            new, memory = self._room()
            new.copy_(vectors)
            self._publish(new, memory)

    def remembered(self) -> dict[str, Any]:
        """The vectors, their version, and what steps have left behind; copies."""
        return {
            "vectors": self.vectors.clone(),
            "version": self.version,
            "optimizer": {
                name: value.clone() if isinstance(value, Tensor) else value
                for name, value in self.optimizer.state_dict().items()
            },
            "shares": {one: (n, state.clone()) for one, (n, state) in list(self._shares.items())},
        }

    def restore(
        self,
        vectors: Vectors,
        version: int,
        optimizer: dict[str, Any],
        shares: dict[int, tuple[int, Tensor]],
    ) -> None:
        """Takes what `remembered` gave; nobody may have stepped yet.

        Raises:
            ValueError: it is of other lengths, or of another optimizer.
        """
        wire.check_vectors(vectors, self._settings.sizes, "vectors")
        self.optimizer.load_state_dict(optimizer)
        self.vectors.copy_(vectors)
        self._shares = dict(shares)
        if self.board is None:
            self._version = version
        else:
            self.board.begin_at(version)

    def finalize(self) -> None:
        """Puts the optimizer's running mean of the weights into them, where it keeps one."""
        if not self.optimizer.use_ema:
            return
        with self._guard:
            new, memory = self._room()
            if new is not self.vectors:
                new.parameters.copy_(self.vectors.parameters)
            self.optimizer.finalize_variable_values(new.parameters)
            self._publish(new, memory)

    def _move(self, new: Vectors, update: Tensor, stale: int) -> None:
        self._step(new, update, stale)
        if self._settings.constraints:
            constraints.project(new.parameters, self._settings.constraints)

    def _step(self, new: Vectors, update: Tensor, stale: int) -> None:
        old = self.vectors.parameters
        if rules.is_plain_sgd(self.optimizer):
            rate = self.optimizer.learning_rate
            if not self._alone:
                rules.plain_sgd(old, update, rate, stale, new.parameters)
            elif not rules.plain_sgd_if_finite(old, update, rate, stale, new.parameters):
                raise rules.non_finite("parameters", update)
            return
        if new is not self.vectors:
            new.parameters.copy_(old)
        rules.scale_(update, stale)
        self.optimizer.step(new.parameters, update, self._settings.weight_sizes)

    def _take_state(self, new: Vectors, push: Push, state: Tensor) -> None:
        if state.numel():
            self._shares[push.worker] = (push.samples, state.clone())
            shares = [self._shares[key] for key in sorted(self._shares)]
            new.state.copy_(rules.weighted_state(shares))

    def _publish(self, new: Vectors, memory: memoryview) -> None:
        with self._counting:
            self.vectors = new
            if self.board is None:
                self._version += 1
            else:
                self.board.count()
        if not self._in_place:
            self._snapshot = (self.version, memory)
