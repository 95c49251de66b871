"""Workers that exchange among themselves, as the driver runs them: all anew where one is lost."""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import replace
from typing import Any

from elephas_torch import cluster, task, worker
from elephas_torch.errors import WaitTimeout, WorkerError
from elephas_torch.recovery import Recovery
from elephas_torch.sources import Source
from elephas_torch.stepping import step_of
from elephas_torch.worker import Job

logger = logging.getLogger(__name__)

#: How often they are run, where one of them is lost each time: as often as Spark runs a task by
#: default.
TIMES = 4


class Gangs:
    """The gangs of one fit, one after the other.

    Spark would run a stage again itself, if it weren't its job's last; but here each gang has a
    number, so that none meets workers of the one before.

    Args:
        source: rows in a partition a worker.
        workers: how many there are.
        join_timeout: seconds to wait for slots where an executor was lost.
        recovery: has the snapshot that they begin anew from. Default: all begin where the fit
            began.

    Attributes:
        ending: the training is over, or is to be.
    """

    def __init__(
        self,
        source: Source,
        workers: int,
        join_timeout: float,
        recovery: Recovery | None = None,
    ) -> None:
        self._source, self._workers, self._wait = source, workers, join_timeout
        self._recovery = recovery
        self.ending = False
        self._number, self._silent = 0, False
        self._members: dict[int, int] = {}
        self._rates: dict[int, float] = {}
        self._known = -1

    def results(self, job: Job) -> list[dict[str, Any]]:
        """Runs them until none is lost; what they yielded.

        Raises:
            WorkerError: a worker was lost each time.
            WaitTimeout: there are too few slots, and no more come.
            Exception: Spark's, where the job failed by something else.
        """
        again = number = 0
        while again < TIMES:
            again, number = again + 1, number + 1
            try:
                found = self._source.results(functools.partial(task.train, job), together=True)
                lost = next((one["lost"] for one in found if "lost" in one), None)
                if lost is None or self.ending or any("failure" in one for one in found):
                    return found
            except Exception as error:
                if self.ending or not (self._silent or cluster.lost_task(error)):
                    raise
                lost = cluster.python_error(error)
            if again == TIMES:
                break
            logger.warning(
                "A worker was lost; all begin anew (%d of %d times): %s", again, TIMES - 1, lost
            )
            before = job.plan.initial_epoch
            job = self._anew(job, number)
            if job.plan.initial_epoch > before:
                again = 0  # who comes further each time may go on
            self._await_slots()
        raise WorkerError(f"A worker was lost {TIMES} times, the last time so: {lost}")

    def _anew(self, job: Job, number: int) -> Job:
        rates, known = dict(self._rates), self._known
        self._number, self._silent = number, False
        job = self._from_snapshot(job)
        assert job.gang is not None
        return replace(job, gang=replace(job.gang, number=number, rates=rates, known=known))

    def _from_snapshot(self, job: Job) -> Job:
        """A job of all workers that begins from the snapshot that is held."""
        if self._recovery is None:
            return job
        held, hold = self._recovery.held, self._source.cluster.hold
        assert held is not None and job.gang is not None
        model = worker.load_model(job.skeleton, job.weights.value)
        step_of(model).flat.vectors.copy_(held.vectors())
        return replace(
            job,
            weights=hold(worker.packed(model)),
            plan=replace(job.plan, initial_epoch=max(held.at, job.plan.initial_epoch)),
            gang=replace(job.gang, kept=hold(held.kept())),
        )

    def _await_slots(self) -> None:
        """Waits until an executor that was lost has been replaced. Spark would wait for ever."""
        end = time.monotonic() + self._wait
        while (slots := self._source.cluster.slots()) is not None and slots < self._workers:
            if time.monotonic() > end or self.ending:
                raise WaitTimeout(
                    f"A worker was lost, and for {self._wait:g} s the cluster has had {slots} "
                    f"slots for {self._workers} workers. Set num_workers={max(slots, 1)}, or "
                    "raise `join_timeout`."
                )
            time.sleep(0.5)

    def joined(self, event: dict[str, Any]) -> None:
        """Notes of which gang a worker is that has joined."""
        self._members[event["worker"]] = event["info"].get("gang", 0)

    def lost(self, member: int) -> bool:
        """Notes that a worker is silent; whether it is of the present gang, which must end then."""
        if self._members.get(member) != self._number:
            return False
        self._silent = True
        return True

    def note_rate(self, first: int, before: float, epoch: int, changed: float | None) -> None:
        """Notes the learning rate from an epoch on, for those who do it again.

        Args:
            first: the fit's first epoch.
            before: the rate until now.
            changed: the new one; None: the same.
        """
        if changed is not None:
            self._rates.setdefault(first, before)
            self._rates[epoch] = changed
        self._known = epoch
