"""What an update costs one server by its size, and how many workers that is enough for.

The costs are measured, the numbers of workers computed from them: an estimate for clusters that
nobody has here.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import exchange
from benchmarks.groups import Column, Group, Measure, in_turn
from elephas_torch.parameter import Client, Push

MEGABYTES = (0.4, 4.0, 40.0)
#: How parameters travel, by name.
WAYS: dict[str, Any] = {"float32": None, "bf16": "bf16", "int8": "int8", "topk": "topk"}
#: Bytes that all updates of a measurement have, at least 8 of them.
BYTES = 60e6
#: Of the network beside the server, each way: 10 Gbit/s.
NETWORK = 1.25e9
#: A worker's milliseconds between two updates: a small step; a large one, or ten small ones; an
#: epoch of a thousand small ones.
BETWEEN = (1.0, 10.0, 1000.0)
COLUMNS = (
    Column("server CPU ms", "ms", ".2f"),
    Column("MB on the wire", "megabytes", ".3f"),
    Column("updates/s by CPU", "cpu_rate"),
    Column("by 10 Gbit/s", "network_rate"),
    *(Column(f"workers, {ms:,g} ms", f"workers_{ms:g}") for ms in BETWEEN),
)


def suite(arguments: Any, sizes: tuple[float, ...] = MEGABYTES) -> Iterator[Group]:
    """A group a size: what an update costs, plain and compressed."""
    for megabytes in sizes:
        with contextlib.ExitStack() as stack:
            measures = {
                name: stack.enter_context(_way(megabytes, spec)) for name, spec in WAYS.items()
            }
            title = f"one server, {megabytes:g} MB, HTTP"
            yield in_turn(title, "float32", measures, arguments.rounds, columns=COLUMNS)


@contextlib.contextmanager
def _way(megabytes: float, compression: Any) -> Iterator[Measure]:
    floats = int(megabytes * 250_000)
    with (
        exchange.server_of(floats, compression) as server,
        Client(server.url, server.token, timeout=60) as client,
        Client(server.url, server.token, timeout=60) as asking,
    ):
        client.join(0, 0, samples=1)
        update, into = exchange.vectors(floats), exchange.vectors(floats)
        update.parameters.normal_(generator=torch.Generator().manual_seed(0))
        seqs = iter(range(10**9))
        yield functools.partial(_cost, client, asking, update, into, seqs, megabytes)


def _cost(
    client: Client, asking: Client, update: Any, into: Any, seqs: Iterator[int], megabytes: float
) -> dict[str, float]:
    count = max(8, int(BYTES / megabytes / 1e6))
    version = client.pull(into)
    before = asking.status()
    for _ in range(count):
        push = Push(0, 0, next(seqs), version, samples=1, epoch=0, last=False)
        version = client.exchange(push, update, into).version
    after = asking.status()
    cpu = (after["cpu_seconds"] - before["cpu_seconds"]) / count
    wire = max(after["bytes"][way] - before["bytes"][way] for way in ("received", "sent")) / count
    return estimated(cpu, wire)


def estimated(cpu: float, wire: float) -> dict[str, float]:
    """How many updates a second one server takes, and workers that push so often.

    Args:
        cpu: its CPU seconds for an update: updates are applied one after the other.
        wire: bytes of an update, or of its answer: what travels the longer way.
    """
    by_cpu, by_network = 1 / cpu, NETWORK / wire
    least = min(by_cpu, by_network)
    workers = {f"workers_{ms:g}": least * ms / 1000 for ms in BETWEEN}
    figures = {"ms": 1000 * cpu, "megabytes": wire / 1e6}
    return {**figures, "cpu_rate": by_cpu, "network_rate": by_network, **workers}
