"""What a run tells those who look on: see docs/monitoring.md.

The driver tells what it is about and how epochs went; the rest is what the server sees. All of it
is bounded, so that a run of days takes no more than one of an hour.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elephas_torch.page import Series, plain
from elephas_torch.parameter import account

if TYPE_CHECKING:
    from elephas_torch.parameter.ledger import Worker
    from elephas_torch.parameter.state import State

#: Epochs, moments and lines of the log that are kept at once; workers that are shown.
EPOCHS, MOMENTS, LINES, WORKERS = 1000, 600, 200, 256
SAMPLE_SECONDS = 1.0
#: Of what an executor says of itself.
_SHORT = 200
_LOGGED = ("join", "leave", "expired", "returned", "failure", "stopping", "restarted")
#: States of a run that is over.
OVER = ("finished", "stopped", "failed")


@dataclass
class Meter:
    """How quickly a worker trains.

    Attributes:
        attempt: of which it counts.
        rows: that it had trained on when it was looked at.
        since: when they became so many.
        rate: rows a second.
        attempts: how many there were.
    """

    attempt: int
    rows: float
    since: float
    rate: float = 0.0
    attempts: int = 1


@dataclass
class Marks:
    """What a watcher has already."""

    about: int = -1
    epochs: tuple[int, int] | None = None
    moments: tuple[int, int] | None = None
    lines: int = 0
    workers: float = 0.0


class Story:
    """What is told of one run.

    Args:
        clock: seconds of the day, for people.

    Attributes:
        about: what the driver said of it.
        state: "starting", "running", "stopping", "finished", "stopped" or "failed".
        learning_rate: the last that the driver told.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.about: dict[str, Any] = {}
        self.state = "starting"
        self._changed = 0
        self.epochs = Series(EPOCHS)
        self.moments = Series(MOMENTS)
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES)
        self._said = self._seen = 0
        self._meters: dict[int, Meter] = {}
        self._rows = self._due = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more is going to be told."""
        return self.state in OVER

    # What the driver tells.

    def tell(
        self, about: dict[str, Any] | None, state: str | None, epochs: list[dict[str, Any]]
    ) -> None:
        """Takes what the driver knows.

        Args:
            about: in place of what it said before; None: that holds.
            state: where that has changed.
            epochs: that are over: their numbers, the time, the learning rate, and logs.
        """
        with self._lock:
            if state in OVER:
                self._due = 0.0  # the last moment is one to remember
            if about is not None:
                self.about = plain(about)
            if state is not None:
                self.state = state
            self._changed += (about, state) != (None, None)
            for epoch in epochs:
                self.epochs.add(plain(epoch))

    def stopping(self) -> None:
        """Somebody has asked for the end."""
        self.tell(None, "stopping", [])

    # What the server sees.

    def joined(self, worker: Worker) -> None:
        """A worker has joined, or an attempt of one: what it does counts from here."""
        with self._lock:
            self._measure(worker, self._clock())

    def tick(self, state: State) -> None:
        """Looks at workers and events; to be called a few times a second."""
        now = self._clock()
        with self._lock:
            for event in state.events.peek(self._seen):
                self._seen = event["number"]
                if event["kind"] in _LOGGED:
                    self._line(event)
            for worker in list(state.ledger.workers.values()):
                self._measure(worker, now)
            if self._due <= now:
                moved = state.bytes["received"] + state.bytes["sent"]
                self.moments.add([round(now, 2), round(self._rows), moved, state.weights.version])
                self._due = math.inf if self.over else now + self.moments.every * SAMPLE_SECONDS

    def _line(self, event: dict[str, Any]) -> None:
        self._said += 1
        text = ""
        if event["kind"] == "failure":
            text = str(event["error"].get("message", ""))[: 10 * _SHORT]
        elif event["kind"] == "join":
            text = _text(event.get("info", {}).get("host"))
        elif event["kind"] == "stopping":
            text = "now" if event.get("now") else "after this epoch"
        told = {"time": round(event["time"], 2), "kind": event["kind"], "text": text}
        self._lines.append({**told, "worker": event.get("worker"), "attempt": event.get("attempt")})

    def _measure(self, worker: Worker, now: float) -> None:
        rows, meter = self._trained(worker), self._meters.get(worker.id)
        if meter is None or meter.attempt != worker.attempt:
            tries = 1 if meter is None else meter.attempts + 1
            had = 0 if meter is None else meter.rows  # what it does again counts once
            meter = self._meters[worker.id] = Meter(worker.attempt, max(rows, had), now, 0.0, tries)
        # The driver may tell only now with which epoch it all began.
        meter.rows = max(meter.rows, _number(self.about.get("first")) * worker.samples)
        if rows > meter.rows:
            rate = (rows - meter.rows) / max(now - meter.since, 0.1)
            # Signs of life come a little early or late.
            meter.rate = rate if not meter.rate else 0.5 * (rate + meter.rate)
            self._rows += rows - meter.rows
            meter.rows, meter.since = rows, now
        if worker.state != "active":
            meter.rate, meter.since = 0.0, now

    def _trained(self, worker: Worker) -> float:
        """The rows that a worker has trained on, as far as is known: of epochs that it has reported
        on or ended, and of the batches that it has told of since."""
        rows = (max(worker.reported, worker.done) + 1) * worker.samples
        epoch, batch = (_number(worker.progress.get(name)) for name in ("epoch", "batch"))
        size = _number(self.about.get("batch_size"))
        return max(rows, epoch * worker.samples + min(batch * size, worker.samples))

    # What watchers get.

    def news(self, state: State, marks: Marks) -> dict[str, Any]:
        """Returns what a watcher doesn't have yet, and notes that it has it then."""
        now = self._clock()
        found: dict[str, Any] = {}
        with self._lock:
            if marks.about != self._changed:
                marks.about = self._changed
                found |= {"about": self.about, "state": self.state}
            for name in ("epochs", "moments"):
                mark, part = getattr(self, name).since(getattr(marks, name))
                if mark != getattr(marks, name):
                    setattr(marks, name, mark)
                    found[name] = part
            if marks.lines != self._said:
                fresh = min(self._said - marks.lines, len(self._lines))
                marks.lines = self._said
                found["log"] = list(self._lines)[len(self._lines) - fresh :]
            workers = list(state.ledger.workers.values())
            # A table of hundreds of rows isn't sent each second.
            if now - marks.workers >= min(len(workers) // 100, 10) or self.over:
                marks.workers = now
                found |= self._seen_now(state, workers)
        return {"time": round(now, 2), **found}

    def whole(self, state: State) -> dict[str, Any]:
        """Returns all of it, as pages show it that are no server's."""
        found = self.news(state, Marks())
        for name in ("epochs", "moments"):
            found[name] = found[name]["rows"] if name in found else []
        return {"log": [], **found}

    def _seen_now(self, state: State, workers: list[Worker]) -> dict[str, Any]:
        now, shown = state.clock(), sorted(workers, key=lambda one: one.id)[:WORKERS]
        _, staleness = account.counted(state)
        return {
            "workers": [self._described(one, now) for one in shown],
            "expected": state.ledger.expected,
            "joined": len(workers),
            "staleness": {str(key): staleness[key] for key in sorted(staleness)},
            "version": state.weights.version,
        }

    def _described(self, worker: Worker, now: float) -> dict[str, Any]:
        meter, info, told = self._meters.get(worker.id), worker.info, worker.progress
        tries = max(int(_number(info.get("tries"))), meter.attempts - 1 if meter else 0)
        told_of = int(_number(told.get("epoch")))
        epoch = max(worker.epoch, worker.reported + 1, told_of)
        rate = meter.rate if meter is not None and not self.over else 0.0
        # Running means of a worker that is done are of whatever batch it told of last.
        logs = told.get("logs") if worker.state != "left" else None
        return {
            "worker": worker.id,
            "host": _text(info.get("host")),
            "device": _device(info),
            "state": worker.state,
            "phase": _text(told.get("phase")),
            "epoch": epoch,
            "batch": int(_number(told.get("batch"))) if told_of == epoch else 0,
            "samples": worker.samples,
            "rate": round(rate, 1),
            "stale": worker.stale,
            "link": worker.link,
            "last_seen": round(now - worker.last_seen, 1),
            "tries": tries,
            "logs": plain(logs) if isinstance(logs, dict) else {},
        }

    # What survives a fall.

    def remembered(self, state: State) -> dict[str, Any]:
        """What `restore` takes, JSON-able."""
        self.tick(state)
        with self._lock:
            return {
                "moments": list(self.moments.rows),
                "every": self.moments.every,
                "rows": self._rows,
                "lines": list(self._lines),
            }

    def restore(self, known: dict[str, Any], events: int) -> None:
        """Goes on from what another server remembered; the driver tells the rest anew.

        Args:
            events: the number of its last event.
        """
        with self._lock:
            self.moments = Series(MOMENTS, known.get("moments"))
            self.moments.every = known.get("every", 1)
            self._rows = known.get("rows", 0.0)
            self._lines.extend(known.get("lines", []))
            self._said, self._seen = len(self._lines), events
            self._line({"kind": "restarted", "time": self._clock()})


def _number(value: Any) -> float:
    """A number as executors tell it; 0 for what is none, or can't be."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return float(value) if good else 0.0


def _device(info: dict[str, Any]) -> str:
    where, name = _text(info.get("device")), _text(info.get("name"))
    return f"{where} ({name})" if where and name else name or where


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:_SHORT]
