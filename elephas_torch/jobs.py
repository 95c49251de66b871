"""The Spark job of a fit: in a thread of its own, so that the driver's own can be interrupted."""

from __future__ import annotations

import functools
import logging
import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from elephas_torch import cluster, task, worker
from elephas_torch.errors import DataError, ElephasError, WorkerError
from elephas_torch.gangs import Gangs
from elephas_torch.parameter.shards import ShardedServer
from elephas_torch.sources import Source
from elephas_torch.worker import Job

logger = logging.getLogger(__name__)

#: Seconds that workers get to end by themselves before their Spark job is cancelled.
GRACE = 5.0
#: Seconds between two descriptions on Spark's page; and until one is told again, as Spark forgets
#: it when a task ends.
PAUSE, REPEAT = 1.0, 10.0


class TrainingJob:
    """All workers of a fit. May be run again, where some have to do more.

    Args:
        source: rows in a partition a worker.
        about: what Spark's pages say of it; the phase comes behind that.
        phase: what it begins with.
        gangs: runs workers that exchange among themselves; None: they exchange with the server.

    Attributes:
        results: what workers have yielded.
        error: why Spark has ended it; None: it is over, or runs.
    """

    def __init__(self, source: Source, about: str, phase: str, gangs: Gangs | None) -> None:
        self._source, self._about, self._gangs = source, about, gangs
        self._phase, self._described = phase, 0.0
        self._cluster = source.cluster
        self._group = f"elephas-{uuid.uuid4().hex[:12]}"
        self._again = False
        self.results: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    @contextmanager
    def running(self, server: ShardedServer, job: Job) -> Iterator[Thread]:
        """Runs it; in the end, whatever happens, nothing of it runs any more."""
        thread = self._cluster.thread(self._run, (job,))
        thread.start()
        try:
            yield thread
        finally:
            self._stop(server, thread)

    def _run(self, job: Job) -> None:
        try:
            self._cluster.name_job(self._group, f"{self._about}, {self._phase}")
            if self._gangs is not None:
                self.results = self._gangs.results(job)
            else:
                found = self._source.results(functools.partial(task.train, job))
                self.results = merged(self.results, found)
        except BaseException as error:
            self.error = error

    def _stop(self, server: ShardedServer, thread: Thread) -> None:
        if self._gangs is not None:
            self._gangs.ending = True
        if not thread.is_alive():
            return
        try:
            with server.client(timeout=GRACE) as client:
                client.control(stop=True)
            thread.join(GRACE)
        except ElephasError as error:
            logger.debug("The server could not be told to stop: %s", error)
        if thread.is_alive():
            self.cancel()
            thread.join(2 * GRACE)

    def describe(self, phase: str) -> None:
        """Lets Spark's page say in which phase it is; not more than once a second."""
        now = time.monotonic()
        if now - self._described < (PAUSE if phase != self._phase else REPEAT):
            return
        self._phase, self._described = phase, now
        try:
            self._cluster.describe(self._group, f"{self._about}, {phase}")
        except Exception as error:  # not worth a fit
            logger.debug("Spark's page isn't told of %s: %s", phase, error)
            self._described = math.inf

    def cancel(self, again: bool = False) -> None:
        """Cancels it.

        Args:
            again: to be run again.
        """
        self._again = again
        self._cluster.cancel(self._group)

    def ended(self) -> int:
        """How many workers have ended by now, as far as Spark tells."""
        return self._cluster.finished(self._group)

    @property
    def has_failed(self) -> bool:
        """Whether a worker has failed, or Spark has ended it of its own accord."""
        cancelled = self.error is not None and self._again
        return (self.error is not None and not cancelled) or self._failure() is not None

    def clear(self) -> None:
        """Forgets how it ended, before it is run again."""
        self.error, self._again = None, False

    def check(self, server: ShardedServer, told: dict[str, Any] | None, over: bool) -> None:
        """Raises what went wrong, as whoever called `fit` is to see it.

        Args:
            told: a worker's failure, as the server has told it.
            over: all epochs are done, or the training was stopped.

        Raises:
            DataError, WorkerError: a worker's failure, or Spark's; or there were no rows.
            ServerError: it was the server's.
        """
        failure = told or self._failure()
        if failure is not None:
            error = failure.get("error") or failure["failure"]
            raise worker.as_error(f"Worker {failure['worker']}", error)
        if self.error is not None and not (self._again and over):
            server.check()
            if isinstance(self.error, ElephasError):
                raise self.error
            raise WorkerError(f"The Spark job failed: {cluster.python_error(self.error)}") from None
        if not any(one["rows"] for one in self.results):
            raise DataError("There are no rows: there is nothing to train on.")

    def _failure(self) -> dict[str, Any] | None:
        return next((one for one in self.results if "failure" in one), None)


def merged(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The workers' results, where some have done the end of it again."""
    known = {one["worker"]: one for one in before}
    for one in after:
        old, new = known.get(one["worker"], {}).get("history", {}), one["history"]
        history = {}
        for name in {**old, **new}:
            first, again = old.get(name, []), new.get(name, [])
            history[name] = [*first[: max(len(first) - len(again), 0)], *again]
        known[one["worker"]] = {**one, "history": history}
    return list(known.values())
