"""Spark's stages that compute what is lazy, as a bar: for actions that are none of ours.

What a task tells as it ends says that a stage runs; how far it is, Spark says then.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from elephas_torch.connect import is_connect
from elephas_torch.keras.progress import resolve_verbose
from elephas_torch.progress import screen
from elephas_torch.progress.tasks import AFTER, EVERY
from elephas_torch.progress.view import Tasks
from elephas_torch.tally import Count, Report, Reports

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator
    from pyspark.sql import DataFrame

_lock = threading.Lock()
#: The accumulators that tasks tell by: one for each context, as Spark's list of them only grows.
_known: dict[str, Accumulator[list[Report]]] = {}


def count(sc: SparkContext, title: str, verbose: int | str) -> Count | None:
    """What counts the rows of something lazy, wherever it is computed.

    Args:
        title: such as "Predicting".
        verbose: 1 and "auto" show stages that take more than two seconds, in a terminal or a
            notebook.

    Returns:
        None where nothing is to be shown.
    """
    if resolve_verbose(verbose) != 1:
        return None
    with _lock:
        if sc.applicationId not in _known:
            _known[sc.applicationId] = sc.accumulator([], Reports(Stages(sc).hear))
        return Count(_known[sc.applicationId], title)


def count_frame(frame: DataFrame, title: str, verbose: int | str) -> Count | None:
    """The same for what is made of a DataFrame's rows. None also for streams, which have their own
    progress, and on Spark Connect, which has no accumulators."""
    if is_connect(frame.sparkSession) or frame.isStreaming:
        return None
    return count(frame.sparkSession.sparkContext, title, verbose)


class Stage:
    """A stage that runs.

    Attributes:
        done, total: its tasks, as Spark has last said; it is behind now and then.
        hidden: whether it is shown no more, as it is over.
    """

    def __init__(self, title: str, began: float) -> None:
        self.title, self.began, self.done, self.total = title, began, 0, 0
        self.hidden = False
        self._rows: dict[int, Counter[tuple[int, str]]] = {}

    def add(self, report: Report) -> None:
        """A task has ended. Of a partition that was computed again, or by several models, the rows
        count once."""
        found = self._rows.setdefault(report.partition, Counter())
        found[report.attempt, report.of] += report.rows

    @property
    def is_over(self) -> bool:
        """Whether all tasks have told of rows."""
        return 0 < self.total <= len(self._rows)

    def view(self) -> Tasks:
        """What there is to show of it."""
        rows = sum(max(one.values()) for one in self._rows.values())
        done = min(max(self.done, len(self._rows)), self.total)
        return Tasks(self.title, done, self.total, time.perf_counter() - self.began, rows)


class Stages:
    """All of a SparkContext, shown one at a time by a thread that lives as long as they do."""

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc
        self._changed = threading.Condition()
        self._stages: dict[int, Stage] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        atexit.register(self.close)

    def hear(self, reports: list[Report]) -> None:
        """Tasks have ended. Takes no time: Spark's scheduler waits for it."""
        with self._changed:
            for one in reports:
                began = time.perf_counter() - one.seconds
                self._stages.setdefault(one.stage, Stage(one.title, began)).add(one)
            if self._is_due():
                self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Python ends: leaves the terminal in order."""
        with self._changed:
            self._closed, thread = True, self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(2)

    def _is_due(self) -> bool:
        """Whether something is to be done before the next look."""
        return self._closed or any(one.is_over and not one.hidden for one in self._stages.values())

    def _watch(self) -> None:
        place: screen.Screen | None = None
        try:
            while self._waits():
                view = self._look()
                if view is not None and resolve_verbose("auto") == 1:
                    place = place or screen.opened()
                    place.show(view)
                elif place is not None:
                    place.close()
                    place = None
        finally:
            if place is not None:
                place.close()

    def _waits(self) -> bool:
        """Waits for the time of the next look; False: there is nothing to look at."""
        with self._changed:
            if not self._stages or self._closed:
                self._thread = None
                return False
            return self._changed.wait_for(self._is_due, EVERY) or True

    def _look(self) -> Tasks | None:
        """Asks Spark for the stages that have taken long; what there is to show of the last."""
        with self._changed:
            now = time.perf_counter()
            long = {n: one for n, one in self._stages.items() if now - one.began >= AFTER}
        if not long:
            return None
        try:
            tracker = self._sc.statusTracker()
            active = set(tracker.getActiveStageIds())
            found = {number: tracker.getStageInfo(number) for number in long}
        except Exception:  # Spark was stopped
            active, found = set(), {}
        with self._changed:
            for number, stage in long.items():
                info = found.get(number)
                if info is None or number not in active:
                    del self._stages[number]
                else:
                    stage.hidden = stage.is_over
                    stage.done, stage.total = int(info.numCompletedTasks), int(info.numTasks)
            left = [n for n, stage in long.items() if n in self._stages and not stage.hidden]
            return long[max(left)].view() if left else None
