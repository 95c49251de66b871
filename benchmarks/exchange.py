"""Pulls, and pushes with pulls, through the parameter server, against raw TCP and memcpy."""

from __future__ import annotations

import contextlib
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks import rawtcp
from benchmarks.groups import Column, Goal, Group, Measure, in_turn
from benchmarks.peers import Failed
from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push, ServerProcess, Settings

MEGABYTES = (0.4, 4.0, 40.0)
#: The way to the server that goes anywhere, and that of processes of one machine.
HTTP, SAME_HOST = "HTTP", "shared memory"
PATHS = (HTTP, SAME_HOST)
#: HTTP with TLS, on a server of its own.
HTTPS = "HTTPS"
TCP, MEMCPY = "raw TCP", "memcpy"
#: Seconds that a measurement goes on for.
SECONDS = 0.3
COLUMNS = (
    Column("a second", "rate"),
    Column("ms", "ms", ",.3f"),
    Column("GB/s", "gigabytes", ".2f"),
)
GOALS = {
    "pull": [Goal(HTTP, TCP, least=0.7)],
    "push and pull": [Goal(HTTP, TCP, least=0.5), Goal(SAME_HOST, MEMCPY, least=0.7)],
}


def suite(arguments: Any, sizes: tuple[float, ...] = MEGABYTES) -> Iterator[Group]:
    """Two groups a size: pulls alone, and pushes with pulls."""
    for megabytes in sizes:
        with ways(megabytes) as found:
            for what, measures in found.items():
                title = f"{what}, {megabytes:g} MB"
                goals = GOALS[what] if megabytes == max(MEGABYTES) else []
                yield in_turn(title, TCP, measures, arguments.rounds, columns=COLUMNS, goals=goals)


@contextlib.contextmanager
def ways(megabytes: float) -> Iterator[dict[str, dict[str, Measure]]]:
    """All measurements of a size, with the servers that they need."""
    floats = int(megabytes * 250_000)
    with contextlib.ExitStack() as stack:
        pull_tcp, exchange_tcp = stack.enter_context(rawtcp.calls(floats * 4))
        source, target = np.zeros(floats, np.float32), np.zeros(floats, np.float32)
        pulls = {TCP: pull_tcp, MEMCPY: functools.partial(_copy, source, target, 1)}
        both = {TCP: exchange_tcp, MEMCPY: functools.partial(_copy, source, target, 2)}
        server = stack.enter_context(server_of(floats))
        for worker, path in enumerate(PATHS):
            client = stack.enter_context(Client(server.url, server.token))
            client.join(worker, 0, samples=1)
            pulls[path], both[path] = _calls(linked(client, path, worker, floats), worker, floats)
        secured = stack.enter_context(server_of(floats, ssl=True))
        client = stack.enter_context(
            Client(secured.url, secured.token, ssl_certificate=secured.certificate)
        )
        client.join(0, 0, samples=1)
        pulls[HTTPS], both[HTTPS] = _calls(client, 0, floats)
        several: dict[str, tuple[dict[str, Any], int]] = {
            "pull": (pulls, 1),
            "push and pull": (both, 2),
        }
        yield {
            what: {
                name: functools.partial(repeated, call, ways * floats * 4)
                for name, call in calls.items()
            }
            for what, (calls, ways) in several.items()
        }


def repeated(call: Callable[[], Any], size: int) -> dict[str, float]:
    """The median of as many calls as there is time for, at least 5.

    Args:
        size: bytes that a call moves.
    """
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(taken) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    one = statistics.median(taken)
    return {"rate": 1 / one, "ms": 1000 * one, "gigabytes": size / one / 1e9}


def vectors(floats: int) -> Vectors:
    """Parameters, and nothing else."""
    return Vectors(torch.zeros(floats), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def server_of(floats: int, compression: Any = None, ssl: bool = False) -> ServerProcess:
    """A server of so many parameters, to be started."""
    initial = vectors(floats)
    rule = optimizers.serialize(optimizers.SGD(0.1))
    settings = Settings("asynchronous", initial.sizes, rule, compression=compression)
    return ServerProcess(settings, initial, ssl=ssl)


def linked(client: Client, path: str, worker: int, floats: int) -> Any:
    """What exchanges by one of `PATHS`, for a worker that has joined.

    Raises:
        Failed: this machine has no shared memory.
    """
    if path == HTTP:
        return client
    link = client.share(worker, 0, vectors(floats).sizes)
    if link is None:
        raise Failed("the server's memory can't be shared here")
    return link


def _calls(link: Any, worker: int, floats: int) -> tuple[Callable[[], Any], ...]:
    """A pull, and a push with a pull: one after the other, as a worker makes them."""
    update, into = link.update or vectors(floats), vectors(floats)
    seq, version = itertools.count(), [link.pull(into)]

    def exchange() -> None:
        push = Push(worker, 0, next(seq), version[0], samples=1, epoch=0, last=False)
        # As a worker does with large vectors: what needn't be copied isn't.
        version[0] = link.borrow(push, update, into)[0].version

    return functools.partial(link.pull, into), exchange


def _copy(source: np.ndarray, target: np.ndarray, times: int) -> None:
    for _ in range(times):
        np.copyto(target, source)
