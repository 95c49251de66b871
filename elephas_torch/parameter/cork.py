"""Transports that send an answer in one write, whatever pieces it comes in."""

from __future__ import annotations

import asyncio
from typing import Any

#: Bytes that are encrypted and sent at once.
_BIT = 131_072


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

    def writelines(self, pieces: list[Any]) -> None:
        self._pieces += pieces
        self.flush()

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Encrypted(Corked):
    """The same, with TLS: uvloop encrypts all of a write before it sends any of it, so large pieces
    go bit by bit, and are sent and decrypted while the next is encrypted."""

    def flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if self._transport.is_closing():
            return
        small = []
        for piece in pieces:
            if len(piece) <= _BIT:
                small.append(piece)
                continue
            view = memoryview(piece)
            for start in range(0, len(view), _BIT):
                self._transport.writelines([*small, view[start : start + _BIT]])
                small = []
        if small:
            self._transport.writelines(small)
