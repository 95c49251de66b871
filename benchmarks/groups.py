"""What was measured side by side: rounds of figures, their medians and spread, and goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.peers import Failed

Measure = Callable[[], dict[str, float]]
#: By name, in each round, the figures that were taken.
Rounds = dict[str, list[dict[str, float]]]

#: Of these figures the smaller is the better; "times as fast" is then the other way round.
SECONDS = ("whole", "seconds", "ms")


class Column(NamedTuple):
    """A figure in the table: its heading, and its name among what was taken."""

    heading: str
    figure: str
    layout: str = ",.0f"
    scale: float = 1.0


RATE = Column("samples/s", "rate")
WHOLE = Column("whole fit s", "whole", ".1f")
ACCURACY = Column("accuracy", "accuracy", ".3f")


class Goal(NamedTuple):
    """What one thing is to reach of another.

    Attributes:
        figure: of what; of seconds the inverse is taken, so that more is better throughout.
        least: the smallest ratio that is asked for; None: there is a largest one.
    """

    name: str
    against: str
    figure: str = "rate"
    least: float | None = None
    most: float | None = None


@dataclass
class Group:
    """Things measured in turn.

    Attributes:
        against: the name that the table's ratios are of.
        rounds: by name.
        left_out: names that could not be measured, with the reason.
        once: names that took so long that their warm-up round is all that there is.
        notes: more lines below the table.
    """

    title: str
    against: str
    rounds: Rounds
    columns: tuple[Column, ...] = (RATE,)
    goals: list[Goal] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    once: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reached(self) -> list[dict[str, Any]]:
        """Each goal whose sides were both measured, with its ratio round by round."""
        return [
            {**goal._asdict(), **summary(ratios), "met": met(goal, statistics.median(ratios))}
            for goal in self.goals
            if (ratios := self.ratios(goal.name, goal.against, goal.figure))
        ]

    def ratios(self, name: str, against: str, figure: str) -> list[float]:
        """How one does against another, in each round that both have the figure of."""
        both = zip(self.rounds.get(name, []), self.rounds.get(against, []), strict=False)
        found = [(a[figure], b[figure]) for a, b in both if figure in a and figure in b]
        if figure in SECONDS:
            found = [(b, a) for a, b in found]
        return [a / b for a, b in found if b]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "title": self.title,
            "against": self.against,
            "rounds": self.rounds,
            "medians": {name: _medians(taken) for name, taken in self.rounds.items()},
            "of_peer": {
                name: summary(ratios)
                for name in self.rounds
                if (ratios := self.ratios(name, self.against, self.columns[0].figure))
            },
            "columns": [column._asdict() for column in self.columns],
            "goals": self.reached(),
            "left_out": self.left_out,
            "once": self.once,
            "notes": self.notes,
        }


def met(goal: Goal, ratio: float) -> bool:
    """Whether a ratio is what the goal asks for."""
    return (goal.least is None or ratio >= goal.least) and (goal.most is None or ratio <= goal.most)


def summary(values: list[float]) -> dict[str, float]:
    """The median, with the smallest and the largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _medians(taken: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    figures = dict.fromkeys(figure for one in taken for figure in one)
    return {figure: summary([one[figure] for one in taken if figure in one]) for figure in figures}


def in_turn(
    title: str,
    against: str,
    measures: Mapping[str, Measure],
    rounds: int,
    *,
    limit: float = float("inf"),
    clock: Callable[[], float] | None = None,
    **more: Any,
) -> Group:
    """Takes each measurement once a round, after a first round that isn't counted.

    Args:
        limit: seconds; what took longer in the first round isn't taken again: that one counts.
        clock: for the seconds that a measurement takes; default `time.perf_counter`.
        **more: of the group: columns, goals.
    """
    import time

    now = clock or time.perf_counter
    group = Group(title, against, {name: [] for name in measures}, **more)
    left = dict(measures)
    for number in range(-1, rounds):
        for name, take in list(left.items()):
            began = now()
            try:
                taken = take()
            except Failed as failed:
                group.left_out[name] = str(failed)
                del left[name], group.rounds[name]
                continue
            if number < 0 and name != against and now() - began > limit:
                group.rounds[name] = [taken] * rounds
                group.once.append(name)
                del left[name]
            elif number >= 0:
                group.rounds[name].append(taken)
    return group
