"""The client's twin that needs no server: straight on a `State` in this process."""

from __future__ import annotations

import time
from concurrent.futures import Future, TimeoutError
from typing import Any, TypeVar

from elephas_torch.errors import WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import packing, wire
from elephas_torch.parameter.client import described
from elephas_torch.parameter.mirrors import Outgoing, plain
from elephas_torch.parameter.receiving import Buffers
from elephas_torch.parameter.state import State
from elephas_torch.parameter.wire import Joined, Push, Reply

T = TypeVar("T")


class InMemoryClient:
    """The same methods as `Client`, straight on a `State` in this process. For tests, and for
    several training threads in one process.

    Args:
        state: shared by all the clients.
        timeout: seconds that a call waits at most.
    """

    def __init__(self, state: State, *, timeout: float = 630.0) -> None:
        self.state, self.timeout = state, timeout
        self._packer: packing.Packer | None = None
        self._me = (0, 0)

    def health(self) -> dict[str, Any]:
        return {"name": wire.NAME, "protocol": wire.PROTOCOL, "state": "ready"}

    def join(
        self, worker: int, attempt: int, *, samples: int, info: dict[str, Any] | None = None
    ) -> Joined:
        joined = self.state.join(worker, attempt, samples, described(info))
        self._packer = packing.packer(packing.told(self.state.settings))
        self._me = (worker, attempt)
        return joined

    def pull(self, into: Vectors, version: int = -1) -> int:
        wire.check_vectors(into, self.state.settings.sizes, "into")
        if self.state.weights.version == version:
            return version
        if self._packer is None:
            return self._took(plain(self.state.pull()), into).version
        self._packer.asked = True
        return self._took(self.state.pull_by(*self._me), into).version

    def exchange(self, push: Push, update: Vectors, into: Vectors, *, whole: bool = False) -> Reply:
        wire.check_vectors(update, None, "update")
        wire.check_vectors(into, update.sizes, "into")
        layout = self.state.layout
        data = b"".join(packing.pieces(self._packer, push, update, whole))
        layout.check_length(len(data))
        body = Buffers(layout).take(len(data))
        body.buffer[:] = data
        sent, has = layout.unpack(body.buffer, body.vectors)
        self.state.count_bytes(received=len(data))
        answer = self._wait(self.state.push(sent, body.vectors))
        return self._took(self.state.answered(sent, has, answer), into)

    def put(self, push: Push, vectors: Vectors) -> Reply:
        wire.check_vectors(vectors, self.state.settings.sizes, "vectors")
        return self.state.put(push, vectors)

    def beat(self, worker: int, attempt: int, progress: dict[str, Any] | None = None) -> Reply:
        return self.state.beat(worker, attempt, progress)

    def loading(self, worker: int, attempt: int, *, rows: int, size: int) -> None:
        self.state.loading(worker, attempt, rows, size)

    def report(self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]) -> Reply:
        return self._wait(self.state.report(worker, attempt, epoch, summary))

    def fail(self, worker: int, attempt: int, error: dict[str, Any]) -> None:
        self.state.fail(worker, attempt, error)

    def leave(self, worker: int, attempt: int) -> None:
        self.state.leave(worker, attempt)
        self._packer = None

    def status(self) -> dict[str, Any]:
        return self.state.status()

    def events(self, after: int = 0, timeout: float = 0.0) -> list[dict[str, Any]]:
        try:
            return self._wait(self.state.events.wait(after), timeout)
        except WaitTimeout:
            return []

    def control(
        self,
        *,
        stop: bool | None = None,
        learning_rate: float | None = None,
        release_epoch: int | None = None,
        finalize: bool = False,
    ) -> None:
        self.state.control(stop, learning_rate, release_epoch, finalize)

    def close(self) -> None:
        """Does nothing: there is no connection."""

    def _took(self, message: Outgoing, into: Vectors) -> Reply:
        """What `Client` does with the same answer."""
        self.state.count_bytes(sent=message.length)
        data, targets = memoryview(b"".join(message.pieces)), wire.buffers(into)
        if message.form and self._packer is not None:
            rest = into._replace(parameters=into.parameters[:0])
            targets = [*wire.buffers(rest), self._packer.payload()]
        for target in targets:
            target[:], data = data[: len(target)], data[len(target) :]
        if message.form and self._packer is not None:
            self._packer.unpack(into.parameters, message.reply.version)
        elif self._packer is not None:
            self._packer.took(into.parameters, message.reply.version)
        return message.reply

    def _wait(self, future: Future[T], timeout: float | None = None) -> T:
        limit = self.timeout if timeout is None else timeout
        end = time.monotonic() + limit
        while True:
            try:
                return future.result(max(0.0, min(0.02, end - time.monotonic())))
            except (TimeoutError, WaitTimeout):
                if future.done():
                    return future.result()
                self.state.tick()
                if time.monotonic() >= end:
                    raise WaitTimeout(f"Waited {limit:g} s for the answer.") from None
