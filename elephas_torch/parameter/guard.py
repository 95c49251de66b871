"""How much a server puts up with: sizes, numbers and time, of strangers and of slow clients."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any, Protocol

log = logging.getLogger("elephas_torch.parameter")
#: Seconds between two lines in the log about strangers.
LOG_SECONDS = 60.0
#: Seconds that a stranger's request waits, beyond so many of them in a second.
PAUSE = 1.0
#: Connections that are accepted beyond the limit, to be told so.
_TOLD = 64
#: A pause of this process, or of its machine, is nobody's slowness: more isn't counted at once.
_LONGEST_TICK = 1.0


@dataclass(frozen=True)
class Limits:
    """What a server puts up with. Bodies need no limit of one's own: their sizes are known.

    Args:
        connections: that are open at once. Default None: 16 for each expected worker, and 64.
        headers: of a request. Default 100.
        head_bytes: of a request's line and headers together. Default 16,384.
        head_seconds: that these may take; also the life of a connection that brings no token, and
            the time that a TLS handshake may take. Default 30.
        body_seconds: without a byte of a body. Default 60.
        body_rate: bytes a second, from its beginning, that a body must come with after
            `body_seconds`. Default 16,384.
        read_seconds: without a byte of an answer being taken. Default 600.
        idle_seconds: between two requests. Default 3600.
        gone_seconds: after which a connection counts as cut whose other machine has vanished
            without a word. Default 120.
        strangers: requests without the token that are answered at once in a second; others are a
            second later. Default 50.

    Raises:
        ValueError: one isn't a number above 0.
    """

    connections: int | None = None
    headers: int = 100
    head_bytes: int = 16_384
    head_seconds: float = 30.0
    body_seconds: float = 60.0
    body_rate: float = 16_384.0
    read_seconds: float = 600.0
    idle_seconds: float = 3600.0
    gone_seconds: float = 120.0
    strangers: int = 50

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            good = isinstance(value, int | float) and math.isfinite(value) and value > 0
            if not good and not (name == "connections" and value is None):
                raise ValueError(
                    f"`Limits.{name}` must be a number above 0. Received: {name}={value!r}"
                )


class Watched(Protocol):
    """A connection, as the guard sees it."""

    @property
    def trusted(self) -> bool:
        """Whether it has brought the token."""

    def look(self, now: float) -> None:
        """Ends the connection if it takes too long."""

    def end(self) -> None:
        """Ends the connection."""


class Guard:
    """Knows the open connections of a server, and who brings no token. Lives on the loop.

    Args:
        limits: the server's.
        workers: how many it expects.

    Attributes:
        now: seconds that it has been watching for.
        most: connections at once.
    """

    def __init__(self, limits: Limits, workers: int) -> None:
        self.limits, self.now = limits, 0.0
        self.most = limits.connections or 16 * workers + 64
        self.arriving = 0
        self._open: dict[Watched, float] = {}
        self._second, self._strangers = 0.0, 0
        self._refused, self._told = 0, -math.inf

    @property
    def full(self) -> bool:
        """Whether a connection isn't even to be told that there are too many."""
        return len(self._open) + self.arriving >= self.most + _TOLD

    def enter(self, connection: Watched) -> bool:
        """Takes a connection in; False where there are too many.

        It takes the place of the oldest that has brought no token within a second, if there is
        one: strangers that hold connections open don't keep workers out.
        """
        if len(self._open) >= self.most:
            idle = (c for c, came in self._open.items() if not c.trusted and self.now - came >= 1)
            oldest = next(idle, None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.end()
        self._open[connection] = self.now
        return True

    def leave(self, connection: Watched) -> None:
        """Forgets a connection."""
        self._open.pop(connection, None)

    def tick(self, seconds: float) -> None:
        """Looks at all connections; so many seconds after it did so last."""
        self.now += min(seconds, _LONGEST_TICK)
        for connection in list(self._open):
            connection.look(self.now)

    async def stranger(self, client: Any, refused: bool) -> None:
        """To be awaited before a request without the token is answered."""
        if self.now - self._second >= 1:
            self._second, self._strangers = self.now, 0
        self._strangers += 1
        if refused:
            self._note(client)
        if self._strangers > self.limits.strangers:
            await asyncio.sleep(PAUSE)

    def _note(self, client: Any) -> None:
        self._refused += 1
        if self.now - self._told >= LOG_SECONDS:
            log.warning(
                "%d request%s without this run's token, or with a wrong one; the last from %s.",
                self._refused,
                "s" * (self._refused != 1),
                client[0] if client else "somewhere",
            )
            self._refused, self._told = 0, self.now


class Seldom(logging.Filter):
    """Lets a message through once a minute at most: strangers could fill a log with it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.WARNING:
            return True
        if record.created - self._last.get(str(record.msg), -math.inf) < LOG_SECONDS:
            return False
        self._last[str(record.msg)] = record.created
        return True
