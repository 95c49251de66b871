"""What the driver logs of a fit as it goes: who comes and goes, epochs, the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from elephas_torch.options import Options

logger = logging.getLogger(__name__)


class Journal:
    """The log of one fit, at INFO.

    Args:
        options: how the fit is done.
    """

    def __init__(self, options: Options) -> None:
        self._options, self._began = options, time.monotonic()

    def begin(self, first: int, urls: Iterable[str]) -> None:
        """Training begins.

        Args:
            first: the first epoch, from 0.
            urls: of the parameter servers.
        """
        options, plan = self._options, self._options.plan
        how = "gradients each batch" if plan.gradients else f"weights {_every(plan.every)}"
        logger.info(
            "Fit begins: %d workers, %s, %s, batches of %d rows, epochs %d to %d; server at %s.",
            options.workers, options.config.mode, how, plan.batch_size, first + 1, plan.epochs,
            ", ".join(urls),
        )  # fmt: skip

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event of the server's."""
        kind, worker = event["kind"], event.get("worker")
        if kind == "join":
            host, rows = event.get("info", {}).get("host", "an unknown host"), event["samples"]
            logger.info("Worker %s joined with %d rows, on %s.", worker, rows, host)
        elif kind == "leave":
            logger.info("Worker %s is done.", worker)
        elif kind == "returned":
            logger.info("Worker %s is back.", worker)

    def epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """An epoch has ended."""
        seconds, last = time.monotonic() - self._began, self._options.plan.epochs
        values = ", ".join(f"{name} {value:.6g}" for name, value in logs.items() if _shown(value))
        logger.info("Epoch %d of %d ended after %.1f s: %s.", epoch + 1, last, seconds, values)

    def end(self, epochs: int) -> None:
        """Training has ended, before this epoch."""
        logger.info("Fit ended after %.1f s and epoch %d.", time.monotonic() - self._began, epochs)


def _every(batches: int | None) -> str:
    return "each epoch" if batches is None else f"each {batches} batches"


def _shown(value: Any) -> bool:
    return isinstance(value, float | int)
