"""Streams through fitted pipelines, and a model as a function of SQL."""

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import IndexToString, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def numbers(rows):
    """The rows with a column for each feature, as files have them; every tenth is incomplete."""
    row = vector_to_array("features")
    several = [row[n].alias(name) for n, name in enumerate(NAMES)]
    found = rows.select("id", "name", *several)
    return found.withColumn("b", F.when(F.col("id") % 10 > 0, F.col("b")))


@pytest.fixture(scope="module")
def pipeline(classified):
    stages = [
        classified.copy({classified.handleInvalid: "skip"}),
        IndexToString(inputCol="prediction", outputCol="said", labels=["a", "b", "c"]),
    ]
    return PipelineModel(stages)


def complete(numbers, pipeline):
    """A pipeline from columns of numbers on."""
    assembler = VectorAssembler(inputCols=NAMES, outputCol="features", handleInvalid="keep")
    return PipelineModel([assembler, *pipeline.stages])


def run(frame, folder):
    """Writes what a stream gives now, and stops."""
    query = (
        frame.writeStream.format("parquet")
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(folder / "out"))
    )
    assert query.awaitTermination(300)
    return query


@pytest.mark.parametrize("form", ["parquet", "json"])
def test_a_stream_gives_what_the_batch_gives(spark, numbers, pipeline, tmp_path, form):
    whole = complete(numbers, pipeline)
    numbers.where("id < 120").coalesce(2).write.format(form).save(str(tmp_path / "in"))
    stream = spark.readStream.schema(numbers.schema).format(form).load(str(tmp_path / "in"))
    scored = whole.transform(stream)
    assert scored.isStreaming
    wanted = ["id", "name", "said", "prediction", "probability"]
    run(scored.select(wanted), tmp_path)
    # The query goes on where it ended: only new files are scored.
    numbers.where("id >= 120").write.format(form).mode("append").save(str(tmp_path / "in"))
    second = run(scored.select(wanted), tmp_path)
    assert sum(one["numInputRows"] for one in second.recentProgress) == 80
    got = sorted(spark.read.parquet(str(tmp_path / "out")).collect(), key=lambda row: row.id)
    batch = sorted(whole.transform(numbers).select(wanted).collect(), key=lambda row: row.id)
    assert len(got) == len(batch) == 180
    for one, other in zip(got, batch, strict=True):
        assert one[:4] == other[:4]
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)


def test_functions_of_sql(spark, numbers, classified, tmp_path):
    stage = classified.copy({classified.handleInvalid: "keep"})
    spark.udf.register("stream_class", stage.udf())
    spark.udf.register("stream_chance", stage.udf("probability"))
    numbers.coalesce(1).write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(numbers.schema).parquet(str(tmp_path / "in"))
    stream.createOrReplaceTempView("streamed_numbers")
    found = spark.sql(
        "SELECT id, stream_class(a, b, c, d) AS said, stream_chance(array(a, b, c, d)) AS chance "
        "FROM streamed_numbers"
    )
    run(found, tmp_path)
    got = {row.id: row for row in spark.read.parquet(str(tmp_path / "out")).collect()}
    there = numbers.collect()
    x = np.array([[row[name] for name in NAMES] for row in there if row.b is not None])
    p = iter(classified.model.predict(x.astype("float32"), verbose=0))
    for row in there:
        if row.b is None:
            assert got[row.id].said is None and got[row.id].chance is None
        else:
            expected = next(p)
            np.testing.assert_allclose(got[row.id].chance, expected, atol=1e-6)
            assert got[row.id].said == expected.argmax()
    # Grouped and joined by what a model says.
    spark.read.parquet(str(tmp_path / "in")).createOrReplaceTempView("read_numbers")
    counts = spark.sql(
        "SELECT said, count(*) AS n FROM (SELECT stream_class(a, b, c, d) AS said "
        "FROM read_numbers WHERE b IS NOT NULL) GROUP BY said"
    ).collect()
    assert sum(row.n for row in counts) == 180
