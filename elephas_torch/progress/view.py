"""What there is to show of a fit: plain data, from the server's status and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Seconds over which samples/s are counted.
WINDOW = 10.0
#: States of workers that have no more to do, and are not lost.
DONE = ("left", "empty")

Status = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """A fit at one moment.

    Attributes:
        text: what is done before training; "" once a worker trains.
        epoch, epochs: the epoch that isn't over, counted from 0, and how many there are.
        done, total: batches of it, over all workers.
        validating: whether all of it is trained, and somebody validates.
        rate: samples/s of all workers; None: it isn't known yet.
        epoch_left, fit_left: seconds, at that rate.
        alive, workers: how many workers aren't lost, and how many there are to be.
        staleness: versions that an update has missed, in the mean; None where there are none.
        logs: running means over all workers, by name.
    """

    text: str = ""
    epoch: int = 0
    epochs: int = 1
    done: int = 0
    total: int = 0
    validating: bool = False
    rate: float | None = None
    epoch_left: float | None = None
    fit_left: float | None = None
    alive: int = 0
    workers: int = 0
    staleness: float | None = None
    logs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tasks:
    """A Spark job at one moment.

    Attributes:
        title: what it does.
        done, total: its tasks, as far as Spark has planned them.
        seconds: for which it has run.
        rows: of the tasks that are done; None where nobody counts them.
    """

    title: str
    done: int
    total: int
    seconds: float
    rows: int | None = None


class Window:
    """The rows that workers have trained on, at the times of the last seconds."""

    def __init__(self, seconds: float = WINDOW) -> None:
        self._seconds = seconds
        self._known: list[tuple[float, dict[str, int]]] = []

    def add(self, now: float, rows: dict[str, int]) -> None:
        """Notes how many rows each worker has trained on by now."""
        if self._known and not any([*rows.values(), *self._known[-1][1].values()]):
            self._known.pop()  # the time before training doesn't count
        self._known.append((now, rows))
        while len(self._known) > 2 and self._known[1][0] <= now - self._seconds:
            del self._known[0]

    def rate(self) -> float | None:
        """Rows per second; None before there are two different times with rows between them.

        An attempt that begins anew counts from 0: what it has is what it did.
        """
        if len(self._known) < 2:
            return None
        seconds = self._known[-1][0] - self._known[0][0]
        done = 0
        for (_, before), (_, after) in zip(self._known, self._known[1:], strict=False):
            for worker, rows in after.items():
                had = before.get(worker, 0)
                done += rows - had if rows >= had else rows
        return done / seconds if done and seconds > 0 else None


def rows_of(status: Status) -> dict[str, int]:
    """The rows that each worker has trained on."""
    return {key: _progress(one).get("rows", 0) for key, one in status["workers"].items()}


def seen(status: Status, rate: float | None, epoch: int, epochs: int, batch_size: int) -> View:
    """What a status shows of a fit that is in `epoch`.

    Args:
        rate: samples/s.
        batch_size: rows of a batch, of one worker.
    """
    workers = list(status["workers"].values())
    text = _before(status, workers)
    if text:
        return View(text, epoch, epochs, workers=status["expected"])
    parts = [_part(one, epoch, batch_size) for one in workers]
    done, total = sum(one[0] for one in parts), sum(one[1] for one in parts)
    samples = sum(one["samples"] for one in workers)
    left = samples * (1 - done / total) if total else 0.0
    lost = sum(not one["alive"] and one["state"] not in DONE for one in workers)
    return View(
        epoch=epoch,
        epochs=epochs,
        done=done,
        total=total,
        validating=done == total and any(_phase(one) == "validating" for one in workers),
        rate=rate,
        epoch_left=None if rate is None else left / rate,
        fit_left=None if rate is None else (left + (epochs - epoch - 1) * samples) / rate,
        alive=len(workers) - lost,
        workers=max(status["expected"], len(workers)),
        staleness=_mean_staleness(status["staleness"]),
        logs=_means(workers, epoch),
    )


def _before(status: Status, workers: Sequence[Status]) -> str:
    """What is done before any worker trains."""
    if any(_progress(one) for one in workers) or status["version"]:
        return ""
    loading, there = status["loading"].values(), f"{len(workers)} of {status['expected']} there"
    if not loading:
        return f"Starting {status['expected']} workers ({there})"
    size, rows = (sum(one[key] for one in loading) for key in ("bytes", "rows"))
    return f"Moving rows to tensors: {amount(size)}, {rows:,} rows ({there})"


def amount(size: int) -> str:
    """Bytes for people: "2.1 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"


def _progress(worker: Status) -> Mapping[str, Any]:
    return worker.get("progress") or {}


def _phase(worker: Status) -> str:
    return str(_progress(worker).get("phase", "")) if worker["alive"] else ""


def _part(worker: Status, epoch: int, batch_size: int) -> tuple[int, int]:
    """A worker's batches of an epoch: those that are done, and all."""
    total = -(-worker["samples"] // batch_size)
    progress = _progress(worker)
    at = progress.get("epoch", 0)
    if at > epoch or worker["state"] in DONE:
        return total, total
    return (min(progress.get("batch", 0), total) if at == epoch else 0), total


def _means(workers: Sequence[Status], epoch: int) -> dict[str, float]:
    """The workers' running means as one, each by the batches that it is made of."""
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for worker in workers:
        progress = _progress(worker)
        batches = progress.get("batch", 0) if progress.get("epoch") == epoch else 0
        for name, value in progress.get("logs", {}).items() if batches else ():
            sums[name] = sums.get(name, 0.0) + value * batches
            weights[name] = weights.get(name, 0.0) + batches
    return {name: sums[name] / weights[name] for name in sorted(sums)}


def _mean_staleness(pushes: Mapping[str, int]) -> float | None:
    count = sum(pushes.values())
    return sum(int(tau) * n for tau, n in pushes.items()) / count if count else None
