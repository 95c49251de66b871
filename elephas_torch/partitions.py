"""How many partitions a DataFrame has, and as many as there are to be workers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from elephas_torch import cluster
from elephas_torch.classic import Classic, Cluster

if TYPE_CHECKING:  # importing Spark SQL takes a while, and RDDs don't need it
    from pyspark.sql import DataFrame


def partitioned(
    frame: DataFrame,
    workers: int | None,
    where: Cluster,
    mixed: bool = False,
    together: bool = False,
) -> tuple[DataFrame, int]:
    """The DataFrame with as many partitions as there are to be workers.

    Rows stay where they are if the number fits, are joined without a shuffle if there are more
    partitions, and are dealt out anew if there are fewer, or if only a shuffle would tell.

    Args:
        mixed: they are dealt out anew in any case.
        together: they are dealt out anew where a barrier stage wouldn't take them.
    """
    there = counted(frame) if isinstance(where, Classic) else None
    if there == 0:
        return frame.repartition(1), 1
    slots = where.slots(there or 1) if workers is None else None
    if workers is None and slots is None:
        raise ValueError(
            "Spark Connect doesn't tell how many tasks the cluster runs at once: set num_workers."
        )
    count = workers or min(number for number in (there, slots) if number)
    if mixed or there is None or there < count or -(-there // count) > 1.1 * there / count:
        return frame.repartition(count), count
    if together and not (there == count and cluster.fits_barrier(_rdd(frame))):
        return frame.repartition(count), count
    return (frame if there == count else frame.coalesce(count)), count


def counted(frame: DataFrame) -> int | None:
    """How many partitions a classic DataFrame has; None where only running it would tell."""
    if _shuffles(frame._jdf.queryExecution().executedPlan().toString()):
        return None
    return int(_rdd(frame).getNumPartitions())


def _rdd(frame: DataFrame) -> Any:
    """The JVM's RDD of a classic DataFrame without exchanges."""
    return frame._jdf.queryExecution().executedPlan().execute()


def _shuffles(plan: str) -> bool:
    """Whether a physical plan has an exchange, other than what is cached already."""
    cached: int | None = None
    for line in plan.splitlines():
        depth = len(line) - len(line.lstrip(" :+-"))
        if cached is not None and depth > cached:
            continue
        cached = depth if "InMemoryTableScan" in line else None
        if re.search(r"Exchange|Join", line.split("[", 1)[0]):
            return True
    return False
