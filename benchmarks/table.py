"""Groups as text."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.groups import Column, Group


def shown(group: Group) -> str:
    """A group's table: medians, ratios with their spread, goals, and what was left out."""
    width = max([len(group.title), *map(len, group.rounds), 12]) + 2
    lines = [_heading(group, width), *(_row(group, name, width) for name in group.rounds)]
    lines += [f"  {_goal(goal)}" for goal in group.reached()]
    lines += [f"  {name}: left out ({why})" for name, why in group.left_out.items()]
    if group.once:
        lines.append(f"  measured once, as it takes long: {', '.join(group.once)}")
    return "\n".join([*lines, *(f"  {note}" for note in group.notes)])


def _heading(group: Group, width: int) -> str:
    columns = "".join(f"{column.heading:>{_width(column)}}" for column in group.columns)
    of_peer = f"{'of peer':>9} {'(min, max)':>14}" if group.against else ""
    return f"{group.title:<{width}}{columns}{of_peer}"


def _row(group: Group, name: str, width: int) -> str:
    cells = "".join(_cell(group.rounds[name], column) for column in group.columns)
    ratios = group.ratios(name, group.against, group.columns[0].figure)
    of_peer = f"{statistics.median(ratios):>9.2f} {_spread(ratios):>14}" if ratios else ""
    return f"{name:<{width}}{cells}{of_peer}".rstrip()


def _width(column: Column) -> int:
    return max(len(column.heading) + 2, 10)


def _cell(taken: list[dict[str, float]], column: Column) -> str:
    values = [one[column.figure] * column.scale for one in taken if column.figure in one]
    text = f"{statistics.median(values):{column.layout}}" if values else ""
    return f"{text:>{_width(column)}}"


def _spread(ratios: list[float]) -> str:
    return f"({min(ratios):.2f}, {max(ratios):.2f})"


def _goal(goal: dict[str, Any]) -> str:
    bound = f"at least {goal['least']:g}" if goal["least"] is not None else ""
    bound = bound or f"at most {goal['most']:g}"
    what = {"rate": "", "whole": ", whole fit", "seconds": ", seconds", "ms": ""}
    figure = what.get(goal["figure"], f", {goal['figure']}")
    said = "met" if goal["met"] else "MISSED"
    spread = f"({goal['min']:.2f}, {goal['max']:.2f})"
    return (
        f"goal {said}: {goal['name']} against {goal['against']}{figure}: "
        f"{goal['median']:.2f} {spread}, {bound}"
    )
