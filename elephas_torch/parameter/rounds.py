"""Synchronous rounds: who has pushed, who is missing, who sits out until the epoch closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elephas_torch.flat import Vectors
from elephas_torch.parameter.ledger import Pending, Worker


@dataclass
class Contribution:
    """One worker's update in a round."""

    worker: Worker
    pending: Pending
    update: Vectors


class Rounds:
    """The open round. At most one is being closed at a time.

    A round waits for every active worker, except for those that wait for their epoch to close.
    What was contributed counts, also when its worker leaves before the round closes.
    """

    def __init__(self) -> None:
        self._open: dict[int, Contribution] = {}
        self._closing = False

    def add(self, worker: Worker, pending: Pending, update: Vectors) -> None:
        self._open[worker.id] = Contribution(worker, pending, update)

    def take(self, active: Sequence[Worker]) -> list[Contribution]:
        """Returns the round in worker order, to be closed; empty where it has to wait."""
        if self._closing or not self._open or missing(active):
            return []
        self._closing = True
        taken = [self._open[key] for key in sorted(self._open)]
        self._open = {}
        return taken

    def closed(self) -> None:
        """The round that was taken has been applied."""
        self._closing = False

    def drop(self) -> None:
        """Forgets the open round."""
        self._open = {}


def missing(active: Sequence[Worker]) -> list[int]:
    """Returns the workers whose push the open round waits for."""
    return [worker.id for worker in active if worker.pending is None]


def behind(active: Sequence[Worker], epoch: int) -> list[int]:
    """Returns the workers that haven't done this epoch."""
    return [worker.id for worker in active if worker.done < epoch]


def released(workers: Sequence[Worker], active: Sequence[Worker]) -> list[Worker]:
    """Returns the workers whose push was counted and has nothing more to wait for."""
    return [
        worker
        for worker in workers
        if worker.pending is not None
        and worker.pending.counted
        and not (worker.pending.push.last and behind(active, worker.pending.push.epoch))
    ]
