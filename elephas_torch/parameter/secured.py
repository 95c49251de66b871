"""TLS over a socket, quicker than Python's own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence

#: Bytes that are encrypted and sent at once, and the most that is received at once.
_ROOM = 131_072


class Secured:
    """TLS over a socket, with a plain one's methods, as `connection.Connection` uses them.

    Not Python's SSL socket: that makes two or three system calls a record of 16 KB, and is woken up
    for each. Timeouts are the socket's own, of the kernel.

    Raises:
        OSError: the handshake failed; BlockingIOError: it took too long.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._in, self._out = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._room = memoryview(bytearray(_ROOM))
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
        self._send()

    def sendmsg(self, parts: Sequence[memoryview]) -> int:
        """Sends the first bytes of these parts; returns how many."""
        sent = 0
        for part in _up_to(parts, _ROOM):
            done = 0
            while done < len(part):
                done += self.tls.write(part[done:])
            sent += done
        self._send()
        return sent

    def recv_into(self, target: memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """Receives what is there; returns how many bytes, 0 at the end."""
        have = 0
        while have < len(target):
            try:
                got = self.tls.read(len(target) - have, target[have:])
            except ssl.SSLWantReadError:
                self._send()
                if have:
                    break
                self._receive()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            if not got:
                break
            have += int(got)
        return have

    def close(self) -> None:
        """Closes the connection, without a farewell: every answer says how long it is."""
        self._plain.close()

    def _receive(self) -> None:
        got = self._plain.recv_into(self._room)
        if got:
            self._in.write(self._room[:got])
        else:
            self._in.write_eof()

    def _send(self) -> None:
        if self._out.pending:
            self._plain.sendall(self._out.read())


def _up_to(parts: Sequence[memoryview], size: int) -> Iterator[memoryview]:
    for part in parts:
        yield part[:size]
        size -= len(part)
        if size <= 0:
            return
