"""What a driver must know of its Spark cluster: slots, addresses, Pythons, settings."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from typing import Any

from pyspark import SparkContext

_PREFIX = "spark.elephas."
#: How long executors have to come after a context's start, as Spark names it.
_START = "spark.scheduler.maxRegisteredResourcesWaitingTime"
#: Its default in seconds; and those without a new one, after which no more are waited for where it
#: goes on without.
START_SECONDS, STILL_SECONDS = 30.0, 3.0
#: Modules without which no task of this package runs.
_NEEDED = ("elephas_torch", "numpy", "pandas", "pyarrow", "safetensors", "torch")


def is_local(sc: SparkContext) -> bool:
    """Whether tasks run on the driver's own machine (local, local[N], local-cluster)."""
    return str(sc.master).startswith("local")


def prepare_python(sc: SparkContext) -> None:
    """Lets local workers run the driver's Python, unless somebody chose another.

    Without PYSPARK_PYTHON Spark takes the `python3` of the PATH, which in a virtual environment
    that isn't activated is another one, without this package.
    """
    chosen = os.environ.get("PYSPARK_PYTHON") or _conf(sc, "spark.pyspark.python")
    if is_local(sc) and not chosen:
        sc.pythonExec = sys.executable


def slots(
    sc: SparkContext, wanted: int = 1, exactly: bool = False, gpus: float | None = None
) -> int:
    """How many tasks the cluster runs at once, as it is now, or soon.

    Executors of a cluster come one after the other: for a context that has just started, those are
    waited for that are on the way. With dynamic allocation they come when there are tasks: what may
    come counts as there.

    Args:
        wanted: so many are enough.
        exactly: with fewer nothing can be done, so that it is waited for them as long as Spark
            itself would. Default False: until no more come for some seconds.
        gpus: how many of them each task needs; None: as Spark's settings say.
    """
    found = _slots(sc, gpus)
    if _conf(sc, "spark.dynamicAllocation.enabled") == "true" and found < wanted:
        return max(found, min(wanted, _most(sc)))
    if str(sc.master).startswith("local"):
        return found  # those of local-cluster have come when its context is there
    still, longest = time.monotonic(), _start_seconds(sc)
    last = min(time.time(), int(sc.startTime or 0) / 1000) + longest
    while found < wanted and time.time() < last:
        if not exactly and found and time.monotonic() - still > STILL_SECONDS:
            break
        time.sleep(0.1)
        found, before = _slots(sc, gpus), found
        still = still if found == before else time.monotonic()
    return found


def _start_seconds(sc: SparkContext) -> float:
    given = _conf(sc, _START)
    if given is None:
        return START_SECONDS
    java: Any = sc._jvm
    return float(java.org.apache.spark.network.util.JavaUtils.timeStringAsMs(given)) / 1000


def _slots(sc: SparkContext, gpus: float | None = None) -> int:
    try:
        scala = sc._jsc.sc()
        if gpus is None:
            profile = scala.resourceProfileManager().defaultResourceProfile()
        else:
            profile = gpu_profile(sc, gpus)._java_resource_profile
        return int(scala.maxNumConcurrentTasks(profile))
    except Exception:  # Spark's own, not public API: it may go or change
        return int(sc.defaultParallelism)


def _most(sc: SparkContext) -> int:
    """How many slots dynamic allocation may come to, as far as settings say."""
    executors = _conf(sc, "spark.dynamicAllocation.maxExecutors")
    cores = int(_conf(sc, "spark.executor.cores") or 1)
    cpus = int(_conf(sc, "spark.task.cpus") or 1)
    return sys.maxsize if executors is None else int(executors) * max(cores // cpus, 1)


#: Resource profiles that were made: Spark numbers them, and a stage's executors know the number.
_profiles: dict[tuple[str, float], Any] = {}


def gpu_profile(sc: SparkContext, gpus: float) -> Any:
    """Spark's resource profile of tasks that need so many GPUs, on executors as they are."""
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    key = str(sc.applicationId), gpus
    if key not in _profiles:
        cpus = int(_conf(sc, "spark.task.cpus") or 1)
        wanted = TaskResourceRequests().cpus(cpus).resource("gpu", gpus)
        profile = ResourceProfileBuilder().require(wanted).build
        sc._jsc.sc().resourceProfileManager().addResourceProfile(profile._java_resource_profile)
        _profiles[key] = profile
    return _profiles[key]


def check_gpus(sc: SparkContext, gpus: float | None) -> None:
    """Raises ValueError where Spark can't give each task of a stage so many GPUs.

    Args:
        gpus: None asks for nothing.
    """
    from py4j.protocol import Py4JJavaError

    if gpus is None:
        return
    if re.match(r"local(\[|$)", str(sc.master)):
        raise ValueError(
            "gpus_per_task asks the cluster manager for GPUs, and in local mode there is none: "
            "leave it out, and each task takes a GPU by its number. "
            f"Received: gpus_per_task={gpus!r}, with Spark's master {sc.master!r}"
        )
    there = _conf(sc, "spark.executor.resource.gpu.amount")
    if there is None or float(there) < gpus:
        raise ValueError(
            f"gpus_per_task={gpus!r} needs executors with GPUs that Spark knows of: set "
            "spark.executor.resource.gpu.amount, and a discovery script, before the session is "
            f"made; see docs/gpu.md. Received: spark.executor.resource.gpu.amount={there}"
        )
    try:
        gpu_profile(sc, gpus)
    except Py4JJavaError as error:
        raise ValueError(
            f"gpus_per_task={gpus!r}: this Spark can't give GPUs to a stage alone "
            f"({python_error(error)}). Leave it out, and set spark.task.resource.gpu.amount."
        ) from None


def setting(sc: SparkContext, name: str, default: str | None = None) -> str | None:
    """The Spark setting `spark.elephas.<name>`."""
    return _conf(sc, _PREFIX + name) or default


def encrypts_files(sc: SparkContext) -> bool:
    """Whether what Spark writes to the executors' disks is to be read by nobody else."""
    return (_conf(sc, "spark.io.encryption.enabled") or "").lower() == "true"


def _conf(sc: SparkContext, name: str) -> str | None:
    """One setting; `sc.getConf()` would copy them all, one call of the JVM each."""
    value = sc._conf.get(name)
    return None if value is None else str(value)


def server_host(sc: SparkContext, host: str | None = None) -> str:
    """The address of the driver that executors can reach.

    That is `host`, or `spark.elephas.host`, or the loopback address where all is on one machine,
    or `spark.driver.host`, which executors already use to reach the driver.
    """
    if host or (host := setting(sc, "host")):
        return host
    if is_local(sc):
        return "127.0.0.1"
    return str(_conf(sc, "spark.driver.host"))


def own_address(host: str, port: int | None) -> str:
    """This machine's address as those know it who are at `host`; raises OSError where there is no
    way there."""
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)  # sends nothing
        return str(probe.getsockname()[0])


def server_port(sc: SparkContext, port: int | None) -> int:
    """The port asked for by argument or `spark.elephas.port`; 0, the default, takes a free one."""
    return int(port or setting(sc, "port") or 0)


def python_error(error: BaseException) -> str:
    """What a failed Spark job's error says: that executors have another Python, or else the
    Python part of it, without Java's; or its first line."""
    if isinstance(error, ConnectionError) or type(error).__name__ == "Py4JNetworkError":
        return f"Spark's JVM has ended, or can't be reached ({error})."
    java = getattr(error, "java_exception", None)
    text = (str(java.getMessage()) if java is not None else str(error)).strip()
    missing = re.search(r"^ModuleNotFoundError: No module named '(\w+)'", text, re.MULTILINE)
    if missing and missing[1] in _NEEDED:
        return _other_python(missing[1])
    start = text.find("Traceback (most recent call last)")
    if start < 0:
        return text.splitlines()[0] if text else type(error).__name__
    lines = text[start:].splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith("\tat ")), len(lines))
    return "\n".join(line for line in lines[:end] if not line.startswith(" SQLSTATE")).strip()


def _other_python(module: str) -> str:
    chosen = os.environ.get("PYSPARK_PYTHON")
    which = f"is {chosen!r}" if chosen else "isn't set, and Spark takes the python3 of the PATH"
    return (
        f"the executors' Python has no module {module!r}. PYSPARK_PYTHON {which}. Set it, before "
        f"the session is made, to this driver's Python, {sys.executable!r}, or to one on the "
        f"executors that has elephas_torch; or install elephas_torch there."
    )


#: What Spark says of a task whose process or machine went away.
_LOST = ("exited unexpectedly", "ExecutorLostFailure", "Connection reset", "EOFException")


def lost_task(error: BaseException) -> bool:
    """Whether a Spark job failed because a task's process was lost, and not by an exception."""
    text = python_error(error) + str(error)
    return "Traceback (most recent call last)" not in text and any(one in text for one in _LOST)


def fits_barrier(jrdd: Any) -> bool:
    """Whether Spark runs this RDD of the JVM's as a barrier stage.

    It refuses where an RDD of the stage has another number of partitions: behind `coalesce`,
    `union` and the like.
    """
    count, left = jrdd.getNumPartitions(), [jrdd]
    while left:
        one = left.pop()
        if one.getNumPartitions() != count:
            return False
        parents = one.dependencies()
        for number in range(parents.size()):
            parent = parents.apply(number)
            if not parent.getClass().getName().endswith("ShuffleDependency"):
                left.append(parent.rdd())
    return True


def check_running(sc: SparkContext) -> None:
    """Raises ValueError where the context was stopped."""
    if sc._jsc is None:
        raise ValueError("The RDD's SparkContext was stopped. Make a new one, and a new RDD.")


def describe_job(sc: SparkContext, job: int, about: str) -> None:
    """Lets Spark's page, and its REST API, say something else of a job that runs.

    Spark has no call for that: a job is described when it is submitted. What its page shows is
    changed here, as long as Spark keeps that in memory. Where one of the job's tasks begins or
    ends, Spark writes the first description over it.

    Raises:
        Py4JError: this Spark keeps it otherwise, or has forgotten the job.
    """
    shown = sc._jsc.sc().statusStore().job(job)
    if shown.status().toString() == "RUNNING":
        field = shown.getClass().getDeclaredField("description")
        field.setAccessible(True)
        jvm: Any = sc._jvm
        field.set(shown, jvm.scala.Some(about))


def task_cpus() -> int:
    """The cores that the task which calls this may use."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return max(int(context.cpus()), 1) if context is not None else 1


def attempt() -> int:
    """A number for this attempt of the task which calls this, that rises with each."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.taskAttemptId() if context is not None else 0


def tries() -> int:
    """How many attempts Spark has begun of this task before; with each attempt at its stage it
    begins to count anew."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.attemptNumber() if context is not None else 0
