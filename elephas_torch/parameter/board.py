"""Hogwild without a server in between: one vector that workers of the server's machine add to.

What `Weights` does for pushes over HTTP, each worker does here by itself, without a lock (Niu et
al., Hogwild!, 2011). Only for plain SGD on models without moving statistics: all else needs the
server's hands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import Fenced, Refused
from elephas_torch.flat import Vectors
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import rules
from elephas_torch.parameter.shared import HEAD_BYTES, Region
from elephas_torch.parameter.wire import Push, Reply, Settings

# Places of numbers in a board's head, behind the nonce.
_VERSION, _STOP, _TOLD, _RATE, _STEP = 2, 3, 4, 5, 6
# Places of numbers in a worker's cell, behind which its staleness is counted.
_ATTEMPT, _COUNT, _SEQ, _EPOCH, _BATCH, _DONE = range(6)
_CELL, _STALE = 128, 16


class Board:
    """A vector in shared memory, with a cell of counts for each worker.

    A worker writes into its own cell alone, so nothing is counted twice or lost; its additions to
    the vector may interleave with others'.

    Args:
        region: the memory.
        workers: how many cells there are.

    Attributes:
        parameters: float32, 1-D: what all add to.
    """

    def __init__(self, region: Region, workers: int) -> None:
        self.region, self.workers = region, workers
        self.parameters: Tensor = region.tensor.view(torch.float32)
        self._numbers = region.numbers
        self._floats = region.numbers.view(np.float64)
        self._cells = region.numbers[HEAD_BYTES // 8 :].reshape(workers, _CELL)
        self._counts = self._cells[:, _COUNT]

    @classmethod
    def create(cls, parameters: Tensor, workers: int) -> Board:
        """Makes one with these numbers; raises OSError where that can't be."""
        board = cls(Region.create(parameters.nbytes, head_bytes(workers)), workers)
        board.parameters.copy_(parameters)
        return board

    @property
    def version(self) -> int:
        """How many updates were applied, by the server and by workers themselves."""
        return int(self._numbers[_VERSION] + self._counts.sum())

    # What the server does.

    def count(self) -> None:
        """Notes an update that the server has applied."""
        self._numbers[_VERSION] += 1

    def begin_at(self, version: int) -> None:
        """Counts versions from there; before anybody pushes."""
        self._numbers[_VERSION] = version

    def tell(self, stop: bool, rate: float | None, step_rate: float) -> None:
        """Says what workers are to know: whether to stop, the rate that the driver set, and the
        rate that the vector is stepped with."""
        self._floats[_STEP] = step_rate
        self._floats[_RATE] = rate or 0.0
        self._numbers[_TOLD] = rate is not None
        self._numbers[_STOP] = stop

    def enter(self, worker: int, attempt: int, position: tuple[int, int, int, int]) -> None:
        """Gives a cell to an attempt; earlier ones of the worker are fenced off.

        Args:
            position: seq, epoch, batch and the last epoch done.
        """
        cell = self._cells[worker]
        cell[_SEQ : _DONE + 1] = position
        cell[_ATTEMPT] = attempt + 1

    def fence(self, worker: int) -> None:
        """Takes a cell away from whoever has it."""
        self._cells[worker, _ATTEMPT] = 0

    def position(self, worker: int, attempt: int) -> tuple[int, int, int, int] | None:
        """Seq, epoch, batch and the last epoch done, where this attempt has the cell."""
        if worker >= self.workers or self._cells[worker, _ATTEMPT] != attempt + 1:
            return None
        seq, epoch, batch, done = self._cells[worker, _SEQ : _DONE + 1].tolist()
        return seq, epoch, batch, done

    def pushes(self) -> int:
        """How many updates workers have applied themselves."""
        return int(self._counts.sum())

    def staleness(self) -> dict[int, int]:
        """How many of them had missed so many versions; the last one stands for more, too."""
        counts = self._cells[:, _STALE:].sum(0)
        return {int(key): int(counts[key]) for key in np.flatnonzero(counts)}

    # What a worker does.

    def push(self, push: Push, update: Tensor, scaled: bool) -> Reply:
        """Applies an update; it counts once it is applied.

        Args:
            scaled: divide by the versions that it missed, plus one.

        Raises:
            Fenced: a newer attempt has the cell.
            Refused: NaN or infinite numbers, or out of order; nothing was applied.
        """
        cell = self._cells[push.worker]
        if cell[_ATTEMPT] != push.attempt + 1:
            raise Fenced(f"Worker {push.worker} was replaced by another attempt: it must stop.")
        if push.seq > cell[_SEQ]:
            raise Refused(f"Worker {push.worker} skips ahead: its next push has seq={cell[_SEQ]}.")
        rules.check_finite(Vectors(update, update[:0], update[:0]))
        version = self.version
        stale = version - push.base_version
        if stale < 0:
            raise Refused(
                f"The update claims to be computed at version {push.base_version}; the weights "
                f"are at {version}."
            )
        rate = float(self._floats[_STEP])
        if push.seq == cell[_SEQ] and not self._numbers[_STOP]:
            rules.plain_sgd(self.parameters, update, rate, stale if scaled else 0, self.parameters)
            cell[_STALE + min(stale, _CELL - _STALE - 1)] += 1
            cell[_COUNT] += 1
            self._commit(cell, push)
            version += 1
        return self.reply(version)

    def _commit(self, cell: Any, push: Push) -> None:
        cell[_SEQ] = push.seq + 1
        cell[_BATCH] = cell[_BATCH] + 1 if cell[_EPOCH] == push.epoch else 1
        cell[_EPOCH] = push.epoch
        if push.last:
            cell[_DONE], cell[_EPOCH], cell[_BATCH] = push.epoch, push.epoch + 1, 0

    def reply(self, version: int) -> Reply:
        """What the server would answer."""
        rate = float(self._floats[_RATE]) if self._numbers[_TOLD] else None
        return Reply(version, bool(self._numbers[_STOP]), rate)


def head_bytes(workers: int) -> int:
    """Bytes before the vector of a board with so many cells."""
    return HEAD_BYTES + 8 * _CELL * workers


def fits(settings: Settings, optimizer: Optimizer) -> bool:
    """Whether workers may step the vector by themselves: nothing is kept between two steps, and
    nobody waits for anybody."""
    return (
        settings.mode == "hogwild"
        and settings.staleness_bound is None
        and settings.sizes[1:] == (0, 0)
        and not settings.constraints
        and rules.is_plain_sgd(optimizer)
        and settings.sizes[0] > 0
    )
