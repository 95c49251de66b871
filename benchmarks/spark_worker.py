"""Marks of when a task reached a Python worker of Spark's, and what its imports took."""

from __future__ import annotations

import sys
import time
from typing import Any

#: Of the last task of this process: `time.perf_counter()` at its start and after its imports.
SEEN: dict[str, float] = {}


def install() -> None:
    """Lets this process's tasks begin with `main` here."""
    from pyspark import worker

    original = worker.main
    if original is not main:
        worker.main, main.original = main, original  # type: ignore[attr-defined]


def main(infile: Any, outfile: Any) -> None:
    """Imports what a fit's task needs, if that isn't there, and runs the task."""
    infile.peek(1)  # a worker that is used again waits here for its next task
    SEEN.update(python=time.perf_counter(), fresh=float("torch" not in sys.modules))
    import torch  # noqa: F401

    SEEN["torch"] = time.perf_counter()
    import elephas_torch.exchange
    import elephas_torch.sources
    import elephas_torch.task  # noqa: F401

    SEEN["imported"] = time.perf_counter()
    main.original(infile, outfile)  # type: ignore[attr-defined]
