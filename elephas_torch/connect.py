"""Spark Connect: a session without a SparkContext, on a Spark that runs somewhere else.

Follows https://spark.apache.org/docs/latest/spark-connect-overview.html. There are no RDDs, no
broadcasts and no job groups: weights travel with the task, large ones as a file of the session,
and jobs are known by tags. The parameter server runs beside this process, so executors must reach
it: `host` and `port` say where.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elephas_torch.cluster import own_address

if TYPE_CHECKING:
    from pyspark import SparkContext

#: Bytes that travel within a task; Spark Connect ends at 128 MB.
CLOSURE_BYTES = 32 * 2**20

_PORT = 15002


def is_connect(session: Any) -> bool:
    """Whether a session is one of Spark Connect."""
    return ".connect." in type(session).__module__


def is_session(thing: Any) -> bool:
    """Whether it is a SparkSession, classic or of Spark Connect."""
    return type(thing).__module__.startswith("pyspark.sql") and hasattr(thing, "createDataFrame")


def context_of(sc: Any) -> SparkContext:
    """A SparkContext itself, or that of a classic session.

    Raises:
        TypeError: it is neither.
        ValueError: it is a session of Spark Connect, which has none.
    """
    from pyspark import SparkContext

    if isinstance(sc, SparkContext):
        return sc
    if not is_session(sc):
        raise TypeError(f"`sc` must be a SparkContext or a SparkSession. Received: sc={sc!r}")
    if is_connect(sc):
        raise ValueError(
            "Spark Connect has no RDDs: to_data_frame(session, x, y) of elephas_torch.ml.adapter "
            "makes a DataFrame of arrays, which SparkModel takes."
        )
    return sc.sparkContext


class Connect:
    """A Spark Connect session as a `classic.Cluster`.

    Args:
        session: a SparkSession of Spark Connect.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.name = str(session.client.host)

    def slots(self, wanted: int = 1, exactly: bool = False) -> int | None:
        """How many tasks run at once; None where the session can't tell."""
        master = str(self.session.conf.get("spark.master", ""))
        if found := re.fullmatch(r"local\[(\d+)(,\d+)?\]", master):
            return int(found[1])
        if found := re.fullmatch(r"local-cluster\[(\d+),(\d+),\d+\]", master):
            return int(found[1]) * int(found[2])
        if master == "local":
            return 1
        return None

    def server_host(self, host: str | None) -> str:
        """The address of this process that executors can reach.

        That is `host`, or `spark.elephas.host`, or the loopback address where all is on one
        machine, or the address from which this machine speaks to Spark.
        """
        if host or (host := self.setting("host")):
            return host
        remote = str(self.session.client.host)
        with contextlib.suppress(OSError):
            return own_address(remote, _PORT)
        raise ValueError(
            f"The address under which executors reach this machine isn't known ({remote!r} "
            "could not be looked up). Set host=…, or spark.elephas.host."
        )

    def server_port(self, port: int | None) -> int:
        """The port asked for by argument or `spark.elephas.port`; 0: a free one."""
        return int(port or self.setting("port") or 0)

    def setting(self, name: str) -> str | None:
        """The Spark setting `spark.elephas.<name>`."""
        value = self.session.conf.get(f"spark.elephas.{name}", None)
        return None if value is None else str(value)

    def hold(self, payload: bytes) -> Within | File:
        """The bytes within the task, or in a file of the session."""
        if len(payload) <= CLOSURE_BYTES:
            return Within(payload)
        name = f"elephas-{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="elephas-") as folder:
            path = Path(folder) / name
            path.write_bytes(payload)
            self.session.addArtifact(str(path), file=True)
        return File(name)

    @contextlib.contextmanager
    def share(self, payload: bytes) -> Iterator[Any]:
        """The same: nothing of it is to be taken away."""
        yield self.hold(payload)

    def thread(self, target: Callable[..., None], args: tuple[Any, ...]) -> threading.Thread:
        """A thread for a Spark job."""
        return threading.Thread(target=target, args=args, daemon=True)

    def name_job(self, group: str, about: str) -> None:
        """Lets this thread's jobs be known, and cancelled, by a name."""
        self.session.addTag(group)

    @contextlib.contextmanager
    def named(self, group: str, about: str) -> Iterator[None]:
        """The same for a while."""
        self.session.addTag(group)
        try:
            yield
        finally:
            self.session.removeTag(group)

    def running(self) -> None:
        """How many tasks run now: no client can tell."""

    def describe(self, group: str, about: str) -> None:
        """Lets Spark's page say something else: no client can."""

    def cancel(self, group: str) -> None:
        """Cancels the jobs of that name."""
        self.session.interruptTag(group)

    def tasks(self, group: str) -> tuple[int, int]:
        """How many tasks have ended, and how many there are: nobody can tell; 0, 0."""
        return 0, 0

    def finished(self, group: str) -> int:
        """How many tasks of the last job of that name have ended: nobody can tell; 0."""
        return 0


@dataclass(frozen=True)
class Within:
    """Bytes that travel with the task."""

    value: bytes = field(repr=False)


@dataclass(frozen=True)
class File:
    """Bytes in a file of the session."""

    name: str

    @property
    def value(self) -> bytes:
        """The bytes; read where a task runs."""
        from pyspark import SparkFiles

        return Path(SparkFiles.get(self.name)).read_bytes()
