"""All requests but plain pushes: uvicorn's protocol, with limits and answers sent in one go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from elephas_torch.parameter import wire
from elephas_torch.parameter.cork import Corked, Encrypted
from elephas_torch.parameter.guard import Limits


class Response(NamedTuple):
    """An answer: the pieces of its body are written as they are."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: list[bytes | memoryview]

    def pieces(self, close: bool = False) -> list[bytes | memoryview]:
        """Returns what is sent, the same bytes that uvicorn would make of it."""
        headers = [*self.headers, (b"connection", b"close")] if close else self.headers
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        return [STATUS_LINE[self.status] + lines + b"\r\n", *self.body]


def refusal(status: int, reason: str) -> Response:
    """Returns an answer that ends the connection."""
    body = wire.dumps({"error": "refused", "reason": reason})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    return Response(status, headers, [body])


class Http(HttpToolsProtocol):
    """uvicorn's protocol, that knows whether it is inside a request, and sends whole answers.

    Attributes:
        waiting: for the answer to a push that went beside it.
        used: such a push came since the keep-alive timer was set.
        ending: the connection is to end with that answer.
        inside: the first bytes of a request are there, and not yet its last.
        headed: its head is whole.
        trusted: a request of this connection has brought the token.
        number: of requests that began.
        received: bytes since the last of them.
    """

    inside = headed = waiting = ending = used = trusted = False
    number = received = 0
    limits = Limits()
    trusts: Callable[[bytes], bool]
    _excess = ""

    @property
    def idle(self) -> bool:
        """Whether nothing is being received, answered or sent."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not (self.inside or self.waiting or self.flow.write_paused)

    def wait(self) -> None:
        """A push has come, that is answered beside this protocol."""
        self.waiting = self.used = True

    def answer(self, response: Response) -> None:
        """Sends the answer to such a push."""
        self.waiting = False
        self.server_state.total_requests += 1
        self.transport.writelines(response.pieces(close=self.ending))
        if self.ending:
            self.transport.close()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def timeout_keep_alive_handler(self) -> None:
        # Pushes leave the timer alone: setting it anew each time would take as long as a step.
        if self.waiting or self.used:
            self.used = False
            self._arm()
        else:
            super().timeout_keep_alive_handler()

    def _arm(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def shutdown(self) -> None:
        if self.waiting:
            self.ending = True
        else:
            super().shutdown()

    def connection_made(self, transport: Any) -> None:
        cork = Corked if transport.get_extra_info("sslcontext") is None else Encrypted
        super().connection_made(cork(transport, self.loop))  # type: ignore[arg-type]
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.received += len(data)
        if self.inside and not self.headed and self.received > self.limits.head_bytes:
            most = self.limits.head_bytes
            self.refuse(431, f"A request's line and headers have at most {most} bytes.")

    def refuse(self, status: int, reason: str) -> None:
        """Ends the connection; says why, unless an answer is on its way."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.writelines(refusal(status, reason).pieces())
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # Its parser takes the request for whole without its body, and reads no other after it.
        self.refuse(400, "This server goes on with no other protocol: send no Upgrade.")

    def send_400_response(self, msg: str) -> None:
        if self._excess:
            self.refuse(431, self._excess)
        else:
            self.refuse(400, msg)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers:
            self._excess = f"A request has at most {self.limits.headers} headers."
            raise ValueError(self._excess)
        if name.lower() == b"authorization" and self.trusts(value):
            self.trusted = True

    def on_headers_complete(self) -> None:
        self.headed = True
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        self.inside, self.headed, self.received = True, False, 0
        self.number += 1
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.inside = False
        super().on_message_complete()
