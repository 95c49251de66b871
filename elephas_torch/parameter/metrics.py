"""The server's figures as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from typing import Any

_PREFIX = "elephas_torch_"


def exposition(status: dict[str, Any], cpu_seconds: float) -> str:
    """Returns what `State.status()` says, as Prometheus reads it."""
    workers = status["workers"]
    lines = [
        *_metric("version", "gauge", "Version of the weights", [("", status["version"])]),
        *_metric("epoch", "gauge", "Epochs that all workers closed", [("", status["epoch"])]),
        *_metric("uptime_seconds", "gauge", "Since the start", [("", status["uptime"])]),
        *_metric("cpu_seconds_total", "counter", "CPU time", [("", round(cpu_seconds, 6))]),
        *_metric("requests_total", "counter", "By what came of them", _labelled(
            "outcome", status["counts"])),
        *_metric("bytes_total", "counter", "In pushes, pulls and answers", _labelled(
            "direction", status["bytes"])),
        *_metric("staleness_total", "counter", "Updates by versions missed", _labelled(
            "versions", status["staleness"])),
        *_metric("worker_alive", "gauge", "Whether it takes part", _labelled(
            "worker", {key: int(one["alive"]) for key, one in workers.items()})),
        *_metric("worker_updates_total", "counter", "Updates applied", _labelled(
            "worker", {key: one["seq"] for key, one in workers.items()})),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _labelled(label: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f'{{{label}="{key}"}}', value) for key, value in values.items()]


def _metric(name: str, kind: str, text: str, samples: list[tuple[str, Any]]) -> list[str]:
    full = _PREFIX + name
    head = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    return head + [f"{full}{labels} {value}" for labels, value in samples]
