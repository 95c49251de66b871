"""Tasks on DataFrames' Arrow batches."""

import numpy as np
import pytest

from elephas_torch import SparkModel, frames
from elephas_torch.keras import layers
from elephas_torch.keras.models import Sequential
from elephas_torch.sources import BATCH

ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
#: Numbers in a row of which seven fit in a batch.
WIDTH = BATCH // 8 // 7 - 1


class Sizes:
    """A task that tells how many rows its batches have."""

    def __call__(self, partition, batches):
        yield {"partition": partition, "sizes": [batch.num_rows for batch in batches]}


@pytest.fixture
def wide(spark):
    """A source of 20 wide rows in two partitions."""
    from pyspark.sql import functions as F

    model = Sequential([layers.Input((WIDTH,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    features = F.array_repeat(F.lit(1.0).cast("float"), WIDTH)
    frame = spark.range(0, 20, 1, 2).select(features.alias("features"), F.lit(0.5).alias("label"))
    return frames.source(frame, frames.Columns(), model)


def sizes(source):
    found = sorted(source.results(Sizes()), key=lambda one: one["partition"])
    return [one["sizes"] for one in found]


def test_batches_of_wide_rows_are_small(spark, wide):
    assert sizes(wide) == [[7, 3], [7, 3]]
    assert spark.conf.get(ROWS) == "10000"


def test_a_smaller_number_of_the_users_stays(spark, wide):
    spark.conf.set(ROWS, "4")
    try:
        assert sizes(wide) == [[4, 4, 2], [4, 4, 2]]
    finally:
        spark.conf.unset(ROWS)


def test_batches_are_small_behind_a_shuffle(wide):
    shuffled = frames.FrameSource(wide.frame.repartition(1), wide.reader, 1, wide.cluster)
    assert max(sizes(shuffled)[0]) == 7


def test_row_bytes_of_unknown_rows_are_few():
    layout = frames.arrow.Layout(x=(frames.arrow.Field("features", ("x0",), "array"),))
    assert layout.row_bytes == 8
    binary = frames.arrow.Field("image", ("x0",), "binary", (28, 28, 1))
    assert binary.row_bytes == 784
    several = frames.arrow.Field("a, b, c", ("a", "b", "c"), "number")
    assert several.row_bytes == 24
    assert frames.arrow.Field("x", ("x0",), "array", (None, 3)).row_bytes == 24


def test_persisted_rows_are_made_once(spark_context):
    made = spark_context.accumulator(0)

    def row(number):
        made.add(1)
        return np.full(4, number / 40, np.float32), 0.5

    rows = spark_context.parallelize(range(40), 2).map(row)
    model = Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")

    def fit_twice():
        before = made.value
        for _ in range(2):
            SparkModel(model, num_workers=2).fit(rows, epochs=2, verbose=0)
        return made.value - before

    assert fit_twice() == 80
    rows.persist()
    assert fit_twice() == 40
    rows.unpersist()
