"""The Spark that runs a fit: what is needed of it, and of one with a SparkContext how it is had."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any, Protocol

from pyspark import InheritableThread, SparkContext

from elephas_torch import cluster

#: What Spark calls a thread's jobs by.
JOB = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")


class Cluster(Protocol):
    """What a fit needs of the Spark that runs it.

    Attributes:
        name: which Spark it is.
    """

    name: str

    def slots(self, wanted: int = 1, exactly: bool = False) -> int | None:
        """How many tasks run at once; None where nobody can tell. See `cluster.slots`."""
        ...

    def server_host(self, host: str | None) -> str:
        """The address of the driver that executors can reach."""
        ...

    def server_port(self, port: int | None) -> int:
        """The port asked for; 0: a free one."""
        ...

    def setting(self, name: str) -> str | None:
        """The Spark setting `spark.elephas.<name>`."""
        ...

    def hold(self, payload: bytes) -> Any:
        """Something that tasks find the bytes in, as `.value`, for as long as it is kept."""
        ...

    def share(self, payload: bytes) -> contextlib.AbstractContextManager[Any]:
        """The same, taken away in the end."""
        ...

    def thread(self, target: Callable[..., None], args: tuple[Any, ...]) -> Thread:
        """A thread for a Spark job."""
        ...

    def name_job(self, group: str, about: str) -> None:
        """Lets this thread's jobs be known, and cancelled, by a name."""
        ...

    def named(self, group: str, about: str) -> contextlib.AbstractContextManager[None]:
        """The same for a while; then this thread's jobs are called as before."""
        ...

    def describe(self, group: str, about: str) -> None:
        """Lets Spark's page say something else of the jobs of that name that run."""
        ...

    def cancel(self, group: str) -> None:
        """Cancels the jobs of that name."""
        ...

    def running(self) -> int | None:
        """How many tasks run now, of all jobs; None where nobody can tell."""
        ...

    def tasks(self, group: str) -> tuple[int, int]:
        """How many tasks of the jobs of that name have ended, and how many they have."""
        ...

    def finished(self, group: str) -> int:
        """How many tasks of the last job of that name have ended."""
        ...


class Classic:
    """Spark with a SparkContext in this process.

    Args:
        gpus: how many of them Spark is asked for, for each task; None: as its settings say.
    """

    def __init__(self, sc: SparkContext, gpus: float | None = None) -> None:
        self.sc, self.gpus = sc, gpus
        self.name = str(sc.applicationId)
        self._groups: dict[str, str] = {}

    def slots(self, wanted: int = 1, exactly: bool = False) -> int:
        """How many tasks run at once."""
        return cluster.slots(self.sc, wanted, exactly, self.gpus)

    def server_host(self, host: str | None) -> str:
        """The address of the driver that executors can reach."""
        return cluster.server_host(self.sc, host)

    def server_port(self, port: int | None) -> int:
        """The port asked for; 0: a free one."""
        return cluster.server_port(self.sc, port)

    def setting(self, name: str) -> str | None:
        """The Spark setting `spark.elephas.<name>`."""
        return cluster.setting(self.sc, name)

    def hold(self, payload: bytes) -> Any:
        """A broadcast, which Spark's cleaner takes away."""
        return self.sc.broadcast(payload)

    @contextlib.contextmanager
    def share(self, payload: bytes) -> Iterator[Any]:
        """A broadcast that leaves no file behind."""
        broadcast = self.hold(payload)
        try:
            yield broadcast
        except BaseException:
            with contextlib.suppress(Exception):  # Spark may be what has failed
                broadcast.destroy()
            raise
        broadcast.destroy()

    def thread(self, target: Callable[..., None], args: tuple[Any, ...]) -> Thread:
        """A thread for a Spark job, with the driver's settings of jobs."""
        return InheritableThread(target=target, args=args, daemon=True)

    def name_job(self, group: str, about: str) -> None:
        """Lets this thread's jobs be known, and cancelled, by a name. A job group of the user's own
        stays: cancelling that cancels these jobs, too."""
        users = self.sc.getLocalProperty("spark.jobGroup.id")
        if users is None or not hasattr(self.sc, "addJobTag"):  # Spark 3.4 has no tags
            self.sc.setJobGroup(group, about, interruptOnCancel=True)
            return
        self._groups[group] = users
        self.sc.addJobTag(group)
        self.sc.setJobDescription(about)
        self.sc.setInterruptOnCancel(True)

    @contextlib.contextmanager
    def named(self, group: str, about: str) -> Iterator[None]:
        """The same for a while; then this thread's jobs are called as before."""
        before = {name: self.sc.getLocalProperty(name) for name in JOB}
        self.name_job(group, about)
        try:
            yield
        finally:
            for name, value in before.items():
                self.sc.setLocalProperty(name, value)  # type: ignore[arg-type]  # None unsets it
            if self._groups.pop(group, None) is not None:
                self.sc.removeJobTag(group)

    def describe(self, group: str, about: str) -> None:
        """Lets Spark's page say something else of the jobs of that name that run."""
        for job in self._jobs(group):
            cluster.describe_job(self.sc, job, about)

    def cancel(self, group: str) -> None:
        """Cancels the jobs of that name."""
        if group in self._groups:
            self.sc.cancelJobsWithTag(group)
        else:
            self.sc.cancelJobGroup(group)

    def finished(self, group: str) -> int:
        """How many tasks of the last job of that name have ended."""
        last = self.sc.statusTracker().getStageInfo(max(self._stages(group), default=-1))
        return 0 if last is None else int(last.numCompletedTasks)

    def running(self) -> int:
        """How many tasks run now, of all jobs."""
        tracker = self.sc.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        return sum(int(stage.numActiveTasks) for stage in stages if stage is not None)

    def tasks(self, group: str) -> tuple[int, int]:
        """How many tasks of the jobs of that name have ended, and how many they have."""
        tracker = self.sc.statusTracker()
        known = [tracker.getStageInfo(stage) for stage in self._stages(group)]
        stages = [stage for stage in known if stage is not None]
        done = sum(int(stage.numCompletedTasks) for stage in stages)
        return done, sum(int(stage.numTasks) for stage in stages)

    def _jobs(self, group: str) -> list[int]:
        known = list(self.sc.statusTracker().getJobIdsForGroup(self._groups.get(group, group)))
        if group in self._groups:  # which has other jobs of the user's, too
            known = [one for one in known if group in self._tags(one)]
        return known

    def _stages(self, group: str) -> list[int]:
        tracker = self.sc.statusTracker()
        jobs = [tracker.getJobInfo(one) for one in self._jobs(group)]
        return [stage for job in jobs if job is not None for stage in job.stageIds]

    def _tags(self, job: int) -> str:
        from py4j.protocol import Py4JError

        try:
            return str(self.sc._jsc.sc().statusStore().job(job).jobTags().mkString(" "))
        except Py4JError:  # Spark has forgotten it
            return ""
