"""What `fit` shows: a bar, a line an epoch, or nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Any, Protocol

from tqdm import tqdm

from elephas_torch.errors import unknown

_FORMAT = "{n_fmt}/{total_fmt} {bar:24} {elapsed}<{remaining}{postfix}"


def resolve_verbose(verbose: Any) -> int:
    """Returns 0, 1 or 2; "auto" and 1 become 2, a line an epoch, where output is no terminal.

    Raises:
        ValueError: it is none of 0, 1, 2 and "auto".
    """
    if not isinstance(verbose, int | str) or verbose not in (0, 1, 2, "auto"):
        raise unknown("verbose", verbose, ["0", "1", "2", "auto"])
    if verbose in (0, 2):
        return int(verbose)
    return 1 if _is_terminal() or in_notebook() else 2


def _is_terminal() -> bool:
    """Whether standard output is a terminal in which a line can be painted over."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class HasLogs(Protocol):
    """Whatever knows the values to show."""

    def logs(self) -> dict[str, float]: ...


def line(logs: dict[str, float]) -> str:
    """`"accuracy: 0.9412 - loss: 0.1962"`."""
    return " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{name}: {value:.4e}"
        for name, value in logs.items()
    )


def told(start: str, steps: int | None, seconds: float, logs: dict[str, float]) -> str:
    """`"Epoch 3/20 - 625/625 - 1.2s - loss: 0.1962"`, without what there isn't."""
    parts = [start, f"{steps}/{steps}" if steps else "", f"{seconds:.1f}s", line(logs)]
    return " - ".join(part for part in parts if part)


class _Bar(tqdm):
    monitor_interval = 0  # no thread that watches it: it is drawn when there is something new


class Progress:
    """Shows epochs on standard output.

    Args:
        epochs: how many in all.
        total: the steps of an epoch; None where that isn't known before the first one's end.
        verbose: 0, 1 (a bar) or 2 (a line an epoch).
    """

    def __init__(self, epochs: int, total: int | None, verbose: int) -> None:
        self.epochs, self.total, self.verbose = epochs, total, verbose
        self._bar: tqdm[Any] | None = None
        self._done = 0
        self._epoch = ""
        self._began = self._drawn = time.perf_counter()

    def begin(self, epoch: int | None) -> None:
        """An epoch begins; counted from 0. None: what begins is no epoch and has no title."""
        if not self.verbose:
            return
        self._done = 0
        self._began = self._drawn = time.perf_counter()
        self._epoch = "" if epoch is None else f"Epoch {epoch + 1}/{self.epochs}"
        if self.verbose == 1:
            if self._epoch:
                print(self._epoch, flush=True)
            # tqdm shows nothing in a terminal that doesn't tell its size.
            columns, lines = shutil.get_terminal_size()
            self._bar = _Bar(
                total=self.total,
                file=sys.stdout,
                bar_format=_FORMAT,
                ascii=" ━",
                ncols=columns - 1,
                nrows=lines,
            )

    def advance(self, source: HasLogs, steps: int = 1) -> None:
        """Some steps are done; draws at most ten times a second."""
        self._done += steps
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._drawn > 0.1:
            self._drawn = now
            self._draw(source.logs())

    def _draw(self, logs: dict[str, float]) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(line(logs), refresh=False)
            self._bar.n = self._done if self.total is None else min(self._done, self.total)
            self._bar.refresh()

    def end(self, logs: dict[str, float]) -> None:
        """The epoch is over."""
        self.total = self._done if self.total is None else self.total
        if self._bar is not None:
            # A bar is cut off at the terminal's edge; what stays is a line with all values.
            self._bar.leave = False
            self._bar.close()
            self._bar = None
            self._print("", logs)
        elif self.verbose:
            self._print(self._epoch, logs)

    def result(self, logs: dict[str, float]) -> None:
        """Prints one line: steps, seconds, values."""
        if self.verbose:
            self._print("", logs)

    def _print(self, start: str, logs: dict[str, float]) -> None:
        seconds = time.perf_counter() - self._began
        print(told(start, self.total, seconds, logs), flush=True)

    def close(self) -> None:
        """Leaves the terminal in order when training ends early."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
