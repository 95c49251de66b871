"""`Progbar`: a bar for one's own loops, as Keras draws it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """Shows how far a loop is, with running means of values.

    Follows https://keras.io/api/utils/python_utils/#progbar-class

    Args:
        target: the number of steps; None where it isn't known.
        width: characters of the bar. Default 20.
        verbose: 0 silent, 1 a bar, 2 a line at the end.
        interval: seconds between two drawings at least. Default 0.05.
        stateful_metrics: names of values that are shown as they are; all others are averaged.
        stateless_metrics: names of values that are averaged; all others are shown as they are.
        unit_name: what a step is called. Default "step".

    Raises:
        ValueError: both kinds of names are given.

    Example:
        >>> bar = Progbar(3, verbose=2)
        >>> for step in range(1, 4):
        ...     bar.update(step, [("loss", 1 / step)])  # doctest: +SKIP
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar takes one of `stateful_metrics` and `stateless_metrics`. Received: both"
            )
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._shown = set(stateful_metrics or ())
        self._sums: dict[str, tuple[Any, int]] = {}
        self._seen = 0
        self._width = 0
        self._start = time.time()
        self._first: float | None = None
        self._drawn = 0.0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Goes to a step.

        Args:
            current: steps that are done.
            values: (name, value) pairs of this step.
            finalize: whether this is the last one. Default: whether `target` is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._take(name, value, max(current - self._seen, 1), finalize)
        self._seen = current
        now = time.time()
        per_step = self._per_step(current, now)
        if self.verbose == 1 and (finalize or now - self._drawn >= self.interval):
            self._draw(current, now, per_step, finalize)
            self._drawn = now
        elif self.verbose == 2 and finalize and self.target:
            count = f"{current:>{len(str(self.target))}}/{self.target}"
            line = f"{count} - {now - self._start:.0f}s -{_duration(per_step, self.unit_name)}"
            self._print(f"{line}{self._values()}\n")

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Goes on by `n` steps."""
        self.update(self._seen + n, values)

    def _take(self, name: str, value: Any, steps: int, finalize: bool) -> None:
        averaged = name not in self._shown if self._averaged is None else name in self._averaged
        if not averaged or finalize:
            self._sums[name] = value, 1
        else:
            total, count = self._sums.get(name, (0, 0))
            self._sums[name] = total + value * steps, count + steps

    def _per_step(self, current: int, now: float) -> float:
        if not current:
            return 0.0
        # The first step is longer than the others: it isn't counted once there are more.
        if self._first is not None and current > 1:
            return (now - self._first) / (current - 1)
        if current == 1:
            self._first = now
        return (now - self._start) / current

    def _draw(self, current: int, now: float, per_step: float, finalize: bool) -> None:
        bar, plain = self._bar(current)
        if self.target and not finalize:
            clock = _remaining(per_step * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        rest = f"{_duration(per_step, self.unit_name)}{self._values()}"
        width = plain + 1 + len(clock) + len(rest)
        blank = " " * max(self._width - width, 0)
        back = "\b" * self._width + "\r"
        end = "\n" if finalize else ""
        self._print(f"{back}{bar} {_BOLD}{clock}{_PLAIN}{rest}{blank}{end}")
        self._width = width

    def _bar(self, current: int) -> tuple[str, int]:
        """The count and the bar, and how many characters of it are seen."""
        if not self.target:
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = f"{current:>{len(str(self.target))}}/{self.target}"
        done = int(self.width * current / self.target)
        full = f"{_GREEN}{'━' * done}{_PLAIN}" if done > 0 else ""
        left = f"{_WHITE}{'━' * (self.width - done)}{_PLAIN}"
        return f"{_BOLD}{count}{_PLAIN} {full}{left}", len(count) + 1 + max(self.width, done)

    def _values(self) -> str:
        return "".join(
            f" - {name}: {_number(float(np.mean(_array(total))) / max(count, 1))}"
            for name, (total, count) in self._sums.items()
        )

    def _print(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _remaining(seconds: float) -> str:
    whole = int(seconds)
    if seconds > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if seconds > 60 else f"{whole}s"


def _duration(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f" {seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f" {seconds * 1e3:.0f}ms/{unit}"
    return f" {seconds * 1e6:.0f}us/{unit}"
