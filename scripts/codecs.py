"""What each codec of updates costs: bytes and CPU time per million parameters, as a table.

    python scripts/codecs.py [elements]

A worker adds what it kept, encodes, takes off what was sent, and takes the answer into its weights.
The server decodes an update, and writes an answer. Both are medians of CPU time, one thread.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, Settings
from elephas_torch.parameter.codec import Spec
from elephas_torch.parameter.packing import Packer, told
from elephas_torch.parameter.receiving import Buffers
from elephas_torch.parameter.state import State

SPECS: list[Spec] = ["bf16", "int8", ("topk", 0.01), ("topk", 0.001)]
RUNS = 25


def timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.thread_time()
    result = function()
    return 1e3 * (time.thread_time() - start), result


def measured(spec: Spec, spans: list[tuple[int, int, int]], n: int, rows: int) -> list[float]:
    """Bytes of a push and of its answer, and milliseconds: the worker's and the server's."""
    first = Vectors(torch.randn(n), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.01))
    settings = Settings(
        "asynchronous", first.sizes, rule, compression=spec, embeddings=spans, lease=1e9
    )
    state = State(settings, first)
    state.join(0, 0, 1, {})
    assert told(settings)
    packer, layout = Packer(first.sizes, settings.compression, spans), state.layout
    buffers, into = Buffers(layout), first.clone()
    packer.asked = True
    packer.took(into.parameters, 0)
    state.pull_by(0, 0)
    found: list[list[float]] = []
    for seq in range(RUNS):
        update = first._replace(parameters=torch.zeros(n))
        update.parameters[: n if not spans else rows * spans[0][2]].normal_()
        push = Push(0, 0, seq, seq, 1, 0, False)
        worker, pieces = timed(lambda push=push, update=update: packer.pieces(push, update))
        data = b"".join(pieces)  # type: ignore[arg-type]
        body = buffers.take(len(data))
        body.buffer[:] = data
        server, sent = timed(lambda body=body: layout.unpack(body.buffer, body.vectors))
        header, has = sent  # type: ignore[misc]
        answer = state.push(header, body.vectors).result(0)
        more, message = timed(
            lambda header=header, has=has, answer=answer: state.answered(header, has, answer)
        )
        buffers.free(body)
        if message.form:  # type: ignore[attr-defined]
            packer.payload()[:] = message.pieces[-1]  # type: ignore[attr-defined]
            version = message.reply.version  # type: ignore[attr-defined]
            again, _ = timed(lambda version=version: packer.unpack(into.parameters, version))
        else:
            again = 0.0
        found.append([len(data), message.length, worker + again, server + more])  # type: ignore[attr-defined]
    return [statistics.median(column) for column in zip(*found, strict=True)]


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{n:,} parameters. Push and answer in bytes, worker and server in ms of CPU time.\n")
    print("| codec | push | answer | worker | server |\n| --- | --- | --- | --- | --- |")
    table = (n // 50, 50)
    cases = [(spec, []) for spec in SPECS]
    cases += [(spec, [(0, *table)]) for spec in (None, "bf16", "int8")]
    for spec, spans in cases:
        push, answer, worker, server = measured(spec, spans, n, rows := 500)
        name = str(spec) + (f", {rows} of {table[0]:,} rows of 50" if spans else "")
        print(f"| {name} | {push:,.0f} | {answer:,.0f} | {worker:.2f} | {server:.2f} |")


if __name__ == "__main__":
    main()
