"""The server's figures as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

_PREFIX = "elephas_torch_"
_STATES = ("active", "empty", "left", "expired", "failed", "away", "gone")
#: What `status()["counts"]` has of requests; the rest of it are metrics of their own.
_OUTCOMES = ("pushes", "pulls", "puts", "duplicates", "refused")
#: Upper ends of the staleness histogram's buckets, in versions.
_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, math.inf)

#: Labels and value; a value of None is left out.
Samples = list[tuple[dict[str, Any], Any]]


def exposition(status: dict[str, Any], cpu_seconds: float) -> str:
    """Returns what `State.status()` says, as Prometheus reads it."""
    workers, counts = status["workers"], status["counts"]

    def each(value: Callable[[dict[str, Any]], Any]) -> Samples:
        return [({"worker": number}, value(one)) for number, one in workers.items()]

    states = Counter(one["state"] for one in workers.values())
    lines = [
        *_metric("run_info", "gauge", "The mode of training; always 1", [
            ({"mode": status["mode"], "protocol": status["protocol"]}, 1)]),
        *_metric("uptime_seconds", "gauge", "Seconds since the start", _one(status["uptime"])),
        *_metric("cpu_seconds_total", "counter", "CPU time of the server's process, in seconds",
            _one(round(cpu_seconds, 6))),
        *_metric("versions_total", "counter", "Versions that the weights have had",
            _one(status["version"])),
        *_metric("epoch", "gauge", "Epochs that all workers have done", _one(status["epoch"])),
        *_metric("rounds_total", "counter", "Synchronous rounds that were closed",
            _one(counts.get("rounds", 0))),
        *_metric("requests_total", "counter", "Requests for vectors, by what came of them", [
            ({"outcome": one}, counts.get(one, 0)) for one in _OUTCOMES]),
        *_metric("bytes_total", "counter", "Bytes of pushes, pulls and their answers", [
            ({"direction": way}, number) for way, number in status["bytes"].items()]),
        *_histogram("staleness_versions", "Versions that updates had missed", status["staleness"]),
        *_metric("snapshots_total", "counter", "Snapshots made, for checkpoints",
            _one(counts.get("snapshots", 0))),
        *_metric("restores_total", "counter", "Times that training has begun from a snapshot",
            _one(counts.get("restores", 0))),
        *_metric("learning_rate", "gauge", "The learning rate that callbacks have set",
            _one(status["learning_rate"])),
        *_metric("optimizer_learning_rate", "gauge",
            "The learning rate of the server's optimizer; 1 where it averages",
            _one(status["optimizer"]["learning_rate"])),
        *_metric("loss", "gauge", "The loss of the workers' last epochs, mean over their rows", [
            ({"part": part}, _loss(part, workers.values())) for part in ("train", "val")]),
        *_metric("workers_expected", "gauge", "Workers that the first round waits for",
            _one(status["expected"])),
        *_metric("workers", "gauge", "Workers by state", [
            ({"state": one}, states[one]) for one in _STATES]),
        *_metric("worker_alive", "gauge", "Whether it takes part", each(lambda one: one["alive"])),
        *_metric("worker_waiting", "gauge", "Whether it waits for others",
            each(lambda one: one["waiting"])),
        *_metric("worker_last_seen_seconds", "gauge", "Seconds since it was heard of",
            each(lambda one: one["last_seen"])),
        *_metric("worker_epoch", "gauge", "The epoch that it is in, from 0",
            each(lambda one: one["progress"].get("epoch"))),
        *_metric("worker_batch", "gauge", "Batches of that epoch that it has done",
            each(lambda one: one["progress"].get("batch"))),
        *_metric("worker_rows_total", "counter", "Rows that it has trained on",
            each(lambda one: one["rows"])),
        *_metric("worker_updates_total", "counter", "Updates of its that were applied",
            each(lambda one: one["seq"])),
        *_metric("worker_retries", "gauge", "How often Spark has begun its task again",
            each(lambda one: one.get("tries"))),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _loss(part: str, workers: Any) -> float | None:
    found = [one["losses"][part] for one in workers if part in one["losses"]]
    rows = sum(one["rows"] for one in found)
    return sum(one["loss"] for one in found) / rows if rows else None


def _histogram(name: str, text: str, found: dict[str, int]) -> list[str]:
    """Buckets of numbers -> how often each has come."""
    numbers = {int(number): times for number, times in found.items()}
    lines = _metric(name, "histogram", text, [])
    for end in _BUCKETS:
        times = sum(times for number, times in numbers.items() if number <= end)
        lines.append(_sample(f"{name}_bucket", {"le": _value(end)}, times))
    lines.append(_sample(f"{name}_sum", {}, sum(n * times for n, times in numbers.items())))
    return [*lines, _sample(f"{name}_count", {}, sum(numbers.values()))]


def _one(value: Any) -> Samples:
    return [({}, value)]


def _metric(name: str, kind: str, text: str, samples: Samples) -> list[str]:
    head = [f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} {kind}"]
    numbers = [(labels, value) for labels, value in samples if isinstance(value, int | float)]
    return head + [_sample(name, labels, value) for labels, value in numbers]


def _sample(name: str, labels: dict[str, Any], value: float) -> str:
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{_PREFIX}{name}{f'{{{inner}}}' if inner else ''} {_value(value)}"


def _escaped(text: Any) -> str:
    return str(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _value(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else str(int(value) if isinstance(value, bool) else value)
