"""Arrays to DataFrames and back, on a real local Spark."""

import numpy as np
import pytest
import torch
from pyspark.ml.linalg import DenseVector, Vectors

from elephas_torch.errors import DataError
from elephas_torch.ml import adapter
from elephas_torch.ml.adapter import df_to_simple_rdd, from_data_frame, to_data_frame
from elephas_torch.utils import rdd_utils

pytestmark = pytest.mark.spark

X = np.random.default_rng(0).normal(size=(37, 5))
CLASSES = np.arange(37) % 3
HOT = np.eye(3)[CLASSES]


@pytest.fixture(scope="module")
def frame(spark_context):
    """37 rows of five features and three classes."""
    return to_data_frame(spark_context, X, HOT, categorical=True)


@pytest.fixture(params=["table", "blocks"])
def made(request, monkeypatch):
    """`to_data_frame` as it goes on this Spark, and as it goes before Spark 4."""
    if request.param == "blocks":
        monkeypatch.setattr(adapter, "_framed", adapter._decoded)
    return to_data_frame


def test_seed_s_call(spark_context, frame):
    row = frame.first()
    assert isinstance(row.features, DenseVector)
    assert (row.features.toArray().tolist(), row.label) == (X[0].tolist(), 0.0)
    assert dict(frame.dtypes) == {"features": "vector", "label": "double"}
    assert frame.rdd.getNumPartitions() == spark_context.defaultParallelism == 4
    assert sorted(frame.rdd.mapPartitions(lambda rows: [len(list(rows))]).collect()) == [
        9,
        9,
        9,
        10,
    ]


def test_there_and_back(spark, made):
    x, y = from_data_frame(made(spark, X, CLASSES))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, CLASSES)
    assert (x.dtype, y.dtype) == (np.float64, np.int32)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_rows_of_several_dimensions_are_nested_arrays(spark, made, dtype):
    x = np.arange(24).reshape(4, 2, 3).astype(dtype)
    y = np.array([[0.5, 1.0]] * 4)
    frame = made(spark, x, y)
    kind = {"float32": "float", "int64": "bigint", "uint8": "smallint"}[dtype]
    assert dict(frame.dtypes) == {"features": f"array<array<{kind}>>", "label": "vector"}
    features, labels = from_data_frame(frame)
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)
    assert features.dtype == np.dtype(adapter._WIDER.get(dtype, dtype))


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.from_numpy], ids=["list", "tensor"])
def test_lists_and_tensors_and_single_numbers(spark, convert):
    x, y = np.arange(3.0), np.array([[1.5], [2.5], [3e12]])
    features, labels = from_data_frame(to_data_frame(spark, convert(x), convert(y)))
    np.testing.assert_array_equal(features, x[:, None])
    np.testing.assert_array_equal(labels, y[:, 0])


def test_large_partitions_are_split(spark, monkeypatch):
    monkeypatch.setattr(rdd_utils, "PARTITION_BYTES", 200)
    slices = adapter._slices(spark, X.nbytes + CLASSES.nbytes)
    batches = list(adapter._batches({"features": X}, slices))
    assert len(batches) == slices == 12
    assert {batch.num_rows for batch in batches} == {3, 4}


def test_before_spark_4_batches_come_as_bytes(frame):
    batches = list(adapter._in_bytes(frame.limit(1).toArrow().to_batches()))
    assert [batch.schema.names for batch in batches] == [["block"]]

    class Old:
        """A DataFrame of Spark 3.5, which has no toArrow."""

        mapInArrow = frame.mapInArrow

    rows = [batch.num_rows for batch in adapter._collected(Old())]
    assert sum(rows) == 37


def test_one_hot_labels_back(frame):
    np.testing.assert_array_equal(from_data_frame(frame, categorical=True)[1], HOT)
    wide = from_data_frame(frame, categorical=True, nb_classes=5)[1]
    np.testing.assert_array_equal(wide, np.eye(5)[CLASSES])
    with pytest.raises(DataError, match=r"0 to 1.*Received: 2.0"):
        from_data_frame(frame, categorical=True, nb_classes=2)


def test_simple_rdd(frame):
    rdd = df_to_simple_rdd(frame)
    x, y = map(np.stack, zip(*rdd.collect(), strict=True))
    np.testing.assert_array_equal(x, X.astype(np.float32))
    np.testing.assert_array_equal(y, CLASSES)
    assert rdd.getNumPartitions() == rdd._elephas_blocks.getNumPartitions() == 4
    assert sum(len(block[0]) for block in rdd._elephas_blocks.collect()) == 37


def test_simple_rdd_of_other_columns_with_one_hot_labels(spark):
    rows = [(Vectors.sparse(3, {1: 5.0}), 2), (Vectors.dense([1.0, 0.0, 2.0]), 0)]
    frame = spark.createDataFrame(rows, ["some features", "class"]).coalesce(1)
    columns = {"features_col": "some features", "label_col": "class"}
    x, y = map(np.stack, zip(*df_to_simple_rdd(frame, True, **columns).collect(), strict=True))
    np.testing.assert_array_equal(x, [[0, 5, 0], [1, 0, 2]])
    np.testing.assert_array_equal(y, np.eye(3)[[2, 0]])
    assert y.dtype == np.float32
    few = df_to_simple_rdd(frame, True, 2, **columns)
    with pytest.raises(Exception, match="2"):
        few.collect()
    features, labels = from_data_frame(frame, **columns)
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, [2, 0])


@pytest.mark.parametrize(
    ("features", "labels", "categorical", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4), False, "same number of rows. Received: 3 and 4"),
        (np.zeros((0, 2)), np.zeros(0), False, "no rows"),
        ([[1.0, 2.0], [3.0]], [0, 1], False, "`features` can't be made one array"),
        (np.zeros((2, 2)), [[0], [1, 2]], False, "`labels` can't be made one array"),
        (np.zeros((2, 2)), [0, 1], True, r"must be one-hot.*Received: shape \(2,\)"),
    ],
)
def test_bad_arrays(spark, features, labels, categorical, message):
    with pytest.raises(DataError, match=message):
        to_data_frame(spark, features, labels, categorical)


def test_what_is_no_context():
    with pytest.raises(TypeError, match=r"SparkContext or a SparkSession. Received: sc='local'"):
        to_data_frame("local", X, CLASSES)


@pytest.mark.parametrize("read", [from_data_frame, df_to_simple_rdd])
def test_columns_that_are_not_there(frame, read):
    with pytest.raises(ValueError, match=r"no column 'labels' \(label_col\).*features, label"):
        read(frame, label_col="labels")


def test_rows_that_cannot_be_read(spark, frame):
    with pytest.raises(DataError, match="no rows"):
        from_data_frame(frame.limit(0))
    with pytest.raises(DataError, match="no rows with a label"):
        df_to_simple_rdd(frame.limit(0), categorical=True)
    ragged = spark.createDataFrame([([1.0, 2.0], 0.0), ([3.0], 1.0)], ["features", "label"])
    with pytest.raises(DataError, match="'features' of length 1"):
        from_data_frame(ragged.coalesce(1))
    null = spark.createDataFrame(
        [([1.0], 0.0), (None, 1.0)], "features array<double>, label double"
    )
    with pytest.raises(DataError, match="'features'"):
        from_data_frame(null)
    with pytest.raises(DataError, match="one-hot labels come so without it"):
        from_data_frame(to_data_frame(spark, X, HOT), categorical=True)
