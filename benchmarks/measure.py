"""The single measurements; each returns {"rate": samples per second}."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks import workload

Measure = Callable[[], dict[str, float]]
MODES = ("synchronous", "asynchronous", "hogwild")
FREQUENCIES = ("epoch", 8, "batch")


@contextmanager
def facade(rows: int, batch_size: int) -> Iterator[tuple[Measure, Measure]]:
    """A hand-written loop, and the facade's fit, on one thread and the same rows."""
    torch.set_num_threads(1)
    features, labels = workload.rows(rows)
    model = workload.facade()

    def plain() -> dict[str, float]:
        return rate(rows, lambda: workload.plain_loop(features, labels, batch_size, 1))

    def fit() -> dict[str, float]:
        return rate(rows, lambda: model.fit(features, labels, batch_size, epochs=1, verbose=0))

    yield plain, fit


def rate(rows: int, work: Callable[[], Any]) -> dict[str, float]:
    """Samples per second of something that goes through all rows once."""
    began = time.perf_counter()
    work()
    return {"rate": rows / (time.perf_counter() - began)}


@contextmanager
def spark(rows: int, epochs: int) -> Iterator[dict[str, Measure]]:
    """Two plain loops in two processes, and SparkModel in each combination."""
    from pyspark import SparkConf, SparkContext

    from elephas_torch.cluster import prepare_python
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    conf = SparkConf().setMaster("local[2]").setAppName("benchmarks").setAll(settings.items())
    context = SparkContext(conf=conf)
    context.setLogLevel("ERROR")
    prepare_python(context)
    spawn = multiprocessing.get_context("spawn")
    try:
        with spawn.Pool(2) as pool:
            rdd = to_simple_rdd(context, *workload.rows(rows))
            measures: dict[str, Measure] = {
                "two plain loops": functools.partial(two_loops, pool, rows, epochs)
            }
            for frequency, mode in itertools.product(FREQUENCIES, MODES):
                measures[f"{mode} {frequency}"] = functools.partial(
                    fit, rdd, rows, epochs, mode, frequency
                )
            yield measures
    finally:
        context.stop()


def two_loops(pool: Any, rows: int, epochs: int) -> dict[str, float]:
    """Two hand-written loops at once, half of the rows each."""
    seconds = pool.map(functools.partial(one_loop, rows // 2, epochs), (0, 1), chunksize=1)
    return {"rate": rows * epochs / max(seconds)}


def one_loop(rows: int, epochs: int, seed: int) -> float:
    """Seconds of a hand-written loop, without its start."""
    torch.set_num_threads(1)
    features, labels = workload.rows(rows, seed)
    began = time.perf_counter()
    workload.plain_loop(features, labels, 32, epochs)
    return time.perf_counter() - began


def fit(rdd: Any, rows: int, epochs: int, mode: str, frequency: str | int) -> dict[str, float]:
    """SparkModel's workers from their second epoch on, and the whole fit."""
    from elephas_torch import SparkModel

    model = SparkModel(workload.facade(), mode=mode, frequency=frequency, num_workers=2)
    began = time.perf_counter()
    model.fit(rdd, epochs=epochs, batch_size=32, verbose=0)
    whole = time.perf_counter() - began
    seconds = max(sum(one["seconds"][1:]) for one in model.training_histories)
    return {"rate": rows * (epochs - 1) / seconds, "whole": whole}
