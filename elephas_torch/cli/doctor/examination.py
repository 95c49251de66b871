"""Collects what the doctor judges: facts of the driver, Spark, executors, and a training."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from elephas_torch import cluster
from elephas_torch._version import __version__
from elephas_torch.cli.doctor import probe
from elephas_torch.cli.doctor.report import Report
from elephas_torch.errors import WaitTimeout

T = TypeVar("T")
ARROW = "spark.sql.execution.arrow.pyspark.enabled"
#: Elements of the vector that is pushed and pulled: 4 MB.
ELEMENTS = 2**20
#: Seconds that a task takes at least, in the first round and in another one where not all
#: executors had a turn.
HOLDS = (1.0, 5.0)


def examine(
    sc: Any,
    workers: int | None = None,
    seconds: float = 10.0,
    timeout: float = 120.0,
    say: Callable[[str], Any] = lambda text: None,
) -> Report:
    """Looks at a Spark cluster as training would meet it.

    Args:
        sc: a SparkContext, or a SparkSession (not of Spark Connect).
        workers: how many workers are to train at once. Default None: as many as there are slots.
        seconds: that the training run lasts; 0: none. Default 10.
        timeout: seconds that each step may take. Default 120.
        say: is called with a line at the beginning of each step.

    Returns:
        A `Report`: print it, or see its `verdict`, `findings` and `facts`.

    Raises:
        TypeError, ValueError: `sc` is something else.
    """
    from elephas_torch.connect import context_of

    sc = context_of(sc)
    cluster.prepare_python(sc)
    say("looking at the driver and at Spark")
    facts: dict[str, Any] = {"driver": driver(), "spark": spark(sc, workers, say)}
    with _server(sc, facts) as server:
        if facts["spark"]["slots"]:
            say(f"asking executors, in {facts['spark']['slots']} slots")
            facts["executors"], facts["trouble"] = _asked(sc, facts["spark"], server, timeout)
    if facts.get("executors"):
        say("sending Arrow batches")
        facts["arrow"] = _arrow(sc, timeout)
    report = Report.of(facts)
    if seconds and facts.get("executors") and report.verdict != "fail":
        say(f"training for {seconds:g} seconds")
        facts["training"] = _training(sc, facts["spark"], seconds, timeout)
        report = Report.of(facts)
    return report


def driver() -> dict[str, Any]:
    """Facts of this process and its machine."""
    import socket

    return {"host": socket.gethostname(), **probe.software(), **probe.machine()}


def spark(sc: Any, workers: int | None, say: Callable[[str], Any]) -> dict[str, Any]:
    """Facts of Spark that the driver knows; waits for executors that are on the way."""
    names = (
        "spark.driver.host", "spark.task.cpus", "spark.executor.cores", "spark.executor.memory",
        "spark.cores.max", "spark.dynamicAllocation.enabled", "spark.pyspark.python",
        "spark.executor.resource.gpu.amount", "spark.task.resource.gpu.amount",
        "spark.elephas.host", "spark.elephas.port",
    )  # fmt: skip
    settings = {name: cluster._conf(sc, name) for name in names}
    settings[ARROW] = _sql_setting(sc, ARROW)
    dynamic = settings["spark.dynamicAllocation.enabled"] == "true"
    say("waiting for executors")
    slots = cluster.slots(sc, workers or (2 if dynamic else sys.maxsize))
    return {
        "master": str(sc.master),
        "local": cluster.is_local(sc),
        "version": str(sc.version),
        "java": _java(sc),
        "slots": slots if slots < sys.maxsize else 2,
        "workers": workers,
        "executors": _executors(sc),
        "settings": {name: value for name, value in settings.items() if value is not None},
    }


def _sql_setting(sc: Any, name: str) -> str | None:
    """A setting of Spark SQL, with its default where nobody has set it."""
    from pyspark.sql import SparkSession

    with contextlib.suppress(Exception):
        return str(SparkSession(sc).conf.get(name))
    return None


def _java(sc: Any) -> str | None:
    with contextlib.suppress(Exception):
        return str(sc._jvm.java.lang.System.getProperty("java.version"))
    return None


def _executors(sc: Any) -> int | None:
    """How many processes run tasks; None where Spark doesn't say."""
    with contextlib.suppress(Exception):  # not all of it is public
        known = sc._jsc.sc().statusTracker().getExecutorInfos()
        return max(len(known) - 1, 1 if cluster.is_local(sc) else 0)
    return None


@contextlib.contextmanager
def _server(sc: Any, facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A parameter server as a fit would start it; gives what a probe is to know of it."""
    asked: dict[str, Any] = {
        "address": None, "token": None, "certificate": None, "sizes": (ELEMENTS, 0, 0),
        "version": __version__,
    }  # fmt: skip
    told: dict[str, Any] = {"host": None, "url": None, "error": None}
    facts["server"] = told
    with contextlib.ExitStack() as stack:
        try:
            host = told["host"] = cluster.server_host(sc)
            made = stack.enter_context(_made(sc, host))
            told["url"] = made.url
            asked |= {
                "address": made.address,
                "token": made.token,
                "certificate": made.certificate,
            }
        except Exception as error:  # each is a finding
            told["error"] = f"{type(error).__name__}: {error}"
        yield asked


def _made(sc: Any, host: str) -> Any:
    import torch

    from elephas_torch import arguments, optimizers
    from elephas_torch.flat import Vectors
    from elephas_torch.parameter import ServerProcess, Settings
    from elephas_torch.parameter.tls import Wanted

    initial = Vectors(torch.zeros(ELEMENTS), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.1))
    tls = arguments.tls_of(Wanted(), functools.partial(cluster.setting, sc), "server")
    return ServerProcess(
        Settings("asynchronous", initial.sizes, rule, workers=1),
        initial,
        host=host,
        port=cluster.server_port(sc, None),
        keep=True,  # for the training
        ssl=tls.ssl,
        ssl_certfile=tls.certfile,
        ssl_keyfile=tls.keyfile,
        ssl_keyfile_password=tls.password,
    )


def _asked(
    sc: Any, known: dict[str, Any], server: dict[str, Any], timeout: float
) -> tuple[list[dict[str, Any]], str | None]:
    """What tasks on all executors say, and why there is nothing; in more rounds where not all
    executors had one."""
    found: dict[int, dict[str, Any]] = {}
    end = time.monotonic() + timeout
    for number, hold in enumerate(HOLDS):
        asked = {**server, "hold": hold, "connect_seconds": min(5.0, timeout / 4)}
        try:
            run = functools.partial(_probed, sc, known["slots"], asked, number * 100_000)
            for one in within(sc, run, end - time.monotonic(), "the executors' answers"):
                found[one["partition"]] = one
        except Exception as error:
            if not found:
                return [], f"{cluster.python_error(error)}"
        executors = len({(one["host"], one["process"]) for one in found.values()})
        if executors >= (known["executors"] or 0):
            break
    return list(found.values()), None


def _probed(sc: Any, slots: int, asked: dict[str, Any], first: int) -> list[dict[str, Any]]:
    from pyspark import cloudpickle

    look = probe.look
    cloudpickle.register_pickle_by_value(probe)
    try:
        numbers = sc.parallelize(range(first, first + slots), slots)
        tasks = numbers.map(lambda number: look(asked, number))
        return tasks.collect()
    finally:
        cloudpickle.unregister_pickle_by_value(probe)


def _arrow(sc: Any, timeout: float) -> dict[str, Any]:
    """Whether batches go to Python workers and back, as DataFrames' rows do."""
    from pyspark.sql import SparkSession

    def run() -> int:
        frame = SparkSession(sc).range(8, numPartitions=1)
        return len(frame.mapInArrow(lambda batches: batches, frame.schema).collect())

    try:
        rows = within(sc, run, timeout, "a job of Arrow batches")
        return {"rows": rows, "error": None}
    except Exception as error:
        return {"rows": None, "error": cluster.python_error(error)}


def _training(sc: Any, known: dict[str, Any], seconds: float, timeout: float) -> dict[str, Any]:
    from elephas_torch.cli.doctor import trial

    workers = min(known["workers"] or known["slots"], known["slots"])
    started = time.monotonic()
    try:
        run = functools.partial(trial.train, sc, workers, seconds, timeout)
        return {"error": None, **within(sc, run, seconds + timeout, "the training run")}
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return {"error": text, "workers": workers, "seconds": time.monotonic() - started}


def within(sc: Any, run: Callable[[], T], seconds: float, what: str) -> T:
    """What `run` gives, in a thread of its own.

    Raises:
        WaitTimeout: it took longer; its Spark jobs are cancelled.
    """
    from pyspark import InheritableThread

    group, outcome = f"elephas-doctor-{uuid.uuid4().hex[:8]}", Outcome(run)

    def body() -> None:
        sc.setJobGroup(group, f"elephas-torch doctor: {what}", interruptOnCancel=True)
        outcome.take()

    thread = InheritableThread(target=body, daemon=True)
    thread.start()
    try:
        thread.join(max(seconds, 1.0))
    finally:
        if thread.is_alive():
            sc.cancelJobGroup(group)
    if thread.is_alive():
        raise WaitTimeout(f"Waited {math.ceil(seconds)} s for {what}, in vain.")
    return outcome.given()


class Outcome:
    """What a function that ran in a thread gave, or raised."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._value: Any = None
        self._error: BaseException | None = None

    def take(self) -> None:
        """Runs it."""
        try:
            self._value = self._run()
        except BaseException as error:
            self._error = error

    def given(self) -> Any:
        """Its value; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value


def session(settings: dict[str, str], timeout: float) -> Any:
    """A SparkSession, made in a thread, as there may be no such master.

    Raises:
        WaitTimeout: it took longer than `timeout` seconds.
    """
    from pyspark.sql import SparkSession

    def run() -> Any:
        builder = SparkSession.builder.appName("elephas-torch doctor")
        for name, value in settings.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()

    outcome = Outcome(run)
    thread = threading.Thread(target=outcome.take, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise WaitTimeout(f"there was none within {timeout:g} s.")
    return outcome.given()
