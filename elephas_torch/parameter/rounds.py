"""Synchronous rounds: who has pushed, who is missing, who sits out until the epoch closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elephas_torch.flat import Vectors
from elephas_torch.parameter import slow
from elephas_torch.parameter.ledger import Pending, Worker
from elephas_torch.parameter.wire import Settings


@dataclass
class Contribution:
    """One worker's update in a round."""

    worker: Worker
    pending: Pending
    update: Vectors


class Rounds:
    """The open round. At most one is being closed at a time.

    A round waits for every active worker, or for a quorum of them; except for those that wait for
    their epoch to close. What comes later goes into the next round. What was contributed counts,
    also when its worker leaves before the round closes.

    Args:
        quorum: the share of the workers that is enough.
    """

    def __init__(self, quorum: float = 1.0) -> None:
        self.quorum = quorum
        self._open: dict[int, Contribution] = {}
        self._closing = False

    def add(self, worker: Worker, pending: Pending, update: Vectors) -> None:
        self._open[worker.id] = Contribution(worker, pending, update)

    def take(self, active: Sequence[Worker]) -> list[Contribution]:
        """Returns the round in worker order, to be closed; empty where it has to wait."""
        if self._closing or not self._open or not enough(active, self.quorum):
            return []
        self._closing = True
        taken = [self._open[key] for key in sorted(self._open)]
        self._open = {}
        for one in taken:
            one.pending.applying = True
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


def enough(active: Sequence[Worker], quorum: float) -> bool:
    """Whether the open round has what it waits for."""
    waited_for = [one for one in active if one.pending is None or not one.pending.counted]
    pushed = len(waited_for) - len(missing(active))
    return pushed >= slow.needed(quorum, len(waited_for))


def behind(active: Sequence[Worker], epoch: int) -> list[int]:
    """Returns the workers that haven't done this epoch."""
    return [worker.id for worker in active if worker.done < epoch]


def held_up_by(worker: Worker, active: Sequence[Worker], settings: Settings) -> list[int]:
    """Returns the workers that the answer to a push waits for; none: it may be given."""
    pending, bound = worker.pending, settings.staleness_bound
    if pending is None:
        return []
    if not pending.counted:
        return missing(active)
    if bound is not None:
        return [one.id for one in active if worker.clock - one.clock > bound]
    late = behind(active, pending.push.epoch) if pending.push.last else []
    return late if len(active) - len(late) < slow.needed(settings.quorum, len(active)) else []


def released(
    workers: Sequence[Worker], active: Sequence[Worker], settings: Settings
) -> list[Worker]:
    """Returns the workers whose push was counted and has nothing more to wait for."""
    return [
        worker
        for worker in workers
        if worker.pending is not None
        and worker.pending.counted
        and not held_up_by(worker, active, settings)
    ]
