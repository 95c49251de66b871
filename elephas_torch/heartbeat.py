"""A worker's signs of life, and what they tell of where it is."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from elephas_torch.errors import Fenced, Restarted, ServerError, WaitTimeout
from elephas_torch.parameter import wire
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.shards import ShardedClient

#: Seconds after which a worker that still loads its rows says so for the first time.
FIRST = 0.3

#: Seconds that a beat waits for new means.
ANSWER = 0.1


class Standing:
    """Where a worker is: written by the thread that trains, told by its heartbeat.

    The running means are computed by the thread that trains, as no other may look at a metric that
    is counting, and only when the heartbeat has asked: once a beat.

    Attributes:
        phase: "loading", "training" or "validating".
        epoch, batch: the epoch that it is in, and how many of its batches are done.
        rows: those that this attempt has trained on, over all epochs; while it is loading, those
            that are tensors by now.
        bytes: what these take; while it is loading.
        logs: the running means of this epoch, by name.
        asked: whether the heartbeat waits for new ones.
    """

    def __init__(self) -> None:
        self.phase = "loading"
        self.epoch = self.batch = self.rows = self.bytes = 0
        self.logs: dict[str, float] = {}
        self.asked = False
        self._answered = threading.Event()

    def load(self, rows: int, size: int) -> None:
        """Notes rows that have become tensors."""
        self.rows += rows
        self.bytes += size

    def begin(self) -> None:
        """All rows are there: training begins, or begins again."""
        if self.phase == "loading":
            self.rows = 0
        self.phase = "training"

    def enter(self, epoch: int, batch: int) -> None:
        """An epoch begins, with this batch."""
        self.phase, self.epoch, self.batch, self.logs = "training", epoch, batch, {}

    def note(self, logs: Callable[[], Mapping[str, Any]]) -> None:
        """Keeps the running means that `logs` gives, as far as they are plain finite numbers."""
        self.asked = False
        with contextlib.suppress(Exception):  # a metric with no value yet: nobody but eyes wants it
            self.logs = dict(_plain(logs())[: wire.LOGS])
        self._answered.set()

    def told(self) -> dict[str, Any]:
        """What a beat says; with older means where the thread that trains has no time for new
        ones."""
        self._answered.clear()
        self.asked = True
        self._answered.wait(ANSWER)
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "batch": self.batch,
            "rows": self.rows,
            "logs": self.logs,
        }


def _plain(logs: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (name[: wire.NAME_LENGTH], float(value))
        for name, value in logs.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


class Heartbeat:
    """Tells the server now and then that the worker lives, off the thread that trains.

    Before a worker has joined, which takes all its rows, it tells how many it has.

    Args:
        client: of the parameter server; nobody else's, and closed in the end.
        every: seconds between two beats.
        worker: its number and attempt.
    """

    def __init__(
        self,
        client: Client | ShardedClient,
        every: float,
        worker: tuple[int, int],
        standing: Standing,
    ) -> None:
        self._client = client
        self._every, self._worker, self._standing = every, worker, standing
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="elephas-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        wait = self._every
        if self._standing.phase == "loading":
            wait = min(wait, FIRST)
        with contextlib.closing(self._client):
            while not self._over.wait(wait):
                wait = self._every
                try:
                    self._tell(self._client)
                except (Fenced, Restarted):
                    return
                except (ServerError, WaitTimeout):
                    pass  # the thread that trains hears the same, and says so

    def _tell(self, client: Client | ShardedClient) -> None:
        standing = self._standing
        if standing.phase == "loading":
            client.loading(*self._worker, rows=standing.rows, size=standing.bytes)
        else:
            client.beat(*self._worker, standing.told())
