"""A thread that does one thing after the other, and hands back what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any


class Courier:
    """A thread for what has to wait for the network; starts at once."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None]
        self._queue = SimpleQueue()
        # A daemon: where the server is silent, it may have to be left behind.
        self._thread = threading.Thread(target=self._run, name="elephas-courier", daemon=True)
        self._thread.start()

    def send(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Calls the function in the thread; returns a future of what it returns."""
        future: Future[Any] = Future()
        self._queue.put((future, function, arguments))
        return future

    def close(self) -> None:
        """Lets the thread end once it has done what it was given."""
        self._queue.put(None)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            future, function, arguments = task
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
