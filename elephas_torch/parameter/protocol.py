"""Receives pushes beside uvicorn, and answers them at once.

uvicorn's own way hands a body over in pieces, each copied four times, and starts a task for
each request: that takes longer than applying a small update. Here the connection reads the
head of a push by itself, then the body into the buffer that it is applied from, and writes the
answer in one go. Whatever doesn't look like a plain push of the right length with the right
token takes uvicorn's way, and is refused there.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import threading
from collections.abc import Callable
from typing import Protocol

from elephas_torch.parameter.guard import Guard
from elephas_torch.parameter.http import Http, Response, refusal
from elephas_torch.parameter.wire import Body

_START = b"POST /update HTTP/1.1\r\n"
_HEAD_BYTES = 4096
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t -~]*")


class Pushes(Protocol):
    """Who answers pushes. All but `push`'s `tell` is called on the loop."""

    def trusts(self, given: bytes) -> bool:
        """Whether the value of an authorization header has the token."""

    def accepts(self, head: bytes) -> int:
        """The length of the push that this head, without its empty line, announces; 0 where it
        may not be received."""

    def take(self, length: int) -> Body:
        """Returns a buffer for a push of a length that was accepted."""

    def free(self, body: Body) -> None:
        """Takes back a buffer whose push never came whole."""

    def push(self, body: Body, tell: Callable[[Response], None]) -> None:
        """Takes a push that came whole; calls `tell` with the answer, later, from any thread."""


class Receiver(asyncio.BufferedProtocol):
    """One connection.

    Args:
        http: the protocol that answers all requests but plain pushes.
        pushes: answers those.
        guard: knows all connections, and looks at them now and then.
    """

    def __init__(self, http: Http, pushes: Pushes, guard: Guard) -> None:
        self._http, self._pushes, self._guard = http, pushes, guard
        http.limits, http.trusts = guard.limits, pushes.trusts
        self._thread = threading.get_ident()
        self._scratch = memoryview(bytearray(_HEAD_BYTES))
        self._body: Body | None = None
        self._have = self._length = 0
        self._known = self._later = b""
        self._pushed = 0
        self._turned_away = False
        self._doing: tuple[str, int] = ("", 0)
        self._since = self._moved = self._had = 0.0

    @property
    def trusted(self) -> bool:
        """Whether it has brought the token."""
        return self._pushed > 0 or self._http.trusted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._guard.enter(self):
            self._http.connection_made(transport)
            return
        self._turned_away = True
        most = f"This server has all the {self._guard.most} connections that it takes."
        transport.writelines(refusal(503, most).pieces())  # type: ignore[attr-defined]
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.leave(self)
        if self._body is not None:
            self._pushes.free(self._body)
        self._body, self._later = None, b""
        if not self._turned_away:
            self._http.connection_lost(exc)

    def look(self, now: float) -> None:
        """Ends the connection if what it does takes too long."""
        doing, have = self._now_doing()
        if doing != self._doing:
            self._doing, self._since, self._moved, self._had = doing, now, now, have
            return
        if have != self._had:
            self._moved, self._had = now, have
        limits, took, still = self._guard.limits, now - self._since, now - self._moved
        if doing[0] == "head" and took > limits.head_seconds:
            self._http.refuse(408, f"The head of a request took over {limits.head_seconds:g} s.")
        elif doing[0] == "body" and still > limits.body_seconds:
            self._http.refuse(408, f"No byte of a body came for {limits.body_seconds:g} s.")
        elif doing[0] == "body" and took > limits.body_seconds + have / limits.body_rate:
            self._http.refuse(408, f"A body came with less than {limits.body_rate:g} bytes/s.")
        elif doing[0] == "read" and still > limits.read_seconds:
            self._http.transport.abort()
        elif doing[0] == "idle" and not self.trusted and took > limits.head_seconds:
            self.end()

    def end(self) -> None:
        """Ends the connection."""
        self._http.transport.close()

    def _now_doing(self) -> tuple[tuple[str, int], float]:
        """What is being waited for, and how much of it is there."""
        http = self._http
        number = http.number + self._pushed
        if http.flow.write_paused:
            return ("read", 0), http.transport.get_write_buffer_size()
        if self._body is not None:
            return ("body", number), self._have
        if http.flow.read_paused:
            return ("answer", number), 0
        if http.inside:
            return ("body" if http.headed else "head", number), http.received
        answered = http.cycle is None or http.cycle.response_complete
        return ("idle" if answered and not http.waiting else "answer", number), 0

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch if self._body is None else self._body.buffer[self._have :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._turned_away:
            return
        if self._body is None:
            data, self._later = self._later + bytes(self._scratch[:nbytes]), b""
            self._read(data)
        else:
            self._have += nbytes
            self._push_if_whole(self._body)

    def _read(self, data: bytes) -> None:
        """Reads from the start of a request, or from anywhere in one that `http` is inside of."""
        while data:
            if self._http.waiting:
                # A client that doesn't wait for answers has sent the next request already.
                self._later = data
                self._http.flow.pause_reading()
                return
            start = self._length_of_head(data) if self._http.idle else 0
            if not start:
                self._http.data_received(data)
                return
            data = self._start(data, start)

    def _length_of_head(self, data: bytes) -> int:
        """Returns how long the head of a plain push at the start of `data` is, else 0."""
        known = self._known
        if known and hmac.compare_digest(data[: len(known)], known):
            return len(known)
        end = data.find(b"\r\n\r\n") if data.startswith(_START) else -1
        length = self._pushes.accepts(data[:end]) if end >= 0 else 0
        if not length:
            return 0
        # Each push of a connection has the same head, token included: it is parsed once. (Those
        # with rows of embeddings differ in their length.)
        self._known, self._length = data[: end + 4], length
        return end + 4

    def _start(self, data: bytes, start: int) -> bytes:
        """Begins a push whose body begins at `start`; returns what lies behind it."""
        body = self._pushes.take(self._length)
        early = data[start : start + len(body.buffer)]
        body.buffer[: len(early)] = early
        self._body, self._have = body, len(early)
        self._pushed += 1
        self._push_if_whole(body)
        return data[start + len(early) :]

    def _push_if_whole(self, body: Body) -> None:
        if self._have == len(body.buffer):
            self._body = None
            self._http.wait()
            self._pushes.push(body, self._tell)

    def _tell(self, response: Response) -> None:
        if threading.get_ident() == self._thread:
            self._answer(response)
        else:
            self._http.loop.call_soon_threadsafe(self._answer, response)

    def _answer(self, response: Response) -> None:
        self._http.answer(response)
        if self._later:
            self._http.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        data, self._later = self._later, b""
        if not self._http.transport.is_closing():
            self._read(data)


def plain_fields(head: bytes) -> dict[bytes, bytes] | None:
    """Returns the headers of a head, names in lower case; None if they are at all unusual."""
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        good = colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)
        if not good or name.lower() in found:
            return None
        found[name.lower()] = value.strip(b" \t")
    return found
