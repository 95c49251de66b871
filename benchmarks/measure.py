"""The facade against a hand-written loop and Keras; and what starting takes."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from benchmarks import networks, peers
from benchmarks.byhand import ByHand
from benchmarks.groups import Column, Goal, Group, Measure, in_turn
from elephas_torch import keras

WORK = ("fit", "evaluate", "predict")
#: What the facade is to reach of the hand-written loop's samples per second.
FIT = 1.0
#: Milliseconds that the package's import on an executor may take beside torch's.
IMPORT = 150.0
EXECUTOR, TORCH = "executor: import the worker", "executor: import torch"
BEYOND = "the worker's beyond torch's"


def facade(arguments: Any, others: peers.Peers) -> Iterator[Group]:
    """The facade's fit, evaluate and predict against a hand-written loop and Keras."""
    several = peers.keras(others)
    left_out = others.missing(*peers.KERAS)
    for name, batch_size in (("MLP", 32), ("MLP", 128), ("CNN", 32), ("LSTM", 32)):
        rows = networks.NETWORKS[name].rows(arguments.rows)
        for work in WORK:
            measures = ways(name, work, rows, batch_size, several)
            title = f"{work}, {name}, batch {batch_size}"
            goals = [Goal("facade", "plain loop", least=FIT)] if work == "fit" else []
            group = in_turn(title, "plain loop", measures, arguments.rounds, goals=goals)
            group.left_out |= left_out
            yield group


def ways(
    name: str, work: str, rows: int, batch_size: int, others: Mapping[str, peers.Peer]
) -> dict[str, Measure]:
    """A hand-written loop, the facade, and Keras, at one piece of work on the same rows.

    Args:
        name: of a network in `networks`.
        work: "fit", "evaluate" or "predict".
        others: Keras on its backends.
    """
    torch.set_num_threads(1)
    network = networks.NETWORKS[name]
    data = networks.rows(network.shape, rows)
    given = data[:1] if work == "predict" else data
    model = networks.by_keras(keras, network)
    by_hand = ByHand(name, batch_size)
    measures: dict[str, Measure] = {
        "plain loop": lambda: rate(rows, lambda: getattr(by_hand, work)(*given)),
        "facade": lambda: rate(
            rows, lambda: getattr(model, work)(*given, batch_size=batch_size, verbose=0)
        ),
    }
    for title, peer in others.items():
        measures[title] = functools.partial(asked, peer, name, work, rows, batch_size)
    return measures


def asked(peer: peers.Peer, name: str, work: str, rows: int, batch_size: int) -> dict[str, float]:
    """Samples per second of another library."""
    found = peer.ask(network=name, work=work, rows=rows, batch_size=batch_size)
    return {"rate": rows / found["seconds"]}


def start(arguments: Any) -> list[Group]:
    """Milliseconds to import torch and what an executor needs, and to build a deep model."""
    measures: dict[str, Measure] = {
        "import torch": functools.partial(_import_ms, "torch"),
        "import the facade": functools.partial(_import_ms, "elephas_torch.keras.models"),
        TORCH: functools.partial(_import_ms, "torch", "pyspark.worker"),
        EXECUTOR: functools.partial(_import_ms, "elephas_torch.task", "pyspark.worker"),
        "build and compile 100 layers": _build_ms,
    }
    columns = (Column("ms", "ms", ",.0f"),)
    group = in_turn("start", TORCH, measures, arguments.rounds, columns=columns)
    pairs = zip(group.rounds[EXECUTOR], group.rounds[TORCH], strict=True)
    group.rounds[BEYOND] = [{"ms": ours["ms"] - torchs["ms"]} for ours, torchs in pairs]
    group.rounds["allowed"] = [{"ms": IMPORT}] * arguments.rounds
    group.goals = [Goal(BEYOND, "allowed", "beyond", most=1.0)]
    for name in (BEYOND, "allowed"):
        group.rounds[name] = [{**one, "beyond": one["ms"]} for one in group.rounds[name]]
    return [group]


def _import_ms(module: str, there: str = "sys") -> dict[str, float]:
    """Processor time of a fresh Python for an import, where another module is there already."""
    taken = _cpu_seconds(f"import {there}, {module}") - _cpu_seconds(f"import {there}")
    return {"ms": 1000 * taken}


def _cpu_seconds(code: str) -> float:
    # With compiled files, as everybody has them from the second start on.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _build_ms() -> dict[str, float]:
    began = time.perf_counter()
    stack = [keras.layers.Dense(10, activation="relu") for _ in range(100)]
    model = keras.Sequential([keras.Input((10,)), *stack])
    model.compile("adam", "mse", metrics=["mae"])
    return {"ms": 1000 * (time.perf_counter() - began)}


def rate(rows: int, work: Callable[[], Any]) -> dict[str, float]:
    """Samples per second of something that goes through all rows once."""
    began = time.perf_counter()
    work()
    return {"rate": rows / (time.perf_counter() - began)}
