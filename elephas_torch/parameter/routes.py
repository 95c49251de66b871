"""The parameter server's control routes: what travels as JSON. Nothing but translation."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi import Response as FastResponse
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.exceptions import HTTPException

from elephas_torch.errors import ElephasError, Fenced, Refused, Restarted, WaitTimeout
from elephas_torch.parameter import packing, wire
from elephas_torch.parameter.metrics import exposition
from elephas_torch.parameter.state import State
from elephas_torch.parameter.watching import Watching

LONGEST_POLL = 60.0
#: Of what is kept: pushes have numbers of that size, and so has shared memory.
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(max_length=wire.NAME_LENGTH)]

T = TypeVar("T")


class Server(Protocol):
    """Whose routes they are."""

    state: State
    watching: Watching

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls what may take long with large vectors."""
        ...


class Join(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: Whole
    samples: Whole
    info: dict[str, Any] = Field(default_factory=dict)


class Share(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: Whole
    machine: str


class Progress(BaseModel):
    """Where a worker is: small and flat, as everybody who looks at the server gets it."""

    model_config = ConfigDict(extra="forbid")
    phase: Literal["training", "validating"] = "training"
    epoch: Count = 0
    batch: Count = 0
    rows: Count = 0
    logs: dict[Name, FiniteFloat] = Field(default_factory=dict, max_length=wire.LOGS)


class Beat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: Whole
    progress: Progress | None = None


class Loading(BaseModel):
    model_config = ConfigDict(extra="forbid")
    attempt: Whole
    rows: Count
    bytes: Count


class Event(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str = Field(pattern="^(report|failure)$")
    worker: Whole
    attempt: Whole
    epoch: Whole = -1
    data: dict[str, Any]


class Control(BaseModel):
    model_config = ConfigDict(extra="forbid")
    stop: bool | None = None
    learning_rate: float | None = None
    release_epoch: Whole | None = None
    finalize: bool = False


class Epoch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epoch: Whole
    time: float | None = None
    rate: float | None = None
    logs: dict[str, Any]


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")
    about: dict[str, Any] | None = None
    state: str | None = Field(None, pattern="^(starting|running|stopping|finished|stopped|failed)$")
    epochs: list[Epoch] = Field(default_factory=list)


def error_body(error: BaseException) -> tuple[int, bytes]:
    """Returns the status code and the JSON that stand for an exception."""
    if isinstance(error, Refused):
        kinds = {Fenced: "fenced", Restarted: "restarted"}
        kind, status = kinds.get(type(error), "refused"), error.status
    elif isinstance(error, WaitTimeout):
        kind, status = "timeout", 504
    else:
        kind, status = "server", 500
    reason = str(error) if isinstance(error, ElephasError) else f"{type(error).__name__}: {error}"
    return status, wire.dumps({"error": kind, "reason": reason})


def as_json(data: Any) -> FastResponse:
    return FastResponse(wire.dumps(data), media_type="application/json")


def as_bytes(data: bytes) -> FastResponse:
    return FastResponse(data, media_type="application/octet-stream")


def control_app(server: Server) -> FastAPI:
    """Returns the FastAPI application with the control routes."""
    # FastAPI keeps these functions for good, and so whatever they close over: not the state.
    run = server.run
    app = FastAPI(title="elephas_torch parameter server", version=str(wire.PROTOCOL))

    @app.get("/health")
    async def health() -> FastResponse:
        """Name, protocol version, state; needs no token."""
        return as_json({"name": wire.NAME, "protocol": wire.PROTOCOL, "state": "ready"})

    @app.get("/status")
    async def status() -> FastResponse:
        """What is going on, for the driver."""
        return as_json(
            {**server.state.status(), "cpu_seconds": time.process_time(), "pid": os.getpid()}
        )

    @app.get("/metrics")
    async def metrics() -> FastResponse:
        """The same as Prometheus text."""
        text = exposition(server.state.status(), time.process_time())
        return FastResponse(text, media_type="text/plain; version=0.0.4")

    @app.post("/workers/{worker}")
    async def join(worker: Whole, body: Join) -> FastResponse:
        """A worker, or a newer attempt of one, joins."""
        state = server.state
        joined = await run(state.join, worker, body.attempt, body.samples, body.info)
        told = packing.told(state.settings)
        return as_json({**joined._asdict(), **({"packing": told} if told else {})})

    @app.delete("/workers/{worker}")
    async def leave(worker: Whole, attempt: Whole) -> FastResponse:
        """A worker is done."""
        await run(server.state.leave, worker, attempt)
        return as_json({})

    @app.post("/workers/{worker}/memory")
    async def share(worker: Whole, body: Share) -> FastResponse:
        """Where a worker of this machine finds memory for its updates, if there is any."""
        return as_json(await run(server.state.share, worker, body.attempt, body.machine))

    @app.post("/workers/{worker}/beat")
    async def beat(worker: Whole, body: Beat) -> FastResponse:
        """Renews a worker's lease."""
        told = None if body.progress is None else body.progress.model_dump(exclude_unset=True)
        return as_json(server.state.beat(worker, body.attempt, told)._asdict())

    @app.post("/workers/{worker}/loading")
    async def loading(worker: Whole, body: Loading) -> FastResponse:
        """A worker that hasn't joined yet tells how many of its rows are tensors."""
        server.state.loading(worker, body.attempt, body.rows, body.bytes)
        return as_json({})

    @app.put("/workers/{worker}/kept")
    async def keep(worker: Whole, attempt: Whole, epoch: Whole, request: Request) -> FastResponse:
        """What a worker wants back if it, or this server, has to begin anew."""
        data = await request.body()
        return as_json({"kept": server.state.keep(worker, attempt, epoch, data)})

    @app.get("/workers/{worker}/kept")
    async def kept(worker: Whole, attempt: Whole) -> FastResponse:
        """The same back: the epoch, 8 bytes, little-endian, signed; and the data."""
        epoch, data = server.state.kept(worker, attempt)
        return as_bytes(wire.EPOCH.pack(epoch) + data)

    @app.get("/checkpoint")
    async def checkpoint(fresh: bool = False) -> FastResponse:
        """The last snapshot of the end of an epoch, or one of now; nothing where there is none."""
        state = server.state
        found = await asyncio.to_thread(state.snapshot) if fresh else state.milestone
        return as_bytes(b"" if found is None else await asyncio.to_thread(found.packed))

    @app.post("/events")
    async def event(body: Event) -> FastResponse:
        """A worker's report on an epoch, or its error."""
        if body.kind == "failure":
            await run(server.state.fail, body.worker, body.attempt, body.data)
            return as_json({})
        # The last one's may make a snapshot, as long as the vectors take to be copied.
        future = await run(server.state.report, body.worker, body.attempt, body.epoch, body.data)
        return as_json((await asyncio.wrap_future(future))._asdict())

    @app.get("/events")
    async def events(
        after: Whole = 0, timeout: Annotated[float, Query(allow_inf_nan=False)] = 0.0
    ) -> FastResponse:
        """Events with larger numbers; waits for one, up to 60 s."""
        waiting = asyncio.wrap_future(server.state.events.wait(after))
        done, _ = await asyncio.wait([waiting], timeout=min(max(timeout, 0.0), LONGEST_POLL))
        waiting.cancel()
        return as_json({"events": waiting.result() if done else []})

    @app.post("/control")
    async def control(body: Control) -> FastResponse:
        """Stop, set the learning rate, release an epoch's reports, finalize the weights."""
        await run(
            server.state.control,
            body.stop,
            body.learning_rate,
            body.release_epoch,
            body.finalize,
        )
        return as_json({})

    @app.post("/story")
    async def tell(body: Told) -> FastResponse:
        """What the driver tells those who look on."""
        state, story = server.state, server.state.story
        epochs = [one.model_dump() for one in body.epochs]
        for one in epochs:  # where a schedule decides, the server alone knows
            if one["rate"] is None and state.settings.server_rate:
                one["rate"] = state.weights.optimizer.learning_rate
        story.tell(body.about, body.state, epochs)
        if story.over:
            story.tick(state)
            await server.watching.farewell()
        return as_json({"watchers": server.watching.watchers})

    @app.get("/story")
    async def story() -> FastResponse:
        """All that was told of the run, and seen."""
        return as_json(server.state.story.whole(server.state))

    app.exception_handler(ElephasError)(_json_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_no_route)
    return app


async def _json_error(request: Request, error: Exception) -> FastResponse:
    status, body = error_body(error)
    return FastResponse(body, status, media_type="application/json")


async def _invalid(request: Request, error: Exception) -> FastResponse:
    assert isinstance(error, RequestValidationError)
    found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return await _json_error(request, Refused(f"{request.url.path} can't take that: {found}"))


async def _no_route(request: Request, error: Exception) -> FastResponse:
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.url.path}: {error.detail}"
    return await _json_error(request, Refused(reason, error.status_code))
