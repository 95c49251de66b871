"""Numbered events, for whoever polls them; and futures that can be settled from any thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

T = TypeVar("T")
#: Events that are kept in any case, and given out at once; and at most, until somebody had them.
KEPT, MOST = 10_000, 200_000


def settle(future: Future[T], result: T | BaseException) -> None:
    """Sets the result or the exception, unless the waiting side has given up meanwhile."""
    try:
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:
        pass


def settled(result: T) -> Future[T]:
    """Returns a future that is done."""
    future: Future[T] = Future()
    future.set_result(result)
    return future


class EventLog:
    """The last 10,000 events, numbered from 1; up to 200,000 where nobody has asked for what comes
    behind them.

    Attributes:
        number: that of the last one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque()
        self.number = 0
        self._had = 0
        self._waiting: list[tuple[int, Future[list[dict[str, Any]]]]] = []

    def add(self, kind: str, **fields: Any) -> None:
        """Appends an event and wakes everybody who waits for one."""
        with self._lock:
            self.number += 1
            self._events.append(
                {"number": self.number, "time": time.time(), "kind": kind, **fields}
            )
            while len(self._events) > KEPT and self._may_go():
                self._events.popleft()
            waiting, self._waiting = self._waiting, []
        for after, future in waiting:
            settle(future, self.after(after))

    def after(self, number: int) -> list[dict[str, Any]]:
        """Returns the first 10,000 of the events with larger numbers that are still kept."""
        with self._lock:
            return self._after(number)

    def peek(self, number: int) -> list[dict[str, Any]]:
        """As `after`, for who merely looks on: what it asks for hasn't been had."""
        with self._lock:
            return self._behind(number)

    def wait(self, number: int) -> Future[list[dict[str, Any]]]:
        """Returns a future of the events after `number`, done once there is at least one."""
        with self._lock:
            future: Future[list[dict[str, Any]]] = Future()
            found = self._after(number)
            if found:
                future.set_result(found)
            else:
                self._waiting = [one for one in self._waiting if not one[1].done()]
                self._waiting.append((number, future))
            return future

    def _after(self, number: int) -> list[dict[str, Any]]:
        self._had = max(self._had, min(number, self.number))
        return self._behind(number)

    def _behind(self, number: int) -> list[dict[str, Any]]:
        gone = self.number - len(self._events)
        first = min(max(number - gone, 0), len(self._events))
        return list(itertools.islice(self._events, first, first + KEPT))

    def _may_go(self) -> bool:
        return self._events[0]["number"] <= self._had or len(self._events) > MOST
