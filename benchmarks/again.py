"""Persisted pairs once more: what keeping their tensors on the executor saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import frames, routes, workload
from benchmarks.groups import Column, Goal, Group, Measure, in_turn

NOT_KEPT, FIRST, SECOND = "nothing kept", "first time: written", "second time: read"
WHOLE = Column("whole s", "whole", ".2f")
CPU = Column("a worker's CPU s", "cpu", ".2f")


@dataclass(frozen=True)
class Load:
    """A task that loads its partition as a fit does, and yields the processor's time for it."""

    source: Any

    def __call__(self, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, float]]:
        import torch

        from elephas_torch import keeping, store

        torch.set_num_threads(1)
        model, reader = workload.facade(), self.source.reader
        kept = keeping.of(self.source.keep, partition, model, reader)
        began = time.process_time()
        loaded = store.load(model, reader, rows, None, kept)
        yield {"cpu": time.process_time() - began, "rows": 0 if loaded is None else len(loaded)}

    def __getstate__(self) -> dict[str, Any]:
        from dataclasses import replace

        return {"source": replace(self.source, rdd=None)}


def suite(arguments: Any) -> Iterator[Group]:
    """Loading alone, and a synchronous fit of one epoch."""
    from elephas_torch import SparkModel, sources

    model = SparkModel(workload.facade(), mode="synchronous", num_workers=frames.PARTITIONS)

    def load(pairs: Any) -> float:
        source = sources.of_rdd(pairs, frames.PARTITIONS)
        return max(one["cpu"] for one in source.results(Load(source)))

    def fit(pairs: Any) -> None:
        model.fit(pairs, epochs=1, verbose=0)

    with frames.session({}) as spark:
        pairs, _ = routes.rdds(spark, arguments.rows)
        for title, do, columns in (("loading", load, (WHOLE, CPU)), ("fit", fit, (WHOLE,))):
            goal = Goal(SECOND, NOT_KEPT, "whole", least=1.0)
            yield in_turn(
                f"{title}, persisted pairs", NOT_KEPT, of(pairs, do), arguments.rounds,
                columns=columns, goals=[goal],
            )  # fmt: skip


def of(pairs: Any, do: Callable[[Any], float | None]) -> dict[str, Measure]:
    """A persisted RDD: as if it weren't; as if it had just been; and the time after that."""

    def timed() -> dict[str, float]:
        began = time.perf_counter()
        cpu = do(pairs)
        found = {"whole": time.perf_counter() - began}
        return found if cpu is None else {**found, "cpu": cpu}

    def not_kept() -> dict[str, float]:
        pairs.is_cached, before = False, pairs.is_cached
        try:
            return timed()
        finally:
            pairs.is_cached = before

    def first() -> dict[str, float]:
        pairs.is_cached = True
        return timed()

    return {NOT_KEPT: not_kept, FIRST: first, SECOND: timed}
