"""A DataFrame with as many partitions as there are workers."""

import pytest

from elephas_torch import partitions
from elephas_torch.frames import cluster_of


def dealt(frame, workers, mixed=False):
    narrow, count = partitions.partitioned(frame, workers, cluster_of(frame.sparkSession), mixed)
    return count, narrow.rdd.glom().map(len).collect()


@pytest.mark.spark
def test_partitions_are_as_many_as_workers(spark):
    four = spark.range(0, 400, 1, 4)
    assert dealt(four, None) == (4, [100] * 4)
    assert dealt(four, 2) == (2, [200] * 2)
    assert dealt(spark.range(0, 400, 1, 12), None)[0] == 4
    count, sizes = dealt(spark.range(0, 400, 1, 1), 2)
    assert (count, sorted(sizes)) == (2, [200, 200])


@pytest.mark.spark
def test_marked_rows_are_mixed_among_workers(spark):
    from pyspark.sql import functions as F

    both = spark.range(0, 40, 1, 2).withColumn("mark", F.col("id") >= 20)
    narrow, _ = partitions.partitioned(both, None, cluster_of(both.sparkSession), mixed=True)
    marks = narrow.rdd.map(lambda row: row.mark).glom().collect()
    assert [set(some) for some in marks] == [{True, False}] * 2


@pytest.mark.spark
def test_what_was_shuffled_is_dealt_out(spark):
    from pyspark.sql import functions as F

    shuffled = spark.range(0, 400, 1, 4).groupBy((F.col("id") % 7).alias("n")).count()
    assert partitions.counted(shuffled) is None
    assert dealt(shuffled, 3)[0] == 3
    cached = shuffled.persist().select("*")
    assert partitions.counted(cached) == cached.rdd.getNumPartitions()
    shuffled.unpersist()


@pytest.mark.parametrize(
    ("plan", "shuffles"),
    [
        ("*(1) Range (0, 4, step=1, splits=2)", False),
        ("*(2) HashAggregate\n+- Exchange hashpartitioning(n)\n   +- Range", True),
        ("*(2) BroadcastHashJoin [id]\n:- Range\n+- Range", True),
        ("*(1) Project [Exchange AS x]\n+- Range", False),
        ("InMemoryTableScan [n]\n   +- InMemoryRelation\n         +- Exchange", False),
        ("Union\n:- InMemoryTableScan\n:     +- Exchange\n+- Exchange", True),
    ],
)
def test_plans_that_shuffle(plan, shuffles):
    assert partitions._shuffles(plan) is shuffles
