"""The rows that tasks have computed, told to the driver by Spark's accumulators: for what is lazy,
where Spark alone knows when it is computed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyspark import TaskContext
from pyspark.accumulators import Accumulator, AccumulatorParam


class Report(NamedTuple):
    """What a task tells when it has come to its rows' end.

    Attributes:
        title: what it did.
        stage, partition, attempt: Spark's numbers; of attempts no two are the same.
        of: which `Count` has counted.
        rows: how many there were.
        seconds: how long it took.
    """

    title: str
    stage: int
    partition: int
    attempt: int
    of: str
    rows: int
    seconds: float


class Reports(AccumulatorParam[list[Report]]):
    """How reports add up: on an executor as a list; the driver keeps none.

    Args:
        hear: is called on the driver with the reports of a task that has ended, in a thread that
            Spark's scheduler waits for; it isn't sent along.
    """

    def __init__(self, hear: Callable[[list[Report]], None] | None = None) -> None:
        self._hear = hear

    def zero(self, value: list[Report]) -> list[Report]:
        """What each task begins with."""
        return []

    def addInPlace(self, value1: list[Report], value2: list[Report]) -> list[Report]:
        """Adds a task's reports."""
        if self._hear is None:
            return [*value1, *value2]
        self._hear(value2)
        return value1

    def __reduce__(self) -> Any:
        return Reports, ()


@dataclass(frozen=True)
class Count:
    """Counts the rows of a task on an executor.

    Attributes:
        reports: an accumulator with `Reports`.
        title: what tasks do.
        name: whose rows they are, where a task has those of several.
    """

    reports: Accumulator[list[Report]] = field(repr=False)
    title: str
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def passed(self, parts: Iterable[Any], size: Callable[[Any], int] = len) -> Iterator[Any]:
        """The same parts; after the last one the task reports how many rows they had.

        Args:
            size: tells how many rows a part has. Default: what `len` says.
        """
        began, rows = time.perf_counter(), 0
        for part in parts:
            rows += size(part)
            yield part
        task = TaskContext.get()
        if task is not None:
            where = task.stageId(), task.partitionId(), task.taskAttemptId()
            seconds = time.perf_counter() - began
            self.reports.add([Report(self.title, *where, self.name, rows, seconds)])
