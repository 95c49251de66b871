"""One fit's wall time taken apart: the first fit of a session, and the second one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks import peers
from benchmarks.groups import Column, Goal, Group, Rounds
from benchmarks.profiled_peer import BESIDE, STAGES

#: The fits that are taken apart, by name: what `SparkModel` is given.
FITS: dict[str, dict[str, Any]] = {
    "asynchronous epoch": {"mode": "asynchronous", "frequency": "epoch"},
    "synchronous batch": {"mode": "synchronous", "frequency": "batch"},
}
FIRST, SECOND = "first fit", "second fit"
#: What a fit does for its rows; the rest is what it costs to have one at all.
WORK = ("data in", "compute", "exchange", "waiting for others", "validation")
#: Seconds that a fit of a small epoch may take beyond an empty job.
ALLOWED = 1.0


def suite(arguments: Any) -> Iterator[Group]:
    """A table a kind of fit: its stages in ms, medians over sessions."""
    for network in arguments.networks:
        for name, how in FITS.items():
            yield _group(f"{network}, {name}", arguments, network, how)


def _group(title: str, arguments: Any, network: str, how: dict[str, Any]) -> Group:
    asked = {"network": network, "rows": arguments.rows, "epochs": 1, "batch_size": 32, "how": how}
    several = [_session(asked) for _ in range(arguments.rounds)]
    title = f"{title}, 1 epoch of {arguments.rows} rows, in {arguments.rounds} sessions"
    group = Group(title, "", _rounds(several), columns=(
        Column(f"{FIRST} ms", FIRST, ",.1f"), Column(f"{SECOND} ms", SECOND, ",.1f"),
    ))  # fmt: skip
    overheads = [_overhead(one[SECOND]) for one in several]
    empty = [one[SECOND][BESIDE[1]] for one in several]
    group.rounds["second fit without its work"] = [{SECOND: one} for one in overheads]
    group.rounds["allowed"] = [{SECOND: one + 1000 * ALLOWED} for one in empty]
    group.goals = [Goal("second fit without its work", "allowed", SECOND, most=1.0)]
    return group


def _session(asked: dict[str, Any]) -> dict[str, dict[str, float]]:
    peer = peers.Peer("benchmarks.profiled_peer")
    try:
        return peer.ask(**asked)
    finally:
        peer.close()


def _rounds(several: list[dict[str, dict[str, float]]]) -> Rounds:
    """By stage, in each session, the milliseconds of both fits."""
    return {
        stage: [{fit: one[fit][stage] for fit in (FIRST, SECOND)} for one in several]
        for stage in (*STAGES, "whole", *BESIDE)
    }


def _overhead(fit: dict[str, float]) -> float:
    return fit["whole"] - sum(fit[f"worker: {name}"] for name in WORK)
