"""Rows per second from Spark into a worker's tensors, by each route; no training."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import frames, workload

Measure = Callable[[], dict[str, float]]

BY_HAND = "pairs, np.stack by hand"
ELEPHAS = "elephas's way"
#: Of a DataFrame that isn't persisted.
FILES = ", Parquet"


@dataclass(frozen=True)
class Load:
    """A task that loads its partition as a fit does, and yields how many rows there were.

    Attributes:
        reader: how rows are read.
        memory: bytes that they may take; None: see `elephas_torch.memory.Budget`.
    """

    reader: Any
    memory: int | None = None

    def __call__(self, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
        from elephas_torch import store

        torch.set_num_threads(1)
        loaded = store.load(workload.facade(), self.reader, rows, self.memory)
        yield {"rows": 0 if loaded is None else len(loaded)}


def by_hand(rows: Iterable[Any]) -> Iterator[int]:
    """Pairs to tensors, as somebody would write it."""
    features, labels = zip(*rows, strict=True)
    x, y = torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(labels))
    assert len(x) == len(y)
    yield len(x)


def like_elephas(frame: Any) -> Any:
    """`df_to_simple_rdd` and a worker's first lines in elephas: a row, a vector, an array."""
    rdd = frame.select("features", "label").rdd.map(_labeled).map(_pair)
    return rdd.mapPartitions(_asarrays)


def _labeled(row: Any) -> Any:
    from pyspark.mllib.linalg import Vectors
    from pyspark.mllib.regression import LabeledPoint

    return LabeledPoint(row["label"], Vectors.fromML(row["features"]))


def _pair(point: Any) -> tuple[np.ndarray, np.ndarray]:
    one_hot = np.zeros(10)
    one_hot[int(point.label)] = 1
    return point.features.array, one_hot


def _asarrays(rows: Iterable[Any]) -> Iterator[int]:
    first, second = itertools.tee(rows, 2)
    x = np.asarray([x for x, _ in first])
    y = np.asarray([y for _, y in second])
    assert len(x) == len(y)
    yield len(x)


def timed(rows: int, run: Callable[[], int]) -> dict[str, float]:
    """Rows per second of a whole job."""
    began = time.perf_counter()
    count = run()
    seconds = time.perf_counter() - began
    if count != rows:
        raise RuntimeError(f"{rows} rows went in, and {count} came out")
    return {"rate": rows / seconds}


@contextmanager
def all_of(rows: int) -> Iterator[dict[str, Measure]]:
    """The routes: of RDDs, of persisted DataFrames, and of some read from Parquet files."""
    with frames.tables(rows) as tables:
        measures = _of_rdds(tables.spark, rows)
        for kind in frames.KINDS:
            measures[kind] = _route(rows, tables.persisted(kind), kind)
            if kind == "vector":
                measures[ELEPHAS] = _peer(rows, tables.persisted(kind))
        for kind in ("array", "vector"):
            measures[kind + FILES] = _route(rows, tables.stored(kind), kind)
        measures[ELEPHAS + FILES] = _peer(rows, tables.stored("vector"))
        yield measures


def _of_rdds(spark: Any, rows: int) -> dict[str, Measure]:
    from elephas_torch import sources
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    simple = to_simple_rdd(spark.sparkContext, *workload.rows(rows), num_slices=frames.PARTITIONS)
    pairs = simple.map(_same).persist()
    pairs.count()
    simple._elephas_blocks.persist().count()
    loaded = {"pairs": pairs, "to_simple_rdd": simple}
    return {
        BY_HAND: functools.partial(
            timed, rows, lambda: sum(pairs.mapPartitions(by_hand).collect())
        ),
        **{
            name: functools.partial(timed, rows, _loading(sources.of_rdd(rdd, None)))
            for name, rdd in loaded.items()
        },
    }


def _route(rows: int, frame: Any, kind: str) -> Measure:
    return functools.partial(timed, rows, _loading(source(frame, kind)))


def _peer(rows: int, frame: Any) -> Measure:
    rdd = like_elephas(frame)
    return functools.partial(timed, rows, lambda: sum(rdd.collect()))


def _same(pair: Any) -> Any:
    return pair


def source(frame: Any, kind: str) -> Any:
    """A DataFrame as a fit takes it."""
    from elephas_torch import frames as ours

    features = frames.COLUMNS if kind == "columns" else "features"
    return ours.source(frame, ours.Columns(features), workload.facade())


def _loading(source: Any) -> Callable[[], int]:
    return lambda: sum(one["rows"] for one in source.results(Load(source.reader)))
