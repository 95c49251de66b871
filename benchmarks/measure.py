"""The facade against a hand-written loop and Keras; and what starting takes."""

from __future__ import annotations

import functools
import os
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
EXECUTOR, TORCH = "import elephas_torch.worker", "import torch"


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
    modules = ("torch", "elephas_torch.keras.models", "elephas_torch.worker")
    measures: dict[str, Measure] = {
        f"import {module}": functools.partial(_import_ms, module) for module in modules
    }
    measures["build and compile 100 layers"] = _build_ms
    columns = (Column("ms", "ms", ",.0f"),)
    group = in_turn("start", TORCH, measures, arguments.rounds, columns=columns)
    pairs = zip(group.rounds[EXECUTOR], group.rounds[TORCH], strict=True)
    group.rounds["the executor's beyond torch's"] = [
        {"ms": max(ours["ms"] - torchs["ms"], 0.0)} for ours, torchs in pairs
    ]
    group.rounds["allowed"] = [{"ms": IMPORT}] * arguments.rounds
    group.goals = [Goal("the executor's beyond torch's", "allowed", least=1.0, figure="ms")]
    return [group]


def _import_ms(module: str) -> dict[str, float]:
    """Of a fresh Python, less what an empty one takes."""
    return {"ms": 1000 * (_run_seconds(f"import {module}") - _run_seconds("pass"))}


def _run_seconds(code: str) -> float:
    # With compiled files, as everybody has them from the second start on.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - began


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
