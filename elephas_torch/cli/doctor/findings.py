"""A finding of the doctor, and how numbers are said in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LEVELS = ("ok", "warn", "fail")


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: its name.
        level: "ok", "warn": it works, and could work better; "fail": training won't work.
        found: what is there.
        advice: what to do; "" where all is well.
    """

    check: str
    level: str
    found: str
    advice: str = ""


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A time as people read it."""
    return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds:.3g} s"


def several(count: int, noun: str) -> str:
    """The number with its noun: "1 core", "2 cores"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Iterable[Any]) -> str:
    """Each once, in order; of many only some."""
    ordered = sorted({str(one) for one in names})
    more = f" and {len(ordered) - 4} more" if len(ordered) > 4 else ""
    return ", ".join(ordered[:4]) + more


def gpu(executor: Mapping[str, Any]) -> str:
    """The GPU that a task's worker takes, as `device="auto"` chooses; "none" where it's the CPU.

    Returns:
        The address that Spark has assigned; else "cuda:1 of 2", by the task's number.
    """
    task = executor["task"]
    if task["gpus"]:
        return ",".join(task["gpus"])
    count = len(executor["gpus"])
    if task.get("visible") is not None:
        count = min(count, len([one for one in task["visible"].split(",") if one.strip()]))
    if not count or task["cuda"] is None:
        return "none"
    return f"cuda:{executor['partition'] % count} of {count}"
