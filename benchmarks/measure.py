"""The single measurements; each returns {"rate": samples per second}."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks import networks, peers, workload
from elephas_torch import keras

Measure = Callable[[], dict[str, float]]
MODES = ("synchronous", "asynchronous", "hogwild")
FREQUENCIES = ("epoch", 8, "batch")


WORK = ("fit", "evaluate", "predict")


def facade(
    name: str, work: str, rows: int, batch_size: int, others: dict[str, peers.KerasPeer]
) -> dict[str, Measure]:
    """A hand-written loop, the facade, and Keras, at one piece of work on the same rows.

    Args:
        name: of a network in `networks`.
        work: "fit", "evaluate" or "predict".
        others: Keras on its backends.
    """
    torch.set_num_threads(1)
    network = networks.NETWORKS[name]
    data = networks.rows(network, rows)
    given = data[:1] if work == "predict" else data
    model = networks.by_keras(keras, network)
    by_hand = networks.ByHand(network, batch_size)
    measures: dict[str, Measure] = {
        "plain loop": lambda: rate(rows, lambda: getattr(by_hand, work)(*given)),
        "facade": lambda: rate(
            rows, lambda: getattr(model, work)(*given, batch_size=batch_size, verbose=0)
        ),
    }
    for title, peer in others.items():
        measures[title] = functools.partial(asked, peer, name, work, rows, batch_size)
    return measures


def asked(
    peer: peers.KerasPeer, name: str, work: str, rows: int, batch_size: int
) -> dict[str, float]:
    """Samples per second of another library."""
    return {"rate": rows / peer.seconds(name, work, rows, batch_size)}


def starts() -> dict[str, float]:
    """Medians of the seconds that starting takes."""
    return {
        "import torch": _import_seconds("torch"),
        "import elephas_torch.keras.models": _import_seconds("elephas_torch.keras.models"),
        "build and compile 100 layers": statistics.median(_build_seconds() for _ in range(9)),
    }


def _import_seconds(module: str) -> float:
    """Of a fresh Python, less what an empty one takes."""
    timed = [_run_seconds(f"import {module}") - _run_seconds("pass") for _ in range(7)]
    return statistics.median(timed)


def _run_seconds(code: str) -> float:
    # With compiled files, as everybody has them from the second start on.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - began


def _build_seconds() -> float:
    began = time.perf_counter()
    stack = [keras.layers.Dense(10, activation="relu") for _ in range(100)]
    model = keras.Sequential([keras.Input((10,)), *stack])
    model.compile("adam", "mse", metrics=["mae"])
    return time.perf_counter() - began


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
