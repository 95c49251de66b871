"""Workers' reports that wait until the driver has released their epoch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from elephas_torch.parameter.wire import Reply


@dataclass
class Waiting:
    """One report that isn't answered yet; `deadline` is when it gives up."""

    worker: int
    epoch: int
    deadline: float
    future: Future[Reply]


class Gate:
    """Not for several threads at once: the state that holds it locks."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self._released = -1

    def shut_for(self, epoch: int) -> bool:
        return epoch > self._released

    def add(self, worker: int, epoch: int, deadline: float) -> Future[Reply]:
        waiting = Waiting(worker, epoch, deadline, Future())
        self.waiting.append(waiting)
        return waiting.future

    def release(self, epoch: int) -> list[Waiting]:
        """Opens the gate for this epoch and all before; returns who waited for that."""
        self._released = max(self._released, epoch)
        return self._take(lambda one: one.epoch <= self._released)

    def release_all(self) -> list[Waiting]:
        """Returns all who wait; the gate stays as it is."""
        return self._take(lambda one: True)

    def remove(self, worker: int) -> list[Waiting]:
        """Returns what waits for this worker."""
        return self._take(lambda one: one.worker == worker)

    def overdue(self, now: float) -> list[Waiting]:
        """Returns who has waited too long."""
        return self._take(lambda one: one.deadline < now)

    def _take(self, which: Callable[[Waiting], bool]) -> list[Waiting]:
        taken = [one for one in self.waiting if which(one)]
        self.waiting = [one for one in self.waiting if not which(one)]
        return taken
