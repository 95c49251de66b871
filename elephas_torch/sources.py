"""Where rows come from, and how tasks are run on them: an RDD, or a DataFrame through Arrow.

A task is a function of a partition's number and its rows that yields dicts; on a DataFrame the
rows are Arrow's record batches, and the dicts must be JSON-able.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from pyspark import RDD, TaskContext

from elephas_torch import cluster, persisted
from elephas_torch.arrow import Batches
from elephas_torch.classic import Classic, Cluster
from elephas_torch.data import Blocks, Pairs, Reader
from elephas_torch.keeping import Keep
from elephas_torch.skipping import RowsCut

#: Bytes of an Arrow batch. Spark's 10,000 wide rows are some dozens of MiB, beyond every cache of
#: the processor: writing them takes the JVM two to three times as long.
BATCH = 3 << 20

ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"

Task = Callable[[int, Iterable[Any]], Iterator[dict[str, Any]]]
ArrayTask = Callable[[int, Iterable[Any]], Iterator[list[np.ndarray]]]


class Source(Protocol):
    """Rows in as many partitions as there are to be workers.

    Attributes:
        cluster: where they are.
        reader: how a task reads them.
        workers: the number of partitions.
        keep: what tasks are to know of persisted RDDs; None where there are no RDDs.
    """

    @property
    def cluster(self) -> Cluster: ...
    @property
    def keep(self) -> Keep | None: ...
    @property
    def reader(self) -> Reader: ...
    @property
    def workers(self) -> int: ...

    def results(self, task: Task, together: bool = False) -> list[dict[str, Any]]:
        """Runs a task on each partition; what all of them yielded.

        Args:
            together: all at once, in a barrier stage: if one is lost, the job fails.
        """
        ...


@dataclass(frozen=True)
class RddSource:
    """An RDD of pairs, or of blocks of rows.

    Attributes:
        gpus: how many of them Spark is asked for, for each task; None: as its settings say.
    """

    rdd: RDD[Any]
    reader: Reader
    workers: int
    keep: Keep | None = None
    gpus: float | None = None

    @property
    def cluster(self) -> Cluster:
        """Where it is."""
        return Classic(self.rdd.context, self.gpus)

    def results(self, task: Task, together: bool = False) -> list[dict[str, Any]]:
        """Runs a task on each partition; what all of them yielded."""
        rows: Any = self.rdd.barrier() if together else self.rdd
        found = rows.mapPartitionsWithIndex(task)
        if self.gpus is not None:
            found = found.withResources(cluster.gpu_profile(self.rdd.context, self.gpus))
        return found.collect()


@dataclass(frozen=True)
class FrameSource:
    """A DataFrame that holds the columns of a layout, and nothing else."""

    frame: Any
    reader: Reader
    workers: int
    cluster: Cluster

    @property
    def keep(self) -> Keep | None:
        """Nothing of a DataFrame is kept, but what is kept of RDDs is looked after."""
        where = self.cluster
        return Keep(persisted.ids(where.sc)) if isinstance(where, Classic) else None

    def results(self, task: Task, together: bool = False) -> list[dict[str, Any]]:
        """Runs a task on each partition; what all of them yielded."""
        rows = self._run(functools.partial(_on_batches, task), "result string", together)
        return [json.loads(row[0]) for row in rows]

    def arrays(self, task: ArrayTask) -> Iterator[list[np.ndarray]]:
        """Runs a task on each partition; what they yielded, in the rows' order."""
        for row in self._run(functools.partial(_to_bytes, task), "arrays array<binary>"):
            yield [np.load(io.BytesIO(one), allow_pickle=False) for one in row[0]]

    def _run(
        self,
        task: Callable[[Iterable[Any]], Iterator[Any]],
        schema: str,
        together: bool = False,
    ) -> list[Any]:
        # Spark 3.4 doesn't know `barrier`.
        options: dict[str, Any] = {"barrier": True} if together else {}
        where = self.cluster
        if isinstance(where, Classic) and where.gpus is not None:  # Spark 3.5 doesn't know it
            options["profile"] = cluster.gpu_profile(where.sc, where.gpus)
        frame = self.frame.mapInArrow(task, schema, **options)
        if isinstance(self.cluster, Classic) and isinstance(self.reader, Batches):
            frame = _in_batches(frame, BATCH // max(self.reader.layout.row_bytes, 1))
        return list(frame.collect())


def _in_batches(frame: Any, rows: int) -> Any:
    """A classic DataFrame that is run with at most so many rows in an Arrow batch.

    Spark takes the number from the session when a job starts, maybe long after it was asked for
    one: so the plan goes to a copy of the session, and the user's own stays as it is.
    """
    from py4j.protocol import Py4JError

    now = int(frame.sparkSession.conf.get(ROWS))
    if 0 < now <= rows:
        return frame
    try:
        copy = frame._jdf.sparkSession().cloneSession()
        copy.conf().set(ROWS, str(max(rows, 1)))
        jvm = frame.sparkSession.sparkContext._jvm
        dataset = functools.reduce(getattr, frame._jdf.getClass().getName().split("."), jvm)
        moved = dataset.ofRows(copy, frame._jdf.queryExecution().logical())
        return type(frame)(moved, frame.sparkSession)
    except Py4JError:  # where Spark's inside is closed, batches are as large as they are
        return frame


def _to_bytes(task: ArrayTask, batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    for arrays in task(_partition(), _whole(batches)):
        files = [io.BytesIO() for _ in arrays]
        for file, array in zip(files, arrays, strict=True):
            np.save(file, array, allow_pickle=False)
        found = pa.array([[file.getvalue() for file in files]], pa.list_(pa.binary()))
        yield pa.RecordBatch.from_arrays([found], ["arrays"])


def _whole(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches; where the JVM ends them with an error, its own is to be told, not Arrow's."""
    try:
        yield from batches
    except Exception as error:
        raise RowsCut(str(error)) from error


def _partition() -> int:
    context = TaskContext.get()
    assert context is not None
    return context.partitionId()


def _on_batches(task: Task, batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    found = [json.dumps(one) for one in task(_partition(), _whole(batches))]
    yield pa.RecordBatch.from_arrays([pa.array(found, pa.string())], ["result"])


def as_it_is(rdd: RDD[Any]) -> RddSource:
    """An RDD with the partitions that it has."""
    blocks = getattr(rdd, "_elephas_blocks", None)
    source = rdd if blocks is None else blocks
    return RddSource(source, Pairs() if blocks is None else Blocks(), source.getNumPartitions())


def of_rdd(
    rdd: RDD[Any], workers: int | None, together: bool = False, gpus: float | None = None
) -> RddSource:
    """An RDD with a partition a worker.

    Partitions are joined without a shuffle where that leaves them even, else rows are dealt out
    anew; of a persisted RDD that is done once.

    Args:
        workers: how many; None: as many as there are partitions, at most the slots.
        together: they are to run in a barrier stage: joined partitions go through a shuffle that
            leaves them as they are.
        gpus: how many of them Spark is asked for, for each task.

    Raises:
        ValueError: the RDD has no partitions.
    """
    blocks = getattr(rdd, "_elephas_blocks", None)
    source = rdd if blocks is None else blocks
    partitions = source.getNumPartitions()
    if partitions == 0:
        raise ValueError("The RDD is empty: it has no partitions, so nothing to train on.")
    count = workers or min(partitions, cluster.slots(rdd.context, partitions, gpus=gpus))
    uneven = -(-partitions // count) > 1.1 * partitions / count
    if blocks is None or uneven:
        return replace(_of_pairs(rdd, count, uneven, together), gpus=gpus)
    found = _rows(*_joined(blocks, count, uneven, together))
    return RddSource(found, Blocks(), count, Keep(persisted.ids(rdd.context)), gpus)


def _of_pairs(rdd: RDD[Any], count: int, uneven: bool, together: bool) -> RddSource:
    known = persisted.ids(rdd.context)
    now = persisted.since(rdd, known)
    if now is None:
        source = _rows(*_joined(rdd, count, uneven, together))
        return RddSource(source, Pairs(), count, Keep(known))
    joining = count, together
    source, numbered = now.joined.get(joining) or _joined(rdd, count, uneven, together)
    if source is not rdd:  # which would hold itself
        now.hold(joining, source, numbered)
    may_keep = persisted.may_keep(rdd.context)
    skippable = persisted.skippable(source, numbered) if may_keep else None
    if skippable is None:
        return RddSource(_rows(source, numbered), Pairs(), count, Keep(known))
    return RddSource(skippable, Pairs(), count, persisted.keep(rdd, source, now, known))


def _joined(rdd: RDD[Any], count: int, uneven: bool, together: bool) -> tuple[RDD[Any], bool]:
    """The same rows in so many partitions; whether they are (number, row) there."""
    if count != rdd.getNumPartitions():
        rdd = rdd.repartition(count) if uneven else rdd.coalesce(count)
    if together and not cluster.fits_barrier(rdd._jrdd.rdd()):
        return _behind_shuffle(rdd, count), True
    return rdd, False


def _rows(rdd: RDD[Any], numbered: bool) -> RDD[Any]:
    return rdd.values() if numbered else rdd


def _behind_shuffle(rdd: RDD[Any], partitions: int) -> RDD[Any]:
    """The same rows in the same partitions, which a stage of their own begins with; each row
    behind its partition's number."""
    numbered = rdd.mapPartitionsWithIndex(lambda index, rows: ((index, row) for row in rows))
    return numbered.partitionBy(partitions, int)
