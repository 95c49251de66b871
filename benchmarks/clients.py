"""What an update costs the server as workers grow from 1 to 64: simulated ones, in threads."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import exchange
from benchmarks.groups import Column, Goal, Group, in_turn
from elephas_torch import optimizers
from elephas_torch.parameter import Client, Push, ServerProcess, Settings

COUNTS = (1, 2, 4, 8, 16, 32, 64)
MODES = ("asynchronous", "synchronous", "hogwild")
FLOATS = 100_000
#: Updates that are made in a measurement, by all clients together.
UPDATES = 1280
COLUMNS = (
    Column("CPU ms an update", "ms", ".3f"),
    Column("updates/s", "rate"),
)
#: How much an update may cost more than with one client.
FLAT = 1.2


def suite(
    arguments: Any, counts: tuple[int, ...] = COUNTS, updates: int = UPDATES
) -> Iterator[Group]:
    """A group a mode and way to the server: the CPU time of an update, by number of clients."""
    first, *more = (name_of(count) for count in counts)
    for mode in MODES:
        for path in exchange.PATHS:
            with _crowds(mode, counts, path) as crowds:
                measures = {
                    name_of(one.size): functools.partial(one.updated, updates) for one in crowds
                }
                goals = [Goal(name, first, "cpu", most=FLAT) for name in more]
                title = f"{mode}, 0.4 MB, {path}"
                yield in_turn(
                    title, first, measures, arguments.rounds, columns=COLUMNS, goals=goals
                )


def name_of(clients: int) -> str:
    """How a row is called."""
    return f"{clients} client{'s' if clients > 1 else ''}"


class Crowd:
    """A server, and clients that push to it from threads of this process.

    Args:
        path: one of `exchange.PATHS`.
    """

    def __init__(self, server: ServerProcess, size: int, path: str) -> None:
        self.size, self._seq = size, 0
        self._status = server.client()
        self._clients = [Client(server.url, server.token) for _ in range(size)]
        self._vectors = [(exchange.vectors(FLOATS), exchange.vectors(FLOATS)) for _ in range(size)]
        self._links = []
        for worker, client in enumerate(self._clients):
            client.join(worker, 0, samples=1)
            self._links.append(exchange.linked(client, path, worker, FLOATS))

    def updated(self, updates: int) -> dict[str, float]:
        """The server's CPU seconds for each of so many updates, from its own status."""
        each = max(updates // self.size, 2)
        with ThreadPoolExecutor(self.size) as threads:
            before, began = self._status.status()["cpu_seconds"], time.perf_counter()
            list(threads.map(functools.partial(self._push, each), range(self.size)))
            seconds = time.perf_counter() - began
            cpu = self._status.status()["cpu_seconds"] - before
        self._seq += each
        made = each * self.size
        return {"ms": 1000 * cpu / made, "cpu": cpu / made, "rate": made / seconds}

    def close(self) -> None:
        """Closes all connections."""
        for client in (self._status, *self._clients):
            client.close()

    def _push(self, count: int, worker: int) -> None:
        link, (update, into) = self._links[worker], self._vectors[worker]
        update = link.update or update
        version = link.pull(into)
        for seq in range(self._seq, self._seq + count):
            push = Push(worker, 0, seq, version, samples=1, epoch=0, last=False)
            version = link.exchange(push, update, into).version


@contextlib.contextmanager
def _crowds(mode: str, counts: tuple[int, ...], path: str) -> Iterator[list[Crowd]]:
    """One a count, each with a server of its own; the servers start at once."""
    initial = exchange.vectors(FLOATS)
    rule = optimizers.serialize(optimizers.SGD(0.1))
    with contextlib.ExitStack() as stack:
        servers = []
        for count in counts:
            # No lease: clients that aren't measured now have nothing to say.
            settings = Settings(mode, initial.sizes, rule, workers=count, lease=3600.0)
            server = ServerProcess(settings, initial)
            stack.callback(server.stop)
            servers.append(server.start())
        crowds = [
            Crowd(server.wait_ready(), count, path)
            for server, count in zip(servers, counts, strict=True)
        ]
        for crowd in crowds:
            stack.callback(crowd.close)
        yield crowds
