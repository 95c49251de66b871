"""The HTTP side of the parameter server: token, limits, vectors. Nothing but translation.

Control routes are FastAPI's, in `routes.py`. The two routes that carry vectors are answered in
front of it: they would spend more time in the framework than in the update itself. Plain pushes
don't even come here as requests, but from `protocol.py`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import uvicorn

from elephas_torch.errors import ElephasError, Refused
from elephas_torch.parameter import wire
from elephas_torch.parameter.door import Door
from elephas_torch.parameter.events import settle
from elephas_torch.parameter.guard import Guard, Limits, Seldom
from elephas_torch.parameter.http import Http, Response
from elephas_torch.parameter.mirrors import Outgoing, plain
from elephas_torch.parameter.protocol import Receiver, plain_fields
from elephas_torch.parameter.receiving import Buffers
from elephas_torch.parameter.routes import as_json, control_app, error_body
from elephas_torch.parameter.state import State
from elephas_torch.parameter.watching import ROUTES, Watching

#: From this many elements on, updates are applied in a thread, so that the loop goes on.
INLINE_ELEMENTS = 250_000
JSON_BYTES = 1 << 20
#: A worker may leave as much with the server as so many of its vectors: what its optimizer keeps.
VECTORS_KEPT = 8
TICK_SECONDS = 0.25
_LENGTH = re.compile(rb"[0-9]{1,15}")
_PULLER = re.compile(rb"worker=([0-9]{1,18})&attempt=([0-9]{1,18})")
_UNUSUAL = (b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
log = logging.getLogger("elephas_torch.parameter")
_seldom = Seldom()


class Application:
    """The ASGI application around a `State`.

    Args:
        state: what it serves.
        token: what every request but `GET /health` must bring as a bearer token.
        page_token: what those bring who only look on; see `watching`. Default None: nobody does.
        limits: how much it puts up with.
        metrics_token: another one, for `GET /metrics` alone; None: there is none.
    """

    def __init__(
        self,
        state: State,
        token: str,
        limits: Limits | None = None,
        metrics_token: str | None = None,
        page_token: str | None = None,
    ) -> None:
        self.state = state
        self.guard = Guard(limits or Limits(), state.settings.workers)
        self.sizes = state.settings.sizes
        self.layout = state.layout
        self.inline = sum(self.sizes) <= INLINE_ELEMENTS
        self._kept_bytes = VECTORS_KEPT * wire.vector_bytes(self.sizes) + JSON_BYTES
        self._authorization = f"Bearer {token}".encode()
        self._scraper = None if metrics_token is None else f"Bearer {metrics_token}".encode()
        self.buffers = Buffers(state.layout)
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "elephas-apply")
        self.watching = Watching(state, page_token or token, self.guard, self.trusts)
        self._control = control_app(self)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        try:
            headers = dict(scope["headers"])
            if (method, path) in ROUTES:
                check_length(method, headers, JSON_BYTES)
                await self.watching.answer(method, path, scope, receive, send)
                return
            if not self._has_token(headers) and not self._scrapes(method, path, headers):
                await self._check_stranger(path, scope["client"])
            if path == "/update" and method == "POST":
                await self._update(headers, receive, send)
            elif path == "/parameters" and method == "GET":
                check_length(method, headers, JSON_BYTES)
                await self._parameters(headers, scope["query_string"], send)
            elif path == "/parameters" and method == "PUT":
                await self._put(headers, receive, send)
            else:
                keeps = method == "PUT" and path.endswith("/kept")
                check_length(method, headers, self._kept_bytes if keeps else JSON_BYTES)
                await self._control(scope, receive, send)
        except Exception as error:
            await respond(send, failure(error, method, path))

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls what may apply an update: here if that is quick, otherwise in a thread."""
        if self.inline:
            return function(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """Ends its threads and lets go of the vectors; answers nobody any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.buffers.clear()
        del self.state, self.watching

    async def tick(self) -> None:
        """Lets waits and leases run out, for as long as the server lives."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.run(self.state.tick)
            now = loop.time()
            self.guard.tick(now - before)
            before = now

    async def _check_stranger(self, path: str, client: Any) -> None:
        await self.guard.stranger(client, path != "/health")
        if path != "/health":
            raise Refused("Wrong or missing token: send this run's as a bearer token.", 401)

    def accepts(self, head: bytes) -> int:
        """The length of the push that this plain head announces, with the token; else 0."""
        headers = plain_fields(head)
        if (
            headers is None
            or not _LENGTH.fullmatch(given := headers.get(b"content-length", b""))
            or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive"
            or not headers.keys().isdisjoint(_UNUSUAL)
            or not self._has_token(headers)
        ):
            return 0
        return length if self.layout.allows(length := int(given)) else 0

    def take(self, length: int) -> wire.Body:
        """Returns a buffer for a push of that length."""
        return self.buffers.take(length)

    def free(self, body: wire.Body) -> None:
        """Takes back a buffer that nothing uses any more."""
        self.buffers.free(body)

    def push(self, body: wire.Body, tell: Callable[[Response], None]) -> None:
        """Applies a push; tells the answer, once it is there, from whatever thread."""
        if self.inline:
            self._push(body, tell)
        else:
            self._threads.submit(self._push, body, tell)

    def _push(self, body: wire.Body, tell: Callable[[Response], None]) -> None:
        has, alone = None, self.layout.is_head(len(body.buffer))

        def answered(done: Future[wire.Answer]) -> Response:
            try:
                return self._pushed(body, done, push, has, alone)
            except Exception as error:  # a callback's own errors are heard by nobody
                return failure(error, "POST", "/update")

        try:
            self.state.count_bytes(received=len(body.buffer))
            if alone:
                push = wire.unpack_push(body.buffer, self.sizes)
                future = self.state.push_shared(push)
            else:
                push, has = self.layout.unpack(body.buffer, body.vectors)
                future = self.state.push(push, body.vectors)
        except Exception as error:
            tell(failure(error, "POST", "/update"))
            return
        future.add_done_callback(lambda done: tell(answered(done)))

    def _pushed(
        self,
        body: wire.Body,
        done: Future[wire.Answer],
        push: wire.Push,
        has: int | None,
        alone: bool,
    ) -> Response:
        error = done.exception()
        if error is not None:
            return failure(error, "POST", "/update")
        # Only now: after an error the round may still hold the buffer.
        self.free(body)
        answer = done.result()
        place = self.state.slots.place(push, answer) if alone else None
        if place is not None:
            return self._placed(answer, place)
        return self._response(self.state.answered(push, has, answer))

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        return self.trusts(headers.get(b"authorization", b""))

    def _scrapes(self, method: str, path: str, headers: dict[bytes, bytes]) -> bool:
        if self._scraper is None or method != "GET" or path != "/metrics":
            return False
        return hmac.compare_digest(headers.get(b"authorization", b""), self._scraper)

    def trusts(self, given: bytes) -> bool:
        """Whether the value of an authorization header has the token."""
        return hmac.compare_digest(given, self._authorization)

    async def _received(self, headers: dict[bytes, bytes], receive: Receive) -> wire.Body:
        length = content_length(headers)
        self.layout.check_length(length)
        body = self.take(length)
        await fill(body.buffer, receive)
        return body

    async def _update(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        body = await self._received(headers, receive)
        future: Future[Response] = Future()
        self.push(body, partial(settle, future))
        await respond(send, await asyncio.wrap_future(future))

    async def _parameters(self, headers: dict[bytes, bytes], query: bytes, send: Send) -> None:
        known = headers.get(b"if-none-match")
        if known == b'"%d"' % self.state.weights.version:
            await respond(send, Response(304, [], [b""]))
            return
        if query:
            message = await self.run(self.state.pull_by, *puller(query))
        else:
            message = plain(await self.run(self.state.pull))
        self.state.counts["pulls"] += 1
        response = self._response(message)
        tagged = [*response.headers, (b"etag", b'"%d"' % message.reply.version)]
        await respond(send, response._replace(headers=tagged))

    def _placed(self, answer: wire.Answer, place: bytes) -> Response:
        body = wire.pack_reply(answer.reply, self.sizes, wire.PLACED) + place
        self.state.count_bytes(sent=len(body))
        return Response(200, [(b"content-length", str(len(body)).encode())], [body])

    async def _put(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        body = await self._received(headers, receive)
        try:
            if len(body.buffer) != self.layout.plain:
                raise Refused(f"Vectors to put are as in a plain push: {self.layout.plain} bytes.")
            push = wire.unpack_push(body.buffer, self.sizes)
            reply = await self.run(self.state.put, push, body.vectors)
        finally:
            self.free(body)
        await as_json(reply._asdict())({"type": "http"}, receive, send)

    def _response(self, message: Outgoing) -> Response:
        length = message.length
        self.state.count_bytes(sent=length)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % length),
        ]
        return Response(200, headers, [message.head(self.sizes), *message.pieces])


class Server(uvicorn.Server):
    """uvicorn's, but for how connections come in."""

    def __init__(
        self, config: uvicorn.Config, guard: Guard, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self._guard, self._context = guard, context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])

        def connection() -> Receiver:
            made: Any = self.config.http_protocol_class
            return made(config=self.config, server_state=self.server_state, app_state={})

        doors: list[Any] = [
            Door(one, connection, self._guard, self._context) for one in sockets or []
        ]
        self.servers = doors


def uvicorn_server(application: Application, context: ssl.SSLContext | None = None) -> Server:
    """Returns a server for the application; `serve(sockets=[…])` runs it, with TLS if `context` is
    given."""

    def connection(
        config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> Receiver:
        http = Http(config, server_state, app_state, _loop)
        return Receiver(http, application, application.guard)

    config = uvicorn.Config(
        application,
        http=connection,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=application.guard.limits.idle_seconds,  # type: ignore[arg-type]
    )
    logging.getLogger("uvicorn.error").addFilter(_seldom)
    return Server(config, application.guard, context)


def puller(query: bytes) -> tuple[int, int]:
    """Returns the worker and attempt that a pull's query names; raises Refused where it doesn't."""
    found = _PULLER.fullmatch(query)
    if found is None:
        raise Refused(f"A pull's query is worker=…&attempt=…. Received: {query[:80]!r}")
    return int(found[1]), int(found[2])


def content_length(headers: dict[bytes, bytes]) -> int:
    """Returns the body's length; raises Refused (411) where the request doesn't say it."""
    given = headers.get(b"content-length")
    if given is None or b"transfer-encoding" in headers:
        raise Refused("The request must have a Content-Length, and not be chunked.", 411)
    return int(given)


def check_length(method: str, headers: dict[bytes, bytes], most: int) -> None:
    """Raises Refused where a control request has a body too long, or of unknown length."""
    if method == "GET" and not headers.keys() & {b"transfer-encoding", b"content-length"}:
        return
    length = content_length(headers)
    if length > most:
        raise Refused(f"A request here has at most {most} bytes. Received: {length}", 413)


async def fill(buffer: memoryview, receive: Receive) -> None:
    """Reads the whole body into `buffer`, whose length it has."""
    have, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("The connection ended before the whole push was there.")
        piece = message["body"]
        if have + len(piece) > len(buffer):
            raise Refused(f"More than the {len(buffer)} bytes came that were announced.")
        buffer[have : have + len(piece)] = piece
        have += len(piece)
        more = message["more_body"]
    if have < len(buffer):  # which would leave there what was received before
        raise Refused(f"Only {have} of the {len(buffer)} bytes came that were announced.")


def failure(error: BaseException, method: str, path: str) -> Response:
    """Returns the answer that says so. What is too long to be read ends the connection."""
    if not isinstance(error, ElephasError):
        log.error("failed at %s %s", method, path, exc_info=error)
    status, body = error_body(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status in (411, 413):
        headers.append((b"connection", b"close"))
    return Response(status, headers, [body])


async def respond(send: Send, response: Response) -> None:
    """Sends an answer through ASGI."""
    start = {"type": "http.response.start", "status": response.status}
    await send({**start, "headers": response.headers})
    *first, last = response.body
    for piece in first:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": last})
