"""A driver of its own that fits twice, run by `peers.Peer`: where the time of each fit went.

All processes are on one machine, so their `time.perf_counter()` is one clock (on Linux).
"""

from __future__ import annotations

import contextlib
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import frames, networks, probe, serving

#: The stages of a fit, one after the other on the way of its last worker: they add up to the whole.
STAGES = (
    "driver: preparation",
    "Spark: start of the job",
    "Spark: start of Python",
    "worker: import of torch",
    "worker: import of the package",
    "worker: reading the task",
    "worker: model",
    "worker: waiting for the server",
    "worker: data in",
    "worker: join and first pull",
    "worker: compute",
    "worker: exchange",
    "worker: waiting for others",
    "worker: validation",
    "worker: reports to the driver",
    "worker: the rest",
    "Spark: end of the job",
    "driver: noticing, weights",
    "driver: server's end",
    "driver: the rest",
)
#: What goes on meanwhile, so isn't in the sum.
BESIDE = ("beside: server's start", "an empty Spark job")
SETTINGS = {"spark.python.daemon.module": "benchmarks.spark_daemon"}


def start() -> tuple[dict[str, Any], Callable[..., dict[str, Any]]]:
    """Nothing to say; what answers a request, which is one session with its fits."""
    return {}, answer


def answer(
    network: str, rows: int, epochs: int, batch_size: int, how: dict[str, Any]
) -> dict[str, Any]:
    """The stages in ms of the first fit of a session and of the second one.

    Args:
        how: what `SparkModel` is given.
    """
    from elephas_torch import SparkModel, keras
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    net = networks.NETWORKS[network]
    with frames.session(SETTINGS) as spark:
        context = spark.sparkContext
        rdd = to_simple_rdd(context, *networks.rows(net.shape, net.rows(rows)))
        found = {}
        for name in ("first fit", "second fit"):
            model = SparkModel(networks.by_keras(keras, net), num_workers=2, seed=0, **how)
            fit = functools.partial(
                model.fit, rdd, epochs=epochs, batch_size=batch_size, verbose=0,
                validation_split=0.1,
            )  # fmt: skip
            found[name] = profiled(context, fit)
            # Of a session whose JVM and Python workers are warm, for the first fit too.
            found[name][BESIDE[1]] = 1000 * empty_job(context)
    return found


def profiled(context: Any, fit: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of each stage of a fit, and of the whole."""
    marks: dict[str, Any] = {}
    with probe.probed() as workers, watched(marks):
        marks["begin"] = time.perf_counter()
        fit()
        marks["end"] = time.perf_counter()
    last = max(workers, key=lambda one: one["probe"]["ended"])
    marks["launched"] = launched(context, marks["group"], last["worker"])
    return {name: 1000 * seconds for name, seconds in stages(marks, last, workers).items()}


def stages(
    marks: dict[str, Any], last: dict[str, Any], workers: list[dict[str, Any]]
) -> dict[str, float]:
    """Seconds of each of `STAGES`, of the whole, and of what went on beside.

    Args:
        marks: of the driver.
        last: the worker that ended last.
        workers: all of them.
    """
    seen = last["probe"]
    process, parts = seen["process"], {k: sum(v) for k, v in seen["seconds"].items()}
    told = sum(parts.get(name, 0.0) for name in ("report", "leave", "heartbeat"))
    exchange, waiting = exchanged(last, workers)
    inner = {
        "worker: model": parts.get("model", 0.0),
        "worker: waiting for the server": parts.get("health", 0.0),
        "worker: data in": parts.get("data", 0.0),
        "worker: join and first pull": parts.get("join", 0.0) + parts.get("pull", 0.0),
        "worker: compute": parts.get("epoch", 0.0) - parts.get("exchange", 0.0),
        "worker: exchange": exchange,
        "worker: waiting for others": waiting,
        "worker: validation": parts.get("validation", 0.0),
        "worker: reports to the driver": told,
    }
    found = {
        "driver: preparation": marks["submitted"] - marks["begin"],
        "Spark: start of the job": marks["launched"] - marks["submitted"],
        "Spark: start of Python": process["python"] - marks["launched"],
        "worker: import of torch": process["torch"] - process["python"],
        "worker: import of the package": process["imported"] - process["torch"],
        "worker: reading the task": seen["began"] - process["imported"],
        **inner,
        "worker: the rest": seen["ended"] - seen["began"] - sum(inner.values()),
        "Spark: end of the job": marks["collected"] - seen["ended"],
        "driver: noticing, weights": marks["stopping"] - marks["collected"],
        "driver: server's end": marks["stopped"] - marks["stopping"],
        "driver: the rest": marks["end"] - marks["stopped"],
    }
    found["whole"] = sum(found.values())
    found[BESIDE[0]] = marks["ready"] - marks["starting"]
    return found


def exchanged(last: dict[str, Any], workers: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds of a worker's exchanges, apart into the exchange itself and waiting for others.

    From outside both are one call. One that nobody keeps waiting takes about what the quickest
    tenth of all workers' calls do; the rest is waiting, for a round or for the server's attention.
    """
    calls = [one["probe"]["seconds"].get("exchange", []) for one in workers]
    quick = sorted(seconds for several in calls for seconds in several)
    mine = last["probe"]["seconds"].get("exchange", [])
    if not mine:
        return 0.0, 0.0
    alone = statistics.median(quick[: max(len(quick) // 10, 1)])
    exchange = min(alone * len(mine), sum(mine))
    return exchange, sum(mine) - exchange


@contextlib.contextmanager
def watched(marks: dict[str, Any]) -> Iterator[None]:
    """Notes when the driver comes to its own stages."""

    def results(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any, *args: Any) -> Any:
            marks["submitted"] = time.perf_counter()
            try:
                return original(self, *args)
            finally:
                marks["collected"] = time.perf_counter()

        return run

    def named(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any, group: str, about: str) -> None:
            marks["group"] = group
            original(self, group, about)

        return run

    def starting(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any) -> Any:
            marks["starting"] = time.perf_counter()
            return original(self)

        return run

    def stopping(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any) -> None:
            marks["stopping"] = time.perf_counter()
            with self.client() as client:
                uptime = client.status()["uptime"]
            asked = time.perf_counter()
            original(self)
            # The asking was ours, not the fit's.
            marks["stopped"] = time.perf_counter() - (asked - marks["stopping"])
            marks["ready"] = asked - uptime

        return run

    with contextlib.ExitStack() as stack:
        for module, name, wrap in (
            ("elephas_torch.sources", "RddSource.results", results),
            ("elephas_torch.classic", "Classic.name_job", named),
            ("elephas_torch.parameter.process", "ServerProcess.start", starting),
            ("elephas_torch.parameter.process", "ServerProcess.stop", stopping),
        ):
            stack.enter_context(probe.replaced(module, name, wrap))
        yield


def launched(context: Any, group: str, partition: int) -> float:
    """When Spark launched a partition's last task, on the clock of `time.perf_counter`."""
    tracker = context.statusTracker()
    job = max(tracker.getJobIdsForGroup(group))
    stage = max(tracker.getJobInfo(job).stageIds)
    tasks = context._jsc.sc().statusStore().taskList(stage, 0, 1000)
    several = [tasks.apply(number) for number in range(tasks.size())]
    mine = next(one for one in several if one.index() == partition)
    return mine.launchTime().getTime() / 1000 + time.perf_counter() - time.time()


def empty_job(context: Any) -> float:
    """Seconds of a job that does nothing, in Python workers that are there."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        context.parallelize(range(2), 2).map(_same).collect()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _same(one: Any) -> Any:
    return one


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    serving.serve(start)
