"""What a worker does with its time, taken from outside: the fit runs `train` here in place of
`elephas_torch.task.train`, which it calls, with a clock around some of its parts."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: A label, and the function behind it, as module and dotted name.
PARTS = {
    "health": ("elephas_torch.parameter.client", "Client.health"),
    "model": ("elephas_torch.worker", "load_model"),
    "data": ("elephas_torch.store", "load"),
    "join": ("elephas_torch.parameter.client", "Client.join"),
    "pull": ("elephas_torch.exchange", "Exchange.__init__"),
    "epoch": ("elephas_torch.exchange", "Exchange.epoch"),
    "exchange": ("elephas_torch.exchange", "Exchange._exchanged"),
    "validation": ("elephas_torch.keras.step", "Step.evaluate"),
    "report": ("elephas_torch.parameter.client", "Client.report"),
    "leave": ("elephas_torch.parameter.client", "Client.leave"),
    "heartbeat": ("elephas_torch.heartbeat", "Heartbeat.__exit__"),
}


@contextlib.contextmanager
def clock(taken: dict[str, list[float]]) -> Iterator[None]:
    """Notes the seconds of each call of the parts, by label."""
    with contextlib.ExitStack() as stack:
        for label, (module, name) in PARTS.items():
            stack.enter_context(replaced(module, name, functools.partial(_timed, label, taken)))
        yield


@contextlib.contextmanager
def replaced(
    module: str, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Puts a function around another one, for a while."""
    import importlib

    *path, last = name.split(".")
    owner = functools.reduce(getattr, path, importlib.import_module(module))
    original = vars(owner)[last]
    setattr(owner, last, wrap(original))
    try:
        yield
    finally:
        setattr(owner, last, original)


def _timed(
    label: str, taken: dict[str, list[float]], original: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            taken.setdefault(label, []).append(time.perf_counter() - began)

    return timed


def train(job: Any, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """`elephas_torch.task.train`, with "probe" in what it yields: when it began and ended, the
    seconds of its parts, and when its process got the task."""
    from benchmarks import spark_worker
    from elephas_torch import task

    began = time.perf_counter()
    taken: dict[str, list[float]] = {}
    with clock(taken):
        found = list(task.train(job, partition, rows))
    for one in found:
        seen = {"began": began, "ended": time.perf_counter(), "seconds": taken}
        yield {**one, "probe": {**seen, "process": dict(spark_worker.SEEN)}}


def weighed(job: Any, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The same, with the bytes that its process grew by, as "peak"."""
    from benchmarks import peaks

    start = peaks.reset()
    for one in train(job, partition, rows):
        yield {**one, "probe": {**one["probe"], "peak": peaks.grown(start)}}


@contextlib.contextmanager
def probed(task: Callable[..., Any] = train) -> Iterator[list[dict[str, Any]]]:
    """Lets fits run one of the tasks above; gives what their workers yielded, the last fit's."""
    found: list[dict[str, Any]] = []

    def keep(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any, *args: Any) -> None:
            original(self, *args)
            found[:] = self.results

        return run

    with (
        replaced("elephas_torch.task", "train", lambda original: task),
        replaced("elephas_torch.jobs", "TrainingJob._run", keep),
    ):
        yield found
