"""Who joined, which attempt of each worker counts, and which pushes were applied.

The key of an update is worker and sequence number, whatever attempt sends it, so that it
counts exactly once. Nothing here locks: the state that holds the ledger does.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elephas_torch.errors import Fenced, Refused, Restarted
from elephas_torch.parameter.board import Board
from elephas_torch.parameter.events import EventLog
from elephas_torch.parameter.wire import Answer, Push

#: States of workers that have to join again.
AWAY = ("away", "gone")


@dataclass
class Pending:
    """An accepted push that isn't answered yet.

    Attributes:
        push: its header.
        batch: how many pushes of its epoch were applied before it.
        applying: it is on its way into the weights, and no stop holds it up any more.
        counted: it was applied; it waits for the epoch to close, or for slower workers.
        waiting: who waits for the answer, each with the time when it gives up.
    """

    push: Push
    batch: int
    applying: bool = False
    counted: bool = False
    waiting: list[tuple[Future[Answer], float]] = field(default_factory=list)

    def overdue(self, now: float) -> list[Future[Answer]]:
        """Returns those who give up before `now`; they don't wait any more."""
        over = [one for one in self.waiting if one[1] < now]
        self.waiting = [one for one in self.waiting if one[1] >= now]
        return [future for future, _ in over]


@dataclass
class Worker:
    """What is known of one worker.

    Attributes:
        state: "active", "empty" (no samples), "left", "expired" or "failed"; where a checkpoint
            knows it, and it hasn't joined since: "away", or "gone", for whom nobody waits.
        seq: the next sequence number; all smaller ones were applied.
        epoch, batch: the epoch to go on in, and how many of its pushes were applied.
        done: the last epoch whose last push was applied, -1 at first.
        reported: the last epoch that was reported on, -1 at first.
        clock: how many pushes were applied; of a worker that joined or came back when others were
            further on, counted from where the slowest of them was.
        began: the epoch of its first push; None before that, and where it steps by itself.
        stale: how many versions its last update had missed; None: it steps by itself.
        link: how its updates come: "http", or "memory" that it shares with the server.
        progress: what it says with its signs of life.
        told: how many epochs its attempt has reported on.
        before: rows that its attempts before this one have trained on.
        losses: of its last epoch, "train" and "val" -> the sum "loss" over so many "rows".
    """

    id: int
    attempt: int
    samples: int
    info: dict[str, Any]
    last_seen: float
    state: str = "active"
    seq: int = 0
    epoch: int = 0
    batch: int = 0
    done: int = -1
    reported: int = -1
    began: int | None = None
    clock: int = 0
    stale: int | None = None
    link: str = "http"
    progress: dict[str, Any] = field(default_factory=dict)
    told: int = 0
    before: int = 0
    losses: dict[str, dict[str, float]] = field(default_factory=dict)
    pending: Pending | None = None

    def begin(self, push: Push) -> Pending:
        """Returns the note of a push that is to be applied."""
        return Pending(push, self.batch if push.epoch == self.epoch else 0)

    @property
    def rows(self) -> int:
        """Rows that all its attempts have trained on, as far as is known: never fewer than
        before. Exact at ends of epochs."""
        return self.before + max(self.told * self.samples, self.progress.get("rows", 0))

    def position(self) -> tuple[int, int, int]:
        """Returns seq, epoch and batch that a new attempt goes on from.

        A push that was applied, but waits for others, is to be sent again: so the new attempt
        waits too. Nothing is applied twice by it.
        """
        if self.pending is not None and self.pending.counted:
            push = self.pending.push
            return push.seq, push.epoch, self.pending.batch
        return self.seq, self.epoch, self.batch

    def commit(self, push: Push) -> None:
        """Notes that this push was applied."""
        if self.began is None:
            self.began = push.epoch
        self.clock += 1
        self.seq = push.seq + 1
        self.batch = self.batch + 1 if push.epoch == self.epoch else 1
        self.epoch = push.epoch
        if push.last:
            self.done, self.epoch, self.batch = push.epoch, push.epoch + 1, 0

    def described(self, now: float) -> dict[str, Any]:
        """Returns this record as JSON-able data; `last_seen` is seconds ago."""
        return {
            **self.info,
            "attempt": self.attempt,
            "state": self.state,
            "alive": self.state == "active",
            "samples": self.samples,
            "seq": self.seq,
            "epoch": self.epoch,
            "batch": self.batch,
            "link": self.link,
            "waiting": self.pending is not None,
            "last_seen": round(now - self.last_seen, 3),
            "progress": self.progress,
            "rows": self.rows,
            "reported": self.reported,
            "losses": self.losses,
        }


class Load(NamedTuple):
    """How far a worker is that loads its rows."""

    attempt: int
    rows: int
    bytes: int
    last_seen: float

    def described(self, now: float) -> dict[str, Any]:
        """Returns this as JSON-able data; `last_seen` is seconds ago."""
        return {**self._asdict(), "last_seen": round(now - self.last_seen, 3)}


class Ledger:
    """The workers by number.

    Args:
        expected: how many are expected to join.
        lease: seconds of silence after which a worker is left out.
        clock: gives seconds.
        events: is told of workers that come back.
        board: knows where workers are that step by themselves; None: there are none.

    Attributes:
        loads: of the workers that load their rows, and then join.
    """

    def __init__(
        self,
        expected: int,
        lease: float,
        clock: Callable[[], float],
        events: EventLog,
        board: Board | None = None,
    ) -> None:
        self.expected, self.lease, self.clock = expected, lease, clock
        self._events, self._board = events, board
        self.workers: dict[int, Worker] = {}
        self.loads: dict[int, Load] = {}
        self.first_join: float | None = None
        self.restarted = False

    @property
    def complete(self) -> bool:
        """Whether all that are expected have joined, at some time."""
        return len(self.workers) - len(self.away()) >= self.expected

    def away(self) -> list[int]:
        """The workers that a checkpoint knows, and that haven't joined since."""
        return [key for key, worker in self.workers.items() if worker.state == "away"]

    def active(self) -> list[Worker]:
        """The workers that take part, in order of their numbers."""
        return [self.workers[key] for key in sorted(self.workers) if self._is_active(key)]

    def _is_active(self, key: int) -> bool:
        return self.workers[key].state == "active"

    def pending(self) -> list[Pending]:
        """The pushes that aren't answered yet."""
        return [one.pending for one in self.workers.values() if one.pending is not None]

    def first_epoch(self, default: int) -> int:
        """The epoch that training began with, which may be a later one than 0."""
        began = [worker.began for worker in self.workers.values() if worker.began is not None]
        return min(began, default=max(default, 0))

    def join(self, worker: int, attempt: int, samples: int, info: dict[str, Any]) -> Worker:
        """Enters a worker, or a newer attempt of one, or the same one again.

        Raises:
            Fenced: a newer attempt has joined already.
            Refused: a negative number.
        """
        if min(worker, attempt, samples) < 0:
            raise Refused(
                "`worker`, `attempt` and `samples` must be 0 or more. "
                f"Received: worker={worker}, attempt={attempt}, samples={samples}"
            )
        now = self.clock()
        self.loads.pop(worker, None)
        if self.first_join is None:
            self.first_join = now
        record = self.workers.get(worker)
        if record is None:
            record = self.workers[worker] = Worker(worker, attempt, samples, info, now, "empty")
        _fence(record, attempt)
        if attempt != record.attempt:
            record.before, record.told, record.progress = record.rows, 0, {}
        record.attempt, record.samples, record.info = attempt, samples, info
        record.last_seen = now
        if samples:
            self.enter(record)
        else:
            record.state = "empty"
        return record

    def load(self, worker: int, attempt: int, rows: int, size: int) -> None:
        """Notes how many rows a worker has loaded, and their bytes, before it joins.

        Raises:
            Refused: nobody expects a worker of that number.
        """
        if not 0 <= worker < self.expected:
            raise Refused(
                f"{self.expected} workers are expected, which have the numbers from 0 on. "
                f"Received: worker={worker}"
            )
        self.loads[worker] = Load(attempt, rows, size, self.clock())

    def enter(self, record: Worker) -> None:
        """Lets a worker take part, that didn't or did."""
        if record.state != "active":
            others = [one.clock for one in self.active()]
            record.clock = max(record.clock, min(others, default=0))
        record.state = "active"

    def seen(self, worker: int, attempt: int) -> Worker:
        """Renews a worker's lease and returns it.

        Raises:
            Fenced: a newer attempt has joined.
            Refused: this attempt hasn't joined, or has left.
        """
        record = self.workers.get(worker)
        known = record is not None and record.state not in AWAY and attempt <= record.attempt
        if self.restarted and not known:
            raise Restarted(
                f"The parameter server begins from a checkpoint: worker {worker} must join again."
            )
        if record is None or attempt > record.attempt:
            raise Refused(f"Attempt {attempt} of worker {worker} hasn't joined: join first.")
        _fence(record, attempt)
        if record.state in ("left", "failed"):
            raise Refused(f"Worker {worker} has {record.state}: join again first.")
        record.last_seen = self.clock()
        return record

    def heard(self, worker: int, attempt: int) -> Worker:
        """As `seen`; the worker is known where it is, and takes part again if it was left out."""
        record = self.seen(worker, attempt)
        self.locate(record)
        if record.state == "expired":
            self.enter(record)
            self._events.add("returned", worker=worker, attempt=attempt)
        return record

    def locate(self, record: Worker) -> None:
        """Looks where a worker is that steps by itself."""
        if self._board is not None:
            position = self._board.position(record.id, record.attempt)
            if position is not None:
                record.seq, record.epoch, record.batch, record.done = position

    def look(self) -> None:
        """Looks where all are that step by themselves."""
        for record in self.workers.values():
            self.locate(record)

    def admit(self, push: Push) -> Worker:
        """Returns the worker of a push that may be applied, or was applied already.

        Raises:
            Fenced, Refused: as `seen`; and where the sequence number skips ahead.
        """
        record = self.seen(push.worker, push.attempt)
        if record.state == "empty":
            raise Refused(f"Worker {push.worker} joined with no samples, so it can't push.")
        if push.seq > record.seq:
            raise Refused(
                f"Worker {push.worker} skips ahead: its next push has seq={record.seq}. "
                f"Received: seq={push.seq}"
            )
        return record

    def expire(self) -> list[Worker]:
        """Leaves out the active workers that were silent beyond their lease; returns them.

        A worker that waits for an answer isn't silent: the server is.
        """
        limit = self.clock() - self.lease
        late = [w for w in self.active() if w.last_seen < limit and w.pending is None]
        for worker in late:
            worker.state = "expired"
        return late


def _fence(record: Worker, attempt: int) -> None:
    if attempt < record.attempt:
        raise Fenced(
            f"Attempt {attempt} of worker {record.id} was replaced by attempt "
            f"{record.attempt}: it must stop."
        )
