"""A fit on persisted pairs once more: what keeping tensors on the executor saves."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import frames, routes, workload
from benchmarks.groups import Column, Goal, Group, Measure, in_turn

NOT_KEPT, FIRST, SECOND = "nothing kept", "first fit: written", "second fit: read"


def suite(arguments: Any) -> list[Group]:
    """Seconds of a fit of one epoch, synchronous."""
    columns = (Column("whole fit s", "whole", ".2f"),)
    goals = [Goal(SECOND, NOT_KEPT, "whole", least=1.0)]
    with frames.session({}) as spark:
        pairs, _ = routes.rdds(spark, arguments.rows)
        measures = of(pairs)
        title = "fit of an epoch, persisted pairs"
        return [in_turn(title, NOT_KEPT, measures, arguments.rounds, columns=columns, goals=goals)]


def of(pairs: Any) -> dict[str, Measure]:
    """Fits on a persisted RDD: as if it weren't; as if it had just been; and the one after that."""
    from elephas_torch import SparkModel

    model = SparkModel(workload.facade(), mode="synchronous", num_workers=frames.PARTITIONS)

    def fit() -> dict[str, float]:
        began = time.perf_counter()
        model.fit(pairs, epochs=1, verbose=0)
        return {"whole": time.perf_counter() - began}

    def not_kept() -> dict[str, float]:
        pairs.is_cached, before = False, pairs.is_cached
        try:
            return fit()
        finally:
            pairs.is_cached = before

    def first() -> dict[str, float]:
        pairs.is_cached = True
        return fit()

    return {NOT_KEPT: not_kept, FIRST: first, SECOND: fit}
