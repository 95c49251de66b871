"""`python -m benchmarks [names]`: samples per second, side by side in one run.

Names: `facade` (the facade's `fit` against a hand-written loop, one thread) and `spark`
(SparkModel in each combination of mode and frequency, two workers, against two hand-written
loops in two processes). Without names: both. Everything is measured in turn, round after
round; what counts is the ratio within a round, of which the median is given with the smallest
and the largest. SparkModel's figure is that of its workers from the second epoch on; how long
the whole fit took stands beside it.
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

from benchmarks import measure

#: What is to be reached, as a share of the peer's samples per second.
GOALS = {"fit": 0.95, "epoch": 0.7, "batch": 0.4}

Measured = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measures, prints a table, and writes JSON where asked."""
    arguments = parsed()
    results: dict[str, Measured] = {}
    for name in arguments.names or ["facade", "spark"]:
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
    """The facade's fit against a hand-written loop."""
    results: Measured = {}
    for batch_size in (32, 128):
        with measure.facade(arguments.rows, batch_size) as (plain, fit):
            rounds = in_turn({"plain loop": plain, "fit": fit}, arguments.rounds)
        results[f"batch {batch_size}"] = rounds
        table(f"batch {batch_size}", rounds, "plain loop", lambda _: GOALS["fit"])
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


SUITES: dict[str, Callable[[argparse.Namespace], Measured]] = {"facade": facade, "spark": spark}

if __name__ == "__main__":
    sys.exit(main())
