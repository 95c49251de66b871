"""One kept-alive HTTP/1.1 connection that sends and receives without copying.

`http.client` parses the headers of each answer into an e-mail message, which takes longer
than all the rest of a small exchange. This speaks only what the parameter server does:
every answer has a Content-Length.

Copies of a vector in an exchange: from the worker's gradients into the kernel and from there into
the buffer that the server applies it from; from the server's new vector into the kernel and from
there into the worker's weights. All four are the kernel's; nothing is joined, and nothing parsed.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from elephas_torch.errors import ServerError, Unreachable, WaitTimeout
from elephas_torch.parameter.secured import Secured
from elephas_torch.parameter.trust import Trust

#: What bytes go through: `Secured` has the methods of a plain socket.
Channel = socket.socket | Secured
CONNECT_SECONDS, GONE_SECONDS = 15.0, 120.0
_HEAD_BYTES = 16_384
#: What Linux takes of seconds of silence, and of questions in vain.
_LONGEST_IDLE, _MOST_PROBES = 32_767, 127


class Head(NamedTuple):
    """The start of an answer; its body must be read before the next request."""

    status: int
    length: int


class Connection:
    """A connection to one server, made when it is first used.

    Args:
        host, port: where the server listens.
        token: goes into every request, as a bearer token.
        timeout: seconds without a byte, after which a read or write gives up.
        trust: whom to take for the server, with TLS; None: without.
        connect: seconds that making it may take.
        gone: see `notice_loss`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        token: str,
        timeout: float,
        trust: Trust | None = None,
        connect: float = CONNECT_SECONDS,
        gone: float = GONE_SECONDS,
    ) -> None:
        self.host, self.port, self.timeout, self._trust = host, port, timeout, trust
        self._connect_seconds, self._gone = connect, gone
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if trust else 'http'}://{shown}:{port}"
        self._common = f"host: {shown}:{port}\r\nauthorization: Bearer {token}\r\n".encode()
        self._socket: Channel | None = None
        self._buffer = bytearray(_HEAD_BYTES)
        self._view = memoryview(self._buffer)
        self._rest = self._view[:0]
        self._sent: tuple[tuple[str, str, int], bytes] = (("", "", 0), b"")
        self._known: tuple[bytes, Head] = (b"", Head(0, 0))

    def request(
        self, line: str, headers: str = "", body: Sequence[memoryview | bytes] = ()
    ) -> Head:
        """Sends a request and reads the head of the answer.

        A connection that was cut is made anew, once: whatever is sent is either harmless twice
        or known to the server's ledger.

        Args:
            line: method and path, such as "GET /status".
            headers: more headers, each ended by CR LF.
            body: sent one after the other, without being joined.

        Raises:
            Unreachable: no connection, or one that breaks again.
            WaitTimeout: no answer within the timeout.
        """
        length = sum(len(one) for one in body)
        head = self._head(line, headers, length)
        try:
            return self._exchange(head, body)
        except WaitTimeout:  # an OSError too
            raise
        except OSError:
            self.close()
        try:
            return self._exchange(head, body)
        except WaitTimeout:
            raise
        except OSError as error:
            raise self._cut(error) from error

    def _head(self, line: str, headers: str, length: int) -> bytes:
        """The head of a request; one push is like the other."""
        asked = (line, headers, length)
        if self._sent[0] != asked:
            sized = f"content-length: {length}\r\n" if length or not line.startswith("GET") else ""
            head = f"{line} HTTP/1.1\r\n{sized}{headers}".encode() + self._common + b"\r\n"
            self._sent = asked, head
        return self._sent[1]

    def read(self, length: int) -> bytes:
        """Reads so many bytes of the body."""
        buffer = bytearray(length)
        self.read_into(memoryview(buffer))
        return bytes(buffer)

    def read_into(self, target: memoryview) -> None:
        """Fills `target` with the next bytes of the body; raises Unreachable if it ends early."""
        have = min(len(self._rest), len(target))
        target[:have] = self._rest[:have]
        self._rest = self._rest[have:]
        connected = self._connected()
        while have < len(target):
            try:
                got = connected.recv_into(target[have:], 0, socket.MSG_WAITALL)
            except BlockingIOError:
                raise self._gave_up("to read") from None
            except OSError as error:
                raise self._cut(error) from error
            if not got:
                self.close()
                raise Unreachable(
                    f"{self.address} went away in the middle of an answer.", reached=True
                )
            have += got

    def close(self) -> None:
        """Closes the connection; the next request makes a new one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, self._view[:0]

    def _exchange(self, head: bytes, body: Sequence[memoryview | bytes]) -> Head:
        if len(self._rest):
            self.close()
        connected = self._connected()
        try:
            self._send(connected, [head, *body])
        except WaitTimeout:
            raise
        except OSError:
            # A refusal that came before the body was read may still be there to be read.
            with contextlib.suppress(OSError, WaitTimeout):
                return self._read_head(connected)
            raise
        return self._read_head(connected)

    def _send(self, connected: Channel, parts: Sequence[memoryview | bytes]) -> None:
        """Sends all parts; the first write holds the head and as much of the body as goes in."""
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            try:
                sent = connected.sendmsg(left)
            except BlockingIOError:
                raise self._gave_up("to send") from None
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if sent:
                left[0] = left[0][sent:]

    def _read_head(self, connected: Channel) -> Head:
        have = 0
        while (end := self._buffer.find(b"\r\n\r\n", 0, have)) < 0:
            if have == _HEAD_BYTES:
                raise ServerError(f"What listens at {self.address} isn't a parameter server.")
            try:
                got = connected.recv_into(self._view[have:])
            except BlockingIOError:
                raise self._gave_up("for the answer") from None
            if not got:
                raise ConnectionResetError("closed without an answer")
            have += got
        self._rest = self._view[end + 4 : have]
        head = bytes(self._view[:end])
        if head != self._known[0]:
            self._known = head, self._parsed(head)
        return self._known[1]

    def _parsed(self, head: bytes) -> Head:
        lowered = head.lower()
        try:
            status = int(head[9:12])
            start = lowered.find(b"\r\ncontent-length:")
            length = int(lowered[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        except ValueError:
            raise ServerError(
                f"What listens at {self.address} isn't a parameter server: {head[:80]!r}"
            ) from None
        return Head(status, 0 if status == 304 else length)

    def _connected(self) -> Channel:
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> Channel:
        try:
            made = socket.create_connection((self.host, self.port), self._connect_seconds)
        except OSError as error:
            raise Unreachable(
                f"Can't reach the parameter server at {self.address} from host "
                f"{socket.gethostname()}: {error}. Check that it runs, that this address is one "
                "by which this host reaches the driver (on Spark: spark.driver.host, or "
                "`host=`), and that no firewall is between them (`port=` fixes the port)."
            ) from error
        # The kernel's own timeouts: with Python's, each read and write is two system calls.
        made.settimeout(None)
        limit = _timeval(self.timeout)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_loss(made, self._gone)
        return self._trust.secure(made, self.host, self.address) if self._trust else made

    def _cut(self, error: OSError) -> ServerError:
        self.close()
        return Unreachable(
            f"The parameter server at {self.address} cut the connection ({error}), from host "
            f"{socket.gethostname()}. It was stopped, or it crashed, or the network between is "
            "down: the driver's output says more.",
            reached=True,
        )

    def _gave_up(self, what: str) -> WaitTimeout:
        self.close()
        return WaitTimeout(
            f"Waited {self.timeout:g} s {what} of the parameter server at {self.address}."
        )


def notice_loss(made: socket.socket, seconds: float) -> None:
    """Lets a connection whose other side vanished without a word (a machine that lost its power,
    a router that forgot it) be cut after so many seconds; of a listener: those that it accepts.
    Linux's own: two hours. The kernel asks after a quarter of that silence, and then again."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = min(max(round(seconds / 4), 1), _LONGEST_IDLE)
    every = max(idle // 2, 1)
    wanted = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPINTVL": every,
        "TCP_KEEPCNT": min(max(round((seconds - idle) / every), 1), _MOST_PROBES),
        "TCP_USER_TIMEOUT": min(round(1000 * seconds), 2**31 - 1),
    }
    for name, value in wanted.items():
        if hasattr(socket, name):  # Linux has them all
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _timeval(seconds: float) -> bytes:
    whole, micros = divmod(max(1, round(seconds * 1e6)), 1_000_000)
    return struct.pack("@ll", whole, micros)
