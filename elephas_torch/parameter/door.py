"""Takes connections in: not too many, and with TLS where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from elephas_torch.parameter import wire
from elephas_torch.parameter.guard import Guard

log = logging.getLogger("elephas_torch.parameter")
#: The first byte of a TLS handshake.
_HANDSHAKE = b"\x16"
_PLAIN = {
    "error": "refused",
    "reason": "This server speaks TLS: its address begins with https://. Give clients "
    "`server.url` and `server.certificate`, or the signer's as ssl_cafile.",
}


class Door:
    """A listening socket; what uvicorn calls a server. To be made on the loop.

    uvicorn's own way of listening knows neither who is in the middle of a handshake, nor a limit.

    Args:
        listener: it is closed at the end.
        make: makes what a connection's bytes are given to.
        guard: says how many.
        context: of TLS; None: without.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.BufferedProtocol],
        guard: Guard,
        context: ssl.SSLContext | None,
    ) -> None:
        listener.setblocking(False)
        self._listener, self._make, self._guard = listener, make, guard
        self._context = context
        self._arriving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Takes nobody in any more."""
        for task in (self._accepting, *self._arriving):
            task.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Waits until who was on the way in is gone."""
        await asyncio.gather(self._accepting, *self._arriving, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                arrived, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:  # no descriptors are left, or the client is gone already
                log.warning("A connection could not be accepted: %s", error)
                await asyncio.sleep(0.1)
                continue
            if self._guard.full:
                arrived.close()
                continue
            self._guard.arriving += 1
            task = self._loop.create_task(self._take(arrived))
            self._arriving.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._guard.arriving -= 1
        self._arriving.discard(task)

    async def _take(self, arrived: socket.socket) -> None:
        """Hands a connection over, once its handshake is done."""
        try:
            arrived.setblocking(False)
            more: dict[str, Any] = {}
            if self._context is not None:
                if not await self._starts_with_tls(arrived):
                    arrived.close()
                    return
                seconds = self._guard.limits.head_seconds
                more = {"ssl": self._context, "ssl_handshake_timeout": seconds}
            await self._loop.connect_accepted_socket(self._make, arrived, **more)
        except (OSError, ssl.SSLError) as error:
            log.debug("A connection ended before it began: %s", error)
        except asyncio.CancelledError:
            arrived.close()
            raise

    async def _starts_with_tls(self, arrived: socket.socket) -> bool:
        """Whether TLS comes; who speaks plainly is told, and who says nothing isn't waited for."""
        readable = asyncio.Event()
        self._loop.add_reader(arrived, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), self._guard.limits.head_seconds)
        except asyncio.TimeoutError:
            return False
        finally:
            self._loop.remove_reader(arrived)
        first = arrived.recv(1, socket.MSG_PEEK)
        if first and first != _HANDSHAKE:
            with contextlib.suppress(OSError):
                arrived.recv(65_536)  # what is left unread would cut the answer off
                arrived.send(_plain_answer())
        return first == _HANDSHAKE


def _plain_answer() -> bytes:
    body = wire.dumps(_PLAIN)
    head = (
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
