"""Fits that nobody works for: Spark itself would wait for executors for ever."""

from __future__ import annotations

import contextlib
import logging
import time

from elephas_torch.classic import Cluster
from elephas_torch.errors import WaitTimeout

logger = logging.getLogger(__name__)

#: Seconds between two questions to Spark, and until a warning.
PAUSE, WARN = 1.0, 30.0
#: Seconds that are waited for at least: Spark may tell of a task only with the next heartbeat of
#: its executor, which comes each 10 s.
LEAST = 20.0


class Idle:
    """How long no task has run that a fit could wait for.

    Args:
        cluster: the Spark that runs the fit.
        workers: how many there are to be.
        patience: seconds until it is an error; `LEAST` at least.
        unknown: the same where Spark can't tell whether tasks run.
    """

    def __init__(self, cluster: Cluster, workers: int, patience: float, unknown: float) -> None:
        self._cluster, self._workers = cluster, workers
        self._patience = max(patience, LEAST)
        self._unknown = max(self._patience, unknown)
        self._since = self._asked = time.monotonic()
        self._warned = False

    def ended(self, active: int, came: int) -> WaitTimeout | None:
        """What to raise where it has been too long; to be called again and again.

        Args:
            active: workers that train.
            came: workers that have ever joined.
        """
        now = time.monotonic()
        if active:
            self._go_on(now)
        elif now - self._asked >= PAUSE:
            self._asked = now
            return self._waited(now, came)
        return None

    def _go_on(self, now: float) -> None:
        self._since, self._warned = now, False

    def _waited(self, now: float, came: int) -> WaitTimeout | None:
        running = None
        with contextlib.suppress(Exception):  # a Spark that was stopped ends the job, and says why
            running = self._cluster.running()
        if running:  # an earlier stage, rows that become tensors, or others' jobs before ours
            self._go_on(now)
            return None
        waited, limit = now - self._since, self._patience if running == 0 else self._unknown
        who = _who(came, self._workers)
        if waited > limit:
            return WaitTimeout(
                f"No task has run for {limit:g} s, and {who}: Spark has no executor to run them "
                "on. Its log, and the cluster manager's, say why: look for a full cluster, "
                "executors that can't start, or fewer resources than one of them asks for. "
                "Raise `join_timeout` if executors take that long to come."
            )
        if waited > min(WARN, limit / 2) and not self._warned:
            self._warned = True
            logger.warning(
                "No task has run for %.0f s, and %s: waiting for executors, for %g s at most.",
                waited, who, limit,
            )  # fmt: skip
        return None


def _who(came: int, workers: int) -> str:
    if not came:
        return f"none of {workers} workers has come"
    if came < workers:
        return f"{came} of {workers} workers came, of which none is left"
    return "all workers were lost"
