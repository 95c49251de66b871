"""`python -m benchmarks [names]`: everything side by side in one run, round by round.

Names: `start` (imports, and building a deep model), `facade` (fit, evaluate and predict of an MLP,
a CNN and an LSTM against a hand-written loop and Keras 3 on torch and TensorFlow, one thread),
`data` (rows of Spark into a worker's tensors by each route, `transform`, and the memory that a
worker needs), `again` (persisted pairs once more), `watched` (what it costs to show progress),
`spark` (SparkModel in each mode, frequency and way to exchange against hand-written loops, torch's
hogwild and DDP, elephas and sparktorch), `exchange` (pulls and pushes against raw TCP and memcpy),
`clients` (the server's CPU time as workers grow), `star` (the same as updates grow), `rows` (time
and memory as data grow), `profile` (a fit's wall time taken apart), and `gpu` (on a CUDA device: a
worker's steps against hand-written ones, their memory, and exchanges against pinned copies).
Without names: all. What counts is the ratio within a round, of which the median is given with the
smallest and the largest. docs/performance.md says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from benchmarks import machine, networks, peers, plot, table
from benchmarks.groups import Group


def main(command: list[str] | None = None) -> int:
    """Measures, prints tables, and writes JSON and a picture where asked."""
    arguments = parsed(command)
    if arguments.plot:
        try:
            plot.check()
        except plot.Missing as missing:
            print(missing, file=sys.stderr)
            return 1
    # Processes that Spark and torch start find these modules too.
    paths = [peers.ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    results: dict[str, Any] = {**machine.described(), "suites": {}}
    with peers.peers(arguments.python) as others:
        for name in arguments.names or list(SUITES):
            print(f"\n{name}: {arguments.rounds} rounds, {arguments.rows} rows", flush=True)
            found = results["suites"].setdefault(name, [])
            for group in SUITES[name](arguments, others):
                print(f"{table.shown(group)}\n", flush=True)
                found.append(group.as_json())
                results["peers"] = {"versions": others.about, "left_out": others.left_out}
                if arguments.json:  # now, so that a break loses nothing
                    Path(arguments.json).write_text(json.dumps(results, indent=2))
    if arguments.plot:
        plot.draw(results, arguments.plot)
    return 0


def parsed(command: list[str] | None = None) -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", choices=[[], *SUITES], help="default: all")
    add("--rounds", type=int, default=5)
    add("--rows", type=int, default=20_000, help="default 20000")
    add("--epochs", type=int, default=6, help="of spark and watched; half of them against elephas")
    add(
        "--networks", nargs="+", choices=list(networks.NETWORKS), default=["MLP"],
        metavar="NETWORK", help=f"of spark, watched and profile: {', '.join(networks.NETWORKS)}",
    )  # fmt: skip
    add("--only", nargs="+", metavar="NAME", help="of spark: these alone")
    add("--largest", type=int, default=1_000_000, help="of rows: the most rows")
    add(
        "--python", action="append", type=_python, default=[], metavar="PEER=PATH",
        help=f"the Python of a peer: {', '.join(peers.NAMES)}; default: this one",
    )  # fmt: skip
    add("--json", metavar="FILE", help="write all figures there")
    add("--plot", metavar="FILE", help="draw them there (.png, .svg, .pdf); needs matplotlib")
    found = parser.parse_args(command)
    found.python = dict(found.python)
    return found


def _python(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if name not in peers.NAMES or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(
            f"{text!r} isn't PEER=PATH, with PEER one of {', '.join(peers.NAMES)} and PATH a "
            "Python that can be run"
        )
    return name, path


def _start(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import measure

    return measure.start(arguments)


def _facade(arguments: argparse.Namespace, others: peers.Peers) -> Iterable[Group]:
    from benchmarks import measure

    return measure.facade(arguments, others)


def _data(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import datapath

    return datapath.suite(arguments)


def _again(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import again

    return again.suite(arguments)


def _watched(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import watched

    return watched.suite(arguments)


def _spark(arguments: argparse.Namespace, others: peers.Peers) -> Iterable[Group]:
    from benchmarks import fits

    return fits.suite(arguments, others)


def _exchange(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import exchange

    return exchange.suite(arguments)


def _clients(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import clients

    return clients.suite(arguments)


def _star(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import star

    return star.suite(arguments)


def _rows(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import growth

    return growth.suite(arguments)


def _profile(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import profile

    return profile.suite(arguments)


def _gpu(arguments: argparse.Namespace, _: peers.Peers) -> Iterable[Group]:
    from benchmarks import gpu

    return gpu.suite(arguments)


SUITES: dict[str, Callable[[argparse.Namespace, peers.Peers], Iterable[Group]]] = {
    "start": _start,
    "facade": _facade,
    "data": _data,
    "again": _again,
    "watched": _watched,
    "spark": _spark,
    "exchange": _exchange,
    "clients": _clients,
    "star": _star,
    "rows": _rows,
    "profile": _profile,
    "gpu": _gpu,
}

if __name__ == "__main__":
    sys.exit(main())
