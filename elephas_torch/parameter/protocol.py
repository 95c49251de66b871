"""Receives the bodies of pushes straight into the buffer that the update is applied from.

uvicorn's own way hands a body over in pieces, each copied four times on its way. Here the
connection reads the head of a push by itself, then the body into its place, and gives
uvicorn's HTTP protocol the same head with `content-length: 0`; the body goes beside it, in the
request's state. Whatever doesn't look like a push of the right length with the right token
takes uvicorn's way, and is refused there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from elephas_torch.parameter.wire import Body

_START = b"POST /update HTTP/1.1\r\n"
_HEAD_BYTES = 4096
BODY = "elephas_torch.body"


class Corked:
    """A transport that sends the pieces of an answer in one write.

    uvloop sends each piece at once, and each wakes the client up. What isn't flushed when the
    loop goes round next, is flushed then.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[Any] = []

    def write(self, data: Any) -> None:
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)

    def flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.writelines(pieces)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Http(HttpToolsProtocol):
    """uvicorn's protocol, that knows whether it is inside a request, and sends whole answers."""

    inside = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def on_message_begin(self) -> None:
        self.inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.inside = False
        super().on_message_complete()


class Receiver(asyncio.BufferedProtocol):
    """One connection.

    Args:
        http: the protocol that answers requests.
        state: goes into the requests of `http`, which copies it.
        offer: takes the head of a push, without its empty line, and returns a buffer for its
            body, or None where it isn't to be received.
        free: takes back a buffer whose push never came whole.
    """

    def __init__(
        self,
        http: Http,
        state: dict[str, Any],
        offer: Callable[[bytes], Body | None],
        free: Callable[[Body], None],
    ) -> None:
        self._http, self._state, self._offer, self._free = http, state, offer, free
        self._scratch = memoryview(bytearray(_HEAD_BYTES))
        self._body: Body | None = None
        self._head, self._have = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._body is not None:
            self._free(self._body)
            self._body = None
        self._http.connection_lost(exc)

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch if self._body is None else self._body.buffer[self._have :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._body is None:
            self._read_head(bytes(self._scratch[:nbytes]))
        else:
            self._have += nbytes
            self._finish()

    def _read_head(self, data: bytes) -> None:
        starts = not self._http.inside and data.startswith(_START)
        end = data.find(b"\r\n\r\n") if starts else -1
        self._body = self._offer(data[:end]) if end >= 0 else None
        if self._body is None:
            self._http.data_received(data)
            return
        early = data[end + 4 : end + 4 + len(self._body.buffer)]
        self._head, self._have = data[:end], len(early)
        self._body.buffer[: len(early)] = early
        self._finish()
        # A client that doesn't wait for answers may have sent the next request already.
        if later := data[end + 4 + len(early) :]:
            self._read_head(later)

    def _finish(self) -> None:
        assert self._body is not None
        if self._have < len(self._body.buffer):
            return
        # `http` copies its state for each request, so the body goes to this one alone.
        self._state[BODY], self._body = self._body, None
        self._http.data_received(without_length(self._head) + b"content-length: 0\r\n\r\n")
        self._state.pop(BODY)


def without_length(head: bytes) -> bytes:
    """Returns the lines of a head, all but the one with the content's length."""
    lines = head.split(b"\r\n")
    return b"".join(one + b"\r\n" for one in lines if not _is(one, b"content-length"))


def fields(head: bytes) -> dict[bytes, bytes]:
    """Returns the headers of a head, names in lower case."""
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _is(line: bytes, name: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() == name
