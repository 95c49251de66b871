"""Arrays to RDDs and back, on a real local Spark."""

import numpy as np
import pytest
import torch
from pyspark.mllib.linalg import Vectors
from pyspark.mllib.regression import LabeledPoint

from elephas_torch.errors import DataError
from elephas_torch.utils import rdd_utils
from elephas_torch.utils.rdd_utils import (
    encode_label,
    from_labeled_point,
    lp_to_simple_rdd,
    to_labeled_point,
    to_simple_rdd,
)

pytestmark = pytest.mark.spark


def rows_of(rdd):
    features, labels = zip(*rdd.collect(), strict=True)
    return np.stack(features), np.stack(labels)


def partition_sizes(rdd):
    return rdd.mapPartitions(lambda rows: [sum(1 for _ in rows)]).collect()


@pytest.mark.parametrize("shape", [(37, 5), (37,), (37, 4, 3, 2)])
@pytest.mark.parametrize("label_shape", [(37,), (37, 10), (37, 2, 3)])
def test_rows_come_out_in_order(spark_context, shape, label_shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    y = -np.arange(np.prod(label_shape)).reshape(label_shape)
    features, labels = rows_of(to_simple_rdd(spark_context, x, y))
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)
    assert features.dtype == np.float32
    assert labels.dtype == y.dtype


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.from_numpy], ids=["list", "tensor"])
def test_lists_and_tensors(spark_context, convert):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    features, labels = rows_of(to_simple_rdd(spark_context, convert(x), convert(y)))
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)


def test_tensor_with_gradient(spark_context):
    x = torch.ones(3, 2, requires_grad=True)
    features, _ = rows_of(to_simple_rdd(spark_context, x, [0, 1, 2]))
    np.testing.assert_array_equal(features, np.ones((3, 2)))


@pytest.mark.parametrize(("rows", "slices"), [(100, 4), (101, 4), (103, 7), (5, 5), (1, 1), (3, 8)])
def test_partitions_are_even(spark_context, rows, slices):
    rdd = to_simple_rdd(spark_context, np.zeros((rows, 2)), np.zeros(rows), slices)
    sizes = partition_sizes(rdd)
    assert len(sizes) == rdd.getNumPartitions() == slices
    assert sum(sizes) == rows
    assert max(sizes) - min(sizes) <= 1


def test_partitions_stay_even_with_many_blocks(spark_context, monkeypatch):
    monkeypatch.setattr(rdd_utils, "BLOCK_BYTES", 100)
    x = np.arange(206.0).reshape(103, 2)
    rdd = to_simple_rdd(spark_context, x, np.arange(103), 3)
    assert sorted(partition_sizes(rdd)) == [34, 34, 35]
    np.testing.assert_array_equal(rows_of(rdd)[0], x)
    blocks = rdd._elephas_blocks.collect()
    assert all(features.nbytes + labels.nbytes <= 128 for features, labels in blocks)


def test_default_number_of_partitions(spark_context):
    rdd = to_simple_rdd(spark_context, np.zeros((40, 2)), np.zeros(40))
    assert rdd.getNumPartitions() == spark_context.defaultParallelism == 4


def test_large_data_gets_more_partitions(spark_context, monkeypatch):
    monkeypatch.setattr(rdd_utils, "PARTITION_BYTES", 1000)
    rdd = to_simple_rdd(spark_context, np.zeros((1000, 1)), np.zeros(1000))
    assert rdd.getNumPartitions() == 16
    assert set(partition_sizes(rdd)) <= {62, 63}


def test_blocks_are_the_rows_of_their_partitions(spark_context):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    y = np.arange(50)
    rdd = to_simple_rdd(spark_context, x, y, 4)
    blocks = rdd._elephas_blocks
    assert blocks.getNumPartitions() == 4
    for pairs, parts in zip(rdd.glom().collect(), blocks.glom().collect(), strict=True):
        features, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        np.testing.assert_array_equal(np.stack([f for f, _ in pairs]), features)
        np.testing.assert_array_equal([label for _, label in pairs], labels)


@pytest.mark.parametrize("slices", [1, 3])
def test_rows_of_several_inputs_and_outputs(spark_context, slices):
    a, b, y = np.arange(8.0).reshape(4, 2), np.arange(4), np.arange(4) * 10
    rdd = to_simple_rdd(spark_context, {"a": a, "b": b}, (y, -y), slices)
    for number, (features, labels) in enumerate(rdd.collect()):
        assert features["a"].tolist() == a[number].tolist()
        assert (features["b"], *labels) == (number, 10 * number, -10 * number)
    sizes = [len(x["a"]) for x, _ in rdd._elephas_blocks.collect()]
    assert sum(sizes) == 4
    with pytest.raises(DataError, match="Received: 4 and 3"):
        to_simple_rdd(spark_context, (a, b[:3]), y)


def test_derived_rdds_have_no_blocks(spark_context):
    rdd = to_simple_rdd(spark_context, np.zeros((4, 2)), np.zeros(4))
    assert not hasattr(rdd.map(lambda pair: pair), "_elephas_blocks")
    assert not hasattr(rdd.repartition(2), "_elephas_blocks")


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4), "same number of rows. Received: 3 and 4"),
        (np.zeros((0, 2)), np.zeros(0), "no rows"),
        ([], [], "no rows"),
        ([[1.0, 2.0], [3.0]], [0, 1], "`features` can't be made one array.*Received: list"),
        (np.zeros((2, 2)), [[0], [1, 2]], "`labels` can't be made one array"),
        (np.zeros((2, 2)), None, "`labels` can't be made one array"),
        (1.0, [1.0], "`features` must have a row for each sample. Received: 1.0"),
    ],
)
def test_bad_arrays(spark_context, features, labels, message):
    with pytest.raises(DataError, match=message):
        to_simple_rdd(spark_context, features, labels)
    with pytest.raises(DataError, match=message):
        to_labeled_point(spark_context, features, labels)


def test_number_of_partitions_is_checked(spark_context):
    with pytest.raises(ValueError, match="Received: num_slices=0"):
        to_simple_rdd(spark_context, np.zeros((2, 2)), np.zeros(2), 0)


def test_labeled_points_there_and_back(spark_context):
    x, y = np.arange(18.0).reshape(9, 2), np.arange(9) % 3
    points = to_labeled_point(spark_context, x, y)
    assert (points.first().label, points.first().features) == (0.0, Vectors.dense([0.0, 1.0]))
    features, labels = from_labeled_point(points)
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)
    assert labels.dtype == np.int32


def test_one_hot_labels_there_and_back(spark_context):
    x, y = np.arange(18.0).reshape(9, 2), np.eye(4)[np.arange(9) % 3]
    points = to_labeled_point(spark_context, x, y, categorical=True)
    assert [point.label for point in points.collect()] == [0, 1, 2] * 3
    np.testing.assert_array_equal(from_labeled_point(points, True, 4)[1], y)
    np.testing.assert_array_equal(from_labeled_point(points, True)[1], y[:, :3])


def test_labels_of_regression_are_not_cut(spark_context):
    y = np.array([0.25, -1.5, 3e12])
    points = to_labeled_point(spark_context, np.ones((3, 1)), y.reshape(3, 1))
    np.testing.assert_array_equal(from_labeled_point(points)[1], y)
    large = to_labeled_point(spark_context, np.ones((1, 1)), [3e12])
    np.testing.assert_array_equal(from_labeled_point(large)[1], [3e12])


def test_sparse_features_come_out_dense(spark_context):
    points = spark_context.parallelize([LabeledPoint(1.0, Vectors.sparse(3, {1: 5.0}))])
    np.testing.assert_array_equal(from_labeled_point(points)[0], [[0.0, 5.0, 0.0]])
    features, label = lp_to_simple_rdd(points).first()
    np.testing.assert_array_equal(features, [0.0, 5.0, 0.0])
    assert label == 1.0


@pytest.mark.parametrize(
    ("features", "labels", "categorical", "message"),
    [
        (
            np.zeros((2, 2, 2)),
            [0, 1],
            False,
            r"shape \(rows, length\). Received: shape \(2, 2, 2\)",
        ),
        (np.zeros((2, 2)), np.eye(2), False, "pass categorical=True"),
        (np.zeros((2, 2)), [0, 1], True, r"must be one-hot.*Received: shape \(2,\)"),
    ],
)
def test_shapes_that_fit_no_labeled_point(spark_context, features, labels, categorical, message):
    with pytest.raises(DataError, match=message):
        to_labeled_point(spark_context, features, labels, categorical)


def test_empty_rdd_of_labeled_points(spark_context):
    with pytest.raises(DataError, match="empty"):
        from_labeled_point(spark_context.parallelize([]))


def test_lp_to_simple_rdd(spark_context):
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 2, 1, 2, 0, 1])
    points = to_labeled_point(spark_context, x, y)
    features, labels = rows_of(lp_to_simple_rdd(points))
    np.testing.assert_array_equal(features, x)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(rows_of(lp_to_simple_rdd(points, True, 5))[1], np.eye(5)[y])
    np.testing.assert_array_equal(rows_of(lp_to_simple_rdd(points, True))[1], np.eye(3)[y])


def test_label_beyond_the_classes_is_named(spark_context):
    points = to_labeled_point(spark_context, np.zeros((3, 2)), [0, 12, 1])
    with pytest.raises(DataError, match=r"from 0 to 9.*Received: 12.0"):
        from_labeled_point(points, True, 10)
    with pytest.raises(Exception, match=r"from 0 to 9.*Received: 12.0"):
        lp_to_simple_rdd(points, True, 10).collect()


def test_encode_label():
    encoded = encode_label(2.0, 4)
    np.testing.assert_array_equal(encoded, [0, 0, 1, 0])
    assert encoded.dtype == np.float32


@pytest.mark.parametrize("label", [-1, 4, 1.5, float("nan"), float("inf")])
def test_encode_label_refuses_what_is_no_class(label):
    with pytest.raises(DataError, match="whole number from 0 to 3"):
        encode_label(label, 4)
