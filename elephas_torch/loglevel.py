"""How far the driver's level of logging reaches: to executors and to the server's processes."""

from __future__ import annotations

import logging

NAME = "elephas_torch"
#: What the driver knows a line of a server's process by.
SERVER_FORMAT = "%(levelname)s %(name)s: %(message)s"
WORKER_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def level() -> int:
    """The level that holds for this package in this process."""
    return logging.getLogger(NAME).getEffectiveLevel()


def to_stderr(level: int, form: str = WORKER_FORMAT) -> None:
    """Lets a process of this package's own log what the driver would, to standard error; a process
    that has handlers keeps them."""
    logger = logging.getLogger(NAME)
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(form))
        logger.addHandler(handler)
