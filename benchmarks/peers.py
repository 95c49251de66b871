"""Other libraries to be measured beside this one, each in a process of its own.

A peer that isn't installed, or that fails, is left out with its reason; the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent.parent)
#: Seconds until a peer that doesn't answer is ended.
PATIENCE = 600.0
#: Modules of the peers that may have a Python of their own, by the name that `--python` takes.
NAMES = ("keras", "elephas", "sparktorch")
KERAS = {"Keras on torch": "torch", "Keras on TensorFlow": "tensorflow"}


class Failed(Exception):
    """A peer isn't installed, or broke; the message says how."""


class Peer:
    """A process that answers requests; see `serving`.

    Args:
        module: what it runs.
        python: the Python that runs it; None: this one.
        environment: more variables.

    Attributes:
        about: what it said first: its versions.

    Raises:
        Failed: it ended before it was ready.
    """

    def __init__(
        self,
        module: str,
        python: str | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        patience: float = PATIENCE,
    ) -> None:
        python = python or sys.executable
        self._patience, self._command = patience, [python, "-m", module]
        self._environment = {"PYTHONPATH": ROOT, "PYSPARK_PYTHON": python, **(environment or {})}
        self._start()

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process: Any = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**os.environ, **self._environment},
            start_new_session=True,
        )
        try:
            self.about = self._line()
        except BaseException:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """What it answers. One that has ended, as after a request that it didn't answer in time, is
        started again first.

        Raises:
            Failed: it answered with an error, ended, or took longer than its patience.
        """
        if self._process.poll() is not None:
            self.close()
            self._start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._last_words()) from None
        found = self._line()
        if "error" in found:
            raise Failed(found["error"])
        return found

    def close(self) -> None:
        """Ends the process, and those that it started; does nothing the second time."""
        if self._said.closed:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._said.close()

    def _line(self) -> dict[str, Any]:
        if not select.select([self._process.stdout], [], [], self._patience)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise Failed(f"no answer within {self._patience:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


class Peers:
    """The peers of a run: started when they are first wanted, ended together.

    Args:
        pythons: by name, for those that need a Python of their own.

    Attributes:
        about: what each of them said first.
        left_out: why others aren't there.
    """

    def __init__(self, pythons: Mapping[str, str] | None = None) -> None:
        self._pythons = dict(pythons or {})
        self._running: dict[str, Peer] = {}
        self.about: dict[str, Any] = {}
        self.left_out: dict[str, str] = {}

    def get(
        self, title: str, name: str, environment: Mapping[str, str] | None = None
    ) -> Peer | None:
        """A peer by its title, running `benchmarks.<name>_peer`; None if it can't be had."""
        if title not in self._running and title not in self.left_out:
            try:
                python = self._pythons.get(name)
                self._running[title] = Peer(f"benchmarks.{name}_peer", python, environment)
                self.about[title] = self._running[title].about
            except Failed as failed:
                self.left_out[title] = str(failed)
        return self._running.get(title)

    def missing(self, *titles: str) -> dict[str, str]:
        """Why those of them aren't there that aren't."""
        return {title: self.left_out[title] for title in titles if title in self.left_out}

    def close(self) -> None:
        """Ends all of them."""
        for peer in self._running.values():
            peer.close()


@contextlib.contextmanager
def peers(pythons: Mapping[str, str] | None = None) -> Iterator[Peers]:
    """The peers, ended in the end."""
    found = Peers(pythons)
    try:
        yield found
    finally:
        found.close()


def keras(found: Peers) -> dict[str, Peer]:
    """Keras on torch and on TensorFlow, those that are installed."""
    several = {}
    for title, backend in KERAS.items():
        settings = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if peer := found.get(title, "keras", settings):
            several[title] = peer
    return several


def excused(measure: Callable[[], dict[str, float]]) -> Callable[[], dict[str, float]]:
    """A measurement of somebody else's code: whatever it raises leaves it out, and no more."""

    @functools.wraps(measure)
    def take() -> dict[str, float]:
        try:
            return measure()
        except Failed:
            raise
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise Failed(f"{type(error).__name__}: {first}") from error

    return take
