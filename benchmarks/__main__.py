"""`python -m benchmarks [names]`: samples per second, side by side in one run.

Names: `facade` (fit, evaluate and predict of an MLP, a CNN and an LSTM against a hand-written loop
and Keras 3 on torch and TensorFlow, one thread), `start` (imports, and building a deep model),
`data` (rows of Spark into a worker's tensors by each route, `transform`, and the memory that a
worker needs) and `spark` (SparkModel in each combination of mode and frequency, two workers,
against two hand-written loops in two processes). Without names: all. Everything is measured in
turn, round by round; what counts is the ratio within a round, of which the median is given with
the smallest and the largest. SparkModel's figure is that of its workers from the second epoch on;
how long the whole fit took stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from benchmarks import frames, measure, peaks, peers, routes, scored

#: What is to be reached, as a share of the peer's samples per second.
GOALS = {"fit": 1.0, "epoch": 0.7, "batch": 0.4}
#: The same of the routes into tensors, and of `transform`.
ROUTES = {"pairs": 1.0, "to_simple_rdd": 1.0, "vector": 5.0, "array": 8.0, "transform": 1.0}
#: A worker's peak over its start, as a share of its tensors, is to be at most this.
PEAK = 1.3

Measured = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measures, prints a table, and writes JSON where asked."""
    arguments = parsed()
    results: dict[str, Measured] = {}
    for name in arguments.names or list(SUITES):
        print(f"\n{name}: {arguments.rounds} rounds, {arguments.rows} rows", flush=True)
        results[name] = SUITES[name](arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2))


def parsed() -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SUITES], help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser.parse_args()


def facade(arguments: argparse.Namespace) -> Measured:
    """The facade's fit, evaluate and predict against a hand-written loop and Keras."""
    results: Measured = {}
    with peers.keras_peers() as others:
        for name, batch_size in (("MLP", 32), ("MLP", 128), ("CNN", 32), ("LSTM", 32)):
            rows = arguments.rows if name == "MLP" else arguments.rows // 5
            for work in measure.WORK:
                measures = measure.facade(name, work, rows, batch_size, others)
                rounds = in_turn(measures, arguments.rounds)
                title = f"{work}, {name}, batch {batch_size}"
                results |= {f"{title}: {who}": taken for who, taken in rounds.items()}
                table(title, rounds, "plain loop", lambda who, work=work: facade_goal(who, work))
    return results


def facade_goal(who: str, work: str) -> float | None:
    """What the facade is to reach of the hand-written loop."""
    return GOALS.get(work) if who == "facade" else None


def start(arguments: argparse.Namespace) -> Measured:
    """Seconds to build and compile a model of 100 layers, and to import the facade and torch."""
    del arguments
    for name, seconds in measure.starts().items():
        print(f"{name:<40} {seconds * 1000:>8.0f} ms")
    return {}


def data(arguments: argparse.Namespace) -> Measured:
    """Rows into tensors by each route, `transform`, and the memory that a worker needs."""
    results: Measured = {}
    with frames.tables(arguments.rows) as tables:
        groups = routes.all_of(tables, arguments.rows) | scored.all_of(tables, arguments.rows)
        for title, measures in groups.items():
            rounds = in_turn(measures, arguments.rounds)
            results |= {f"{title}: {name}": taken for name, taken in rounds.items()}
            table(title, rounds, next(iter(rounds)), ROUTES.get)
    print(f"{'peak over the start':<24} {'of tensors':>10} {'MiB':>8} {'goal':>5}")
    for name, one in peaks.all_of(arguments.rows).items():
        goal = "" if name.endswith(peaks.STREAMED) else PEAK
        print(
            f"{name:<24} {one['peak'] / one['bytes']:>10.2f} {one['peak'] / 2**20:>8.0f} {goal:>5}"
        )
        results[f"peak: {name}"] = [one]
    return results


def spark(arguments: argparse.Namespace) -> Measured:
    """SparkModel in its nine combinations against two hand-written loops."""
    with measure.spark(arguments.rows, arguments.epochs) as measures:
        rounds = in_turn(measures, arguments.rounds)
    table("batch 32, two workers", rounds, "two plain loops", spark_goal)
    return {"batch 32": rounds}


def spark_goal(name: str) -> float | None:
    """What a combination is to reach; None where nothing is asked."""
    mode, _, frequency = name.partition(" ")
    if frequency == "batch" and mode == "synchronous":
        return None
    return GOALS.get(frequency)


def in_turn(measures: dict[str, Callable[[], dict[str, float]]], rounds: int) -> Measured:
    """Takes each measurement once a round, after a first round that isn't counted."""
    results: Measured = {name: [] for name in measures}
    for number in range(-1, rounds):
        for name, take in measures.items():
            taken = take()
            if number >= 0:
                results[name].append(taken)
    return results


def table(title: str, rounds: Measured, peer: str, goal: Callable[[str], float | None]) -> None:
    """Prints the median samples per second and the ratio to the peer of the same round."""
    print(f"{title:<24} {'samples/s':>10} {'of peer':>8} {'(min, max)':>14} {'goal':>5}  whole fit")
    peers = [one["rate"] for one in rounds[peer]]
    for name, taken in rounds.items():
        rates = [one["rate"] for one in taken]
        ratios = sorted(rate / other for rate, other in zip(rates, peers, strict=True))
        wanted = goal(name) if name != peer else None
        whole = [one["whole"] for one in taken if "whole" in one]
        print(
            f"{name:<24} {statistics.median(rates):>10,.0f} {statistics.median(ratios):>8.2f} "
            f"({ratios[0]:.2f}, {ratios[-1]:.2f}) {wanted or '':>6}"
            + (f"  {statistics.median(whole):.1f} s" if whole else ""),
            flush=True,
        )


SUITES: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "start": start,
    "facade": facade,
    "data": data,
    "spark": spark,
}

if __name__ == "__main__":
    sys.exit(main())
