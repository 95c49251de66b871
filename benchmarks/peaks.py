"""What a Python worker's memory grows by while it loads a partition, beside its tensors."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import frames, routes, workload

#: A worker's budget in the streamed measurements, and rows in a batch.
BUDGET, BATCH = 16 << 20, 32
STREAMED = ", streamed"


@dataclass(frozen=True)
class Weigh:
    """A task that loads its partition, goes through it once, and tells what that took.

    Attributes:
        reader: how rows are read.
        memory: bytes that they may take; None: see `elephas_torch.memory.Budget`.
    """

    reader: Any
    memory: int | None = None

    def __call__(self, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
        from elephas_torch import store

        torch.set_num_threads(1)
        _warm_up()
        start = reset()
        loaded = store.load(workload.facade(), self.reader, rows, self.memory)
        assert loaded is not None
        for batch in loaded.epoch(BATCH, shuffle=True, key=(0, partition, 0)):
            assert len(batch)
        size = len(loaded) * (frames.WIDTH + 10) * 4
        yield {"rows": len(loaded), "bytes": size, "peak": grown(start)}


def _warm_up() -> None:
    """What the first rows bring with them, whatever their number, is no part of the rows."""
    import pyarrow as pa

    from elephas_torch import data, store

    features, labels = workload.rows(64)
    store.load(workload.facade(), data.Pairs(), zip(features, labels, strict=True))
    torch.from_dlpack(pa.array(features[0]))


def reset() -> int:
    """Lets the peak begin anew; returns the bytes that the process takes now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _kib("VmRSS") * 1024


def grown(start: int) -> int:
    """The peak since `reset`, over what there was then."""
    return _kib("VmHWM") * 1024 - start


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def all_of(rows: int) -> dict[str, dict[str, float]]:
    """Of each route the largest "peak" of a worker over its start, with its tensors' "bytes"."""
    from elephas_torch import sources

    found = {}
    # A fresh worker for each task: one that was there before has room from before.
    with frames.tables(rows, {"spark.python.worker.reuse": "false"}) as tables:
        pairs, simple = routes.rdds(tables.spark, rows)
        several = {
            "pairs": sources.of_rdd(pairs, None),
            "to_simple_rdd": sources.of_rdd(simple, None),
            **{kind: routes.source(tables.persisted(kind), kind) for kind in ("array", "vector")},
        }
        for name, source in several.items():
            found[name] = _largest(source, None)
            found[name + STREAMED] = _largest(source, BUDGET)
    return found


def _largest(source: Any, memory: int | None) -> dict[str, float]:
    taken = source.results(Weigh(source.reader, memory))
    return max(taken, key=lambda one: one["peak"] / one["bytes"])
