"""Rows of Spark into tensors by each route, `transform`, and the memory that a worker needs."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, peaks, routes, scored
from benchmarks.groups import Column, Goal, Group, in_turn

#: What is to be reached, as a share of the peer's rows per second.
ROUTES = {"pairs": 1.0, "to_simple_rdd": 1.0, "vector": 5.0, "array": 8.0, "transform": 1.0}
#: A worker's peak over its start, as a share of its tensors, is to be at most this.
PEAK = 1.3
TENSORS = "its tensors"


def suite(arguments: Any) -> list[Group]:
    """A group a kind of source, and one of memory."""
    groups = []
    with frames.tables(arguments.rows) as tables:
        found = routes.all_of(tables, arguments.rows) | scored.all_of(tables, arguments.rows)
        for title, measures in found.items():
            peer = next(iter(measures))
            goals = [
                Goal(name, peer, least=ROUTES[name])
                for name in measures
                if name in ROUTES and name != peer
            ]
            groups.append(in_turn(title, peer, measures, arguments.rounds, goals=goals))
    return [*groups, _memory(arguments.rows)]


def _memory(rows: int) -> Group:
    found = {
        name: [{"of": one["peak"] / one["bytes"], "peak": one["peak"]}]
        for name, one in peaks.all_of(rows).items()
    }
    columns = (Column("of tensors", "of", ".2f"), Column("MiB", "peak", ",.0f", 2**-20))
    group = Group("peak over the start", "", found | {TENSORS: [{"of": 1.0}]}, columns)
    whole = [name for name in found if not name.endswith(peaks.STREAMED)]
    group.goals = [Goal(name, TENSORS, "of", most=PEAK) for name in whole]
    return group
