"""Seconds a row, and a worker's memory, as data grow from ten thousand rows to a million."""

from __future__ import annotations

import functools
import time
from typing import Any

from benchmarks import frames, networks, probe, workload
from benchmarks.groups import Column, Goal, Group, in_turn

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
COLUMNS = (
    Column("rows/s", "rate"),
    Column("µs a row", "row", ".2f", 1e6),
    Column("loading", "load", ".2f", 1e6),
    Column("epoch", "epoch", ".2f", 1e6),
    Column("whole fit", "fit", ".2f", 1e6),
    Column("memory / tensors", "memory", ".2f"),
)
FLAT, MEMORY = 1.2, 2.5
#: A row against which memory is held: its tensors' own size.
TENSORS = "its tensors"
#: Rows of the fit that says what a worker takes whatever its rows are.
FEW = 256


def suite(arguments: Any, sizes: tuple[int, ...] = SIZES) -> list[Group]:
    """One group: a fit of one epoch for each number of rows, from Parquet files."""
    counts = [count for count in sizes if count <= arguments.largest]
    # Fresh workers: one that was there before has room from before.
    settings = {"spark.python.worker.reuse": "false"}
    with frames.tables(0, settings) as tables:
        fixed = max(_peaks(fitted(tables.of(FEW))[0]))
        measures = {
            f"{count:,} rows": functools.partial(fit, tables.of(count), count, fixed)
            for count in counts
        }
        first, *more = measures
        group = in_turn("1 epoch", first, measures, arguments.rounds, columns=COLUMNS)
    group.rounds[TENSORS] = [{"memory": 1.0}] * arguments.rounds
    group.goals = [Goal(name, first, "row", most=FLAT) for name in more]
    group.goals += [Goal(name, TENSORS, "memory", most=MEMORY) for name in measures]
    group.notes = [f"{fixed / 2**20:.0f} MiB, a worker's of {FEW} rows, are taken off the memory"]
    return [group]


def fit(tables: frames.Tables, rows: int, fixed: int) -> dict[str, float]:
    """One epoch: the slowest worker's seconds a row (of its own), and the largest peak.

    Args:
        fixed: bytes of a worker that don't come from its rows.
    """
    workers, whole = fitted(tables)
    load, epoch = _slowest(workers, "data"), _slowest(workers, "epoch")
    size = (networks.NETWORKS["MLP"].shape[0] + networks.CLASSES) * 4
    grown = max(
        (peak - fixed) / one["rows"] for peak, one in zip(_peaks(workers), workers, strict=True)
    )
    row = load + epoch
    return {
        "rate": len(workers) / row, "row": row, "load": load, "epoch": epoch,
        "fit": whole / rows, "memory": grown / size,
    }  # fmt: skip


def fitted(tables: frames.Tables) -> tuple[list[dict[str, Any]], float]:
    """What the workers of a fit saw, and the seconds that it took."""
    from elephas_torch import SparkModel

    model = SparkModel(workload.facade(), num_workers=frames.PARTITIONS)
    with probe.probed(probe.weighed) as workers:
        began = time.perf_counter()
        model.fit(tables.stored("array"), epochs=1, batch_size=32, verbose=0)
        return list(workers), time.perf_counter() - began


def _slowest(workers: list[dict[str, Any]], part: str) -> float:
    return max(sum(one["probe"]["seconds"][part]) / one["rows"] for one in workers)


def _peaks(workers: list[dict[str, Any]]) -> list[int]:
    return [one["probe"]["peak"] for one in workers]
