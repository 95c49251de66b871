"""Rows per second from Spark into a worker's tensors, by each route; no training."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import frames, workload

Measure = Callable[[], dict[str, float]]

BY_HAND = "np.stack by hand"
ELEPHAS = "elephas's way"


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


def all_of(tables: frames.Tables, rows: int) -> dict[str, dict[str, Measure]]:
    """The routes: of RDDs, of DataFrames in Spark's memory, and of DataFrames in Parquet files."""
    there, files = tables.persisted, tables.stored
    return {
        "RDD": _of_rdds(tables.spark, rows),
        "DataFrame, persisted": {
            ELEPHAS: _peer(rows, there("vector")),
            **{kind: _route(rows, there(kind), kind) for kind in frames.KINDS},
        },
        "DataFrame, Parquet": {
            ELEPHAS: _peer(rows, files("vector")),
            **{kind: _route(rows, files(kind), kind) for kind in ("array", "vector")},
        },
    }


def _of_rdds(spark: Any, rows: int) -> dict[str, Measure]:
    from elephas_torch import sources

    pairs, simple = rdds(spark, rows)
    return {
        BY_HAND: functools.partial(
            timed, rows, lambda: sum(pairs.mapPartitions(by_hand).collect())
        ),
        "pairs": functools.partial(timed, rows, _loading(sources.of_rdd(pairs, None))),
        "to_simple_rdd": functools.partial(timed, rows, _loading(sources.of_rdd(simple, None))),
    }


def rdds(spark: Any, rows: int) -> tuple[Any, Any]:
    """An RDD of pickled pairs, and what `to_simple_rdd` makes: blocks; in Spark's memory."""
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    simple = to_simple_rdd(spark.sparkContext, *workload.rows(rows), num_slices=frames.PARTITIONS)
    pairs = simple.map(_same).persist()
    for one in (pairs, simple._elephas_blocks.persist()):
        one.count()
    return pairs, simple


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
