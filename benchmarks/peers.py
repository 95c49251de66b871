"""Other libraries to be measured beside the facade, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


class Absent(Exception):
    """A peer isn't installed; the message says what is missing."""


class KerasPeer:
    """Keras on a backend, asked line by line.

    Args:
        backend: "torch" or "tensorflow".

    Raises:
        Absent: Keras or its backend isn't installed.
    """

    def __init__(self, backend: str) -> None:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.keras_peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        first = self._process.stdout.readline()  # type: ignore[union-attr]
        if not first:
            trouble = (self._process.communicate()[1] or "").strip().splitlines()
            raise Absent(trouble[-1] if trouble else "it ended without a word")
        self.version = json.loads(first)["ready"]

    def seconds(self, network: str, work: str, rows: int, batch_size: int) -> float:
        """How long a piece of work takes: "fit", "evaluate" or "predict" over all rows."""
        asked = {"network": network, "work": work, "rows": rows, "batch_size": batch_size}
        process: Any = self._process
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return float(json.loads(process.stdout.readline())["seconds"])

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.communicate()


@contextlib.contextmanager
def keras_peers() -> Iterator[dict[str, KerasPeer]]:
    """Keras on torch and on TensorFlow, those that are installed; prints why one isn't there."""
    found: dict[str, KerasPeer] = {}
    try:
        for name, backend in (("Keras on torch", "torch"), ("Keras on TensorFlow", "tensorflow")):
            try:
                found[name] = KerasPeer(backend)
            except Absent as absent:
                print(f"{name}: left out ({absent})")
        yield found
    finally:
        for peer in found.values():
            peer.close()
