"""The HTTP side of the parameter server: routes, token, limits. Nothing but translation.

Control routes are FastAPI's. The two routes that carry vectors are answered in front of it,
as plain ASGI: they would spend more time in the framework than in the update itself.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from elephas_torch.errors import ElephasError, Fenced, Refused, WaitTimeout
from elephas_torch.parameter import wire
from elephas_torch.parameter.metrics import exposition
from elephas_torch.parameter.protocol import BODY, Http, Receiver, fields
from elephas_torch.parameter.state import State

#: From this many elements on, updates are applied in a thread, so that the loop goes on.
INLINE_ELEMENTS = 250_000
JSON_BYTES = 1 << 20
LONGEST_POLL = 60.0
TICK_SECONDS = 0.25
KEEP_ALIVE_SECONDS = 3600

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
log = logging.getLogger("elephas_torch.parameter")


class Join(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: int
    samples: int
    info: dict[str, Any] = Field(default_factory=dict)


class Beat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: int
    progress: dict[str, Any] | None = None


class Event(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str = Field(pattern="^(report|failure)$")
    worker: int
    attempt: int
    epoch: int = -1
    data: dict[str, Any]


class Control(BaseModel):
    model_config = ConfigDict(extra="forbid")
    stop: bool | None = None
    learning_rate: float | None = None
    release_epoch: int | None = None


class Application:
    """The ASGI application around a `State`.

    Args:
        state: what it serves.
        token: what every request but `GET /health` must bring as a bearer token.
    """

    def __init__(self, state: State, token: str) -> None:
        self.state = state
        self.sizes = state.settings.sizes
        self.length = wire.PUSH_BYTES + wire.vector_bytes(self.sizes)
        self.inline = sum(self.sizes) <= INLINE_ELEMENTS
        self._push_length = str(self.length).encode()
        self._authorization = f"Bearer {token}".encode()
        self._free: list[wire.Body] = []
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "elephas-apply")
        self._control = control_app(self)
        self._answer_length = str(wire.REPLY_BYTES + wire.vector_bytes(self.sizes)).encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        try:
            headers = dict(scope["headers"])
            if path != "/health":
                self._check_token(headers)
            if path == "/update" and method == "POST":
                await self._update(scope, headers, receive, send)
            elif path == "/parameters" and method == "GET":
                await self._parameters(headers, send)
            else:
                check_length(method, headers)
                await self._control(scope, receive, send)
        except ElephasError as error:
            await refuse(send, error)
        except Exception as error:
            log.exception("failed at %s %s", method, path)
            await refuse(send, error)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls what may apply an update: here if that is quick, otherwise in a thread."""
        if self.inline:
            return function(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    async def tick(self) -> None:
        """Lets waits and leases run out, for as long as the server lives."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.run(self.state.tick)

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        if not self._has_token(headers):
            raise Refused("Wrong or missing token: send this run's as a bearer token.", 401)

    def offer(self, head: bytes) -> wire.Body | None:
        """Returns a buffer for the body of a push that is well announced, else None."""
        headers = fields(head)
        announced = headers.get(b"content-length") == self._push_length
        plain = b"transfer-encoding" not in headers and b"expect" not in headers
        return self._take() if announced and plain and self._has_token(headers) else None

    def free(self, body: wire.Body) -> None:
        """Takes back a buffer that nothing uses any more."""
        self._free.append(body)

    def _take(self) -> wire.Body:
        return self._free.pop() if self._free else wire.allocate(self.sizes, wire.PUSH_BYTES)

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        given = headers.get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)

    async def _received(self, headers: dict[bytes, bytes], receive: Receive) -> wire.Body:
        length = content_length(headers)
        if length != self.length:
            raise Refused(
                f"A push to this server has {self.length} bytes, for vectors of lengths "
                f"{self.sizes} (parameters, state, counters). Received: {length}",
                413 if length > self.length else 400,
            )
        body = self._take()
        await fill(body.buffer, receive)
        return body

    async def _update(
        self, scope: Message, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        body = scope["state"].get(BODY) or await self._received(headers, receive)
        push = wire.unpack_push(body.buffer, self.sizes)
        future = await self.run(self.state.push, push, body.vectors)
        answer = future.result() if future.done() else await asyncio.wrap_future(future)
        # Only now: after an error the round may still hold the buffer.
        self.free(body)
        await self._send(answer, send)

    async def _parameters(self, headers: dict[bytes, bytes], send: Send) -> None:
        known = headers.get(b"if-none-match")
        if known == b'"%d"' % self.state.weights.version:
            await send({"type": "http.response.start", "status": 304, "headers": []})
            await send({"type": "http.response.body"})
            return
        self.state.counts["pulls"] += 1
        await self._send(await self.run(self.state.pull), send)

    async def _send(self, answer: wire.Answer, send: Send) -> None:
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", self._answer_length),
            (b"etag", b'"%d"' % answer.reply.version),
        ]
        head = wire.pack_reply(answer.reply, self.sizes)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": head, "more_body": True})
        await send({"type": "http.response.body", "body": answer.body})


def uvicorn_server(application: Application) -> uvicorn.Server:
    """Returns a server for the application; `serve(sockets=[…])` runs it."""

    def connection(
        config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> Receiver:
        state = dict(app_state)
        http = Http(config, server_state, state, _loop)
        return Receiver(http, state, application.offer, application.free)

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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    return uvicorn.Server(config)


def content_length(headers: dict[bytes, bytes]) -> int:
    """Returns the body's length; raises Refused (411) where the request doesn't say it."""
    given = headers.get(b"content-length")
    if given is None or b"transfer-encoding" in headers:
        raise Refused("The request must have a Content-Length, and not be chunked.", 411)
    return int(given)


def check_length(method: str, headers: dict[bytes, bytes]) -> None:
    """Raises Refused where a control request has a body too long, or of unknown length."""
    if method == "GET" and b"transfer-encoding" not in headers:
        return
    length = content_length(headers)
    if length > JSON_BYTES:
        raise Refused(f"JSON here has at most {JSON_BYTES} bytes. Received: {length}", 413)


async def fill(buffer: memoryview, receive: Receive) -> None:
    """Reads the whole body into `buffer`, whose length it has."""
    have, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("The connection ended before the whole push was there.")
        piece = message["body"]
        buffer[have : have + len(piece)] = piece
        have += len(piece)
        more = message["more_body"]


def error_body(error: BaseException) -> tuple[int, bytes]:
    """Returns the status code and the JSON that stand for an exception."""
    if isinstance(error, Refused):
        kind, status = ("fenced" if isinstance(error, Fenced) else "refused"), error.status
    elif isinstance(error, WaitTimeout):
        kind, status = "timeout", 504
    else:
        kind, status = "server", 500
    reason = str(error) if isinstance(error, ElephasError) else f"{type(error).__name__}: {error}"
    return status, wire.dumps({"error": kind, "reason": reason})


async def refuse(send: Send, error: BaseException) -> None:
    """Answers with an error. What is too long to be read ends the connection."""
    status, body = error_body(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status in (411, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def as_json(data: Any) -> Response:
    return Response(wire.dumps(data), media_type="application/json")


def control_app(application: Application) -> FastAPI:
    """Returns the FastAPI application with the control routes."""
    state, run = application.state, application.run
    app = FastAPI(title="elephas_torch parameter server", version=str(wire.PROTOCOL))

    @app.get("/health")
    async def health() -> Response:
        """Name, protocol version, state; needs no token."""
        return as_json({"name": wire.NAME, "protocol": wire.PROTOCOL, "state": "ready"})

    @app.get("/status")
    async def status() -> Response:
        """What is going on, for the driver."""
        return as_json({**state.status(), "cpu_seconds": time.process_time(), "pid": os.getpid()})

    @app.get("/metrics")
    async def metrics() -> Response:
        """The same as Prometheus text."""
        text = exposition(state.status(), time.process_time())
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.post("/workers/{worker}")
    async def join(worker: int, body: Join) -> Response:
        """A worker, or a newer attempt of one, joins."""
        joined = await run(state.join, worker, body.attempt, body.samples, body.info)
        return as_json(joined._asdict())

    @app.delete("/workers/{worker}")
    async def leave(worker: int, attempt: int) -> Response:
        """A worker is done."""
        await run(state.leave, worker, attempt)
        return as_json({})

    @app.post("/workers/{worker}/beat")
    async def beat(worker: int, body: Beat) -> Response:
        """Renews a worker's lease."""
        return as_json(state.beat(worker, body.attempt, body.progress)._asdict())

    @app.post("/events")
    async def event(body: Event) -> Response:
        """A worker's report on an epoch, or its error."""
        if body.kind == "failure":
            await run(state.fail, body.worker, body.attempt, body.data)
            return as_json({})
        future = state.report(body.worker, body.attempt, body.epoch, body.data)
        return as_json((await asyncio.wrap_future(future))._asdict())

    @app.get("/events")
    async def events(after: int = 0, timeout: float = 0.0) -> Response:
        """Events with larger numbers; waits for one, up to 60 s."""
        waiting = asyncio.wrap_future(state.events.wait(after))
        done, _ = await asyncio.wait([waiting], timeout=min(max(timeout, 0.0), LONGEST_POLL))
        waiting.cancel()
        return as_json({"events": waiting.result() if done else []})

    @app.post("/control")
    async def control(body: Control) -> Response:
        """Stop, set the learning rate, release an epoch's reports."""
        await run(state.control, body.stop, body.learning_rate, body.release_epoch)
        return as_json({})

    app.exception_handler(ElephasError)(_json_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_no_route)
    return app


async def _json_error(request: Request, error: Exception) -> Response:
    status, body = error_body(error)
    return Response(body, status, media_type="application/json")


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return await _json_error(request, Refused(f"{request.url.path} can't take that: {found}"))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.url.path}: {error.detail}"
    return await _json_error(request, Refused(reason, error.status_code))
