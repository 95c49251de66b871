"""A model as a column of a DataFrame, on Spark."""

import numpy as np
import pytest

from elephas_torch import frames, inference
from elephas_torch.heads import head
from elephas_torch.keras.layers import Concatenate, Dense, Input, Layer
from elephas_torch.keras.models import Model, Sequential

pytestmark = pytest.mark.spark
X = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
NUMBERS = ["a.0", "b", "c`", "d"]
ABOUT = {"prediction": {"ml_attr": {"type": "nominal", "vals": ["no", "so", "yes"]}}}


@pytest.fixture(scope="module")
def rows(spark):
    """30 rows in 2 partitions, and a row of nulls, small batches."""
    from pyspark.ml.linalg import SparseVector, Vectors, VectorUDT
    from pyspark.sql import types as t

    def vector(n, row):
        return SparseVector(4, range(4), row) if n % 3 else Vectors.dense(row)

    doubles = [[float(one) for one in row] for row in X]
    data = [(n, vector(n, row), row, *row) for n, row in enumerate(doubles)]
    fields = [
        t.StructField("id", t.LongType()),
        t.StructField("vector", VectorUDT()),
        t.StructField("array", t.ArrayType(t.FloatType())),
        *(t.StructField(name, t.DoubleType()) for name in NUMBERS),
    ]
    schema = t.StructType(fields)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    yield spark.createDataFrame([*data, (30, *[None] * 6)], schema).repartition(2).persist()
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


@pytest.fixture(scope="module")
def model():
    made = Sequential([Input((4,)), Dense(3, activation="softmax")])
    made.compile(loss="categorical_crossentropy", optimizer="sgd")
    return made


@pytest.fixture(scope="module")
def sent(spark, model):
    return inference.send(spark, model)


@pytest.fixture(scope="module")
def heads(model):
    return [head(model, "classification", probability="probability", raw="raw")]


def scored(rows, sent, heads, names, invalid="error", **options):
    fields = frames.features(rows.schema, frames.Columns(names), sent.skeleton)
    column = inference.outputs(sent, fields, heads, invalid=invalid, **options)
    return inference.added(rows, column, heads, ABOUT)


def evaluations(frame):
    return frame._jdf.queryExecution().optimizedPlan().toString().count("ArrowEvalPython")


@pytest.mark.parametrize("names", ["vector", "array", NUMBERS])
def test_columns_of_all_kinds(rows, model, sent, heads, names):
    from pyspark.ml.linalg import VectorUDT

    found = scored(rows, sent, heads, names, "keep", batch_size=8)
    assert found.columns == [*rows.columns, "prediction", "probability", "raw"]
    assert found.schema["prediction"].metadata == ABOUT["prediction"]
    assert found.schema["raw"].dataType == VectorUDT()
    got, p = sorted(found.collect()), model.predict(X, verbose=0)
    assert [row.prediction for row in got] == [*p.argmax(1).tolist(), None]
    given = np.array([row.probability.toArray() for row in got[:-1]])
    np.testing.assert_allclose(given, p, rtol=1e-5)
    raw = np.exp([row.raw.toArray() for row in got[:-1]])
    np.testing.assert_allclose(raw / raw.sum(1, keepdims=True), p, rtol=1e-5)
    assert got[-1].probability is None and got[-1].raw is None


def test_wide_vectors_stay_sparse(spark):
    from pyspark.ml.linalg import SparseVector, Vectors, VectorUDT
    from pyspark.sql import types as t

    schema = t.StructType([t.StructField("id", t.LongType()), t.StructField("v", VectorUDT())])
    wide = [SparseVector(5000, {n: 1.0, 4999 - n: 2.0}) for n in range(3)]
    frame = spark.createDataFrame(
        [(0, wide[0]), (1, Vectors.dense(wide[1])), (2, wide[2]), (3, None)], schema
    )
    model = Sequential([Input((5000,)), Dense(2)])
    heads = [head(model, "regression")]
    got = scored(frame, inference.send(spark, model), heads, "v", "keep").collect()
    p = model.predict(np.array([one.toArray() for one in wide]), verbose=0)
    given = [row.prediction.toArray() for row in got[:-1]]
    np.testing.assert_allclose(given, p, rtol=1e-5, atol=1e-6)
    assert got[-1].prediction is None


def test_rows_stay_where_they_are_and_are_scored_once(rows, sent, heads):
    found = scored(rows.where("id < 30"), sent, heads, "vector")
    assert [row.id for row in found.select("id", "prediction").collect()] == [
        row.id for row in rows.where("id < 30").select("id").collect()
    ]
    assert found.rdd.getNumPartitions() == 2
    assert evaluations(found) == 1
    assert evaluations(found.select("id")) == 0
    left = scored(rows, sent, heads, "array", "skip").where("prediction is not null")
    assert evaluations(left) == 1
    assert left.count() == 30


def test_null_is_an_error_by_default(rows, sent, heads):
    found = scored(rows.coalesce(1), sent, heads, "vector")
    with pytest.raises(Exception, match=r"1 of 31 rows of this partition have null in 'vector'"):
        found.collect()


def test_in_sql(spark, rows, model, sent, heads):
    spark.udf.register("elephas_class", inference.udf(sent, heads, "prediction", invalid="keep"))
    spark.udf.register("elephas_all", inference.udf(sent, heads, invalid="keep"))
    rows.createOrReplaceTempView("elephas_rows")
    names = ", ".join(f"`{name.replace('`', '``')}`" for name in NUMBERS)
    got = spark.sql(
        f"SELECT id, elephas_class(vector) v, elephas_class(array) a, elephas_class({names}) n, "
        f"elephas_class(struct({names})) s, elephas_all(array).probability[1] p "
        "FROM elephas_rows ORDER BY id"
    ).collect()
    p = model.predict(X, verbose=0)
    for name in "vans":
        assert [row[name] for row in got] == [*p.argmax(1).tolist(), None]
    np.testing.assert_allclose([row.p for row in got[:-1]], p[:, 1], rtol=1e-5)


def test_several_inputs_and_outputs_of_every_kind(spark, rows):
    a, b = Input((4,), name="a"), Input((1,), name="b")
    both = Concatenate()([a, b])
    model = Model(
        [a, b],
        [Dense(1, activation="sigmoid")(both), Dense(2)(both), Dense(5)(both), Dense(1)(both)],
    )
    heads = [
        head(model, "multilabel", 0, prediction="labels", probability="p"),
        head(model, "regression", 1, prediction="pair"),
        head(model, "array", 2, prediction="code"),
        head(model, "regression", 3, prediction="number"),
    ]
    found = scored(rows.where("id < 30"), inference.send(spark, model), heads, ["vector", "d"])
    got = sorted(found.select("id", "labels", "p", "pair", "code", "number").collect())
    labels, pair, code, number = model.predict([X, X[:, 3:]], verbose=0)
    close = {"rtol": 1e-5, "atol": 1e-6}
    assert [row.labels for row in got] == [[0.0] if one > 0.5 else [] for one in labels]
    np.testing.assert_allclose([row.p.toArray() for row in got], labels, **close)
    np.testing.assert_allclose([row.pair.toArray() for row in got], pair, **close)
    np.testing.assert_allclose([row.code for row in got], code, **close)
    np.testing.assert_allclose([row.number for row in got], number[:, 0], **close)


class Picky(Layer):
    def call(self, inputs):
        raise ArithmeticError("this layer never works")

    def compute_output_shape(self, input_shape):
        return input_shape


def test_a_layer_s_error_is_short(spark, rows):
    model = Sequential([Input((4,)), Picky()])
    heads = [head(model, "array")]
    found = scored(rows.where("id < 3"), inference.send(spark, model), heads, "vector")
    with pytest.raises(Exception, match="this layer never works") as caught:
        found.collect()
    text = str(caught.value)
    assert "Picky" in text or "in call" in text
    assert "torch/nn" not in text and len(text.splitlines()) < 40


def test_a_stream_is_scored(spark, rows, model, sent, heads, tmp_path):
    rows.where("id < 30").select("id", "vector").write.parquet(str(tmp_path / "rows"))
    schema = rows.select("id", "vector").schema
    stream = spark.readStream.schema(schema).parquet(str(tmp_path / "rows"))
    query = (
        scored(stream, sent, heads, "vector")
        .writeStream.format("memory")
        .queryName("elephas_stream")
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(120)
    got = sorted(spark.table("elephas_stream").collect())
    assert [row.prediction for row in got] == model.predict(X, verbose=0).argmax(1).tolist()


def test_models_that_cannot_be_sent(spark):
    with pytest.raises(ValueError, match="input_shape="):
        inference.send(spark, Sequential([Dense(1)]))
