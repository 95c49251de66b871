"""Spark jobs that somebody waits for: their names on Spark's pages, and their tasks as a bar."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Protocol

from elephas_torch.progress import screen
from elephas_torch.progress.view import Tasks

#: Seconds after which a job is worth a bar, and between two looks at it.
AFTER, EVERY = 2.0, 0.5


class Cluster(Protocol):
    """What runs the jobs: `classic.Cluster`."""

    def named(self, group: str, about: str) -> contextlib.AbstractContextManager[None]: ...

    def tasks(self, group: str) -> tuple[int, int]: ...


@contextmanager
def shown(cluster: Cluster, title: str, verbose: int) -> Iterator[None]:
    """Names the jobs that this thread starts meanwhile; shows them if they take long.

    Args:
        title: such as "Predicting".
        verbose: 1 shows them, after two seconds; other numbers don't.
    """
    group = f"elephas-{uuid.uuid4().hex[:12]}"
    with cluster.named(group, f"elephas_torch: {title.lower()}"):
        if verbose != 1:
            yield
            return
        over = Event()
        thread = Thread(target=_watch, args=(cluster, group, title, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(5)


def _watch(cluster: Cluster, group: str, title: str, over: Event) -> None:
    began = time.perf_counter()
    if over.wait(AFTER):
        return
    place = screen.opened()
    try:
        while not over.wait(EVERY):
            try:
                done, total = cluster.tasks(group)
            except Exception:  # Spark was stopped: whoever waits for the job hears of it
                return
            if total:
                place.show(Tasks(title, done, total, time.perf_counter() - began))
    finally:
        place.close()
