"""Arrow arrays of outputs, with nulls between them."""

import numpy as np
import pyarrow as pa
import pytest

from elephas_torch.arrow import filled

VALID = np.array([True, False, True])


def with_nulls(rows):
    left = iter(rows)
    return [next(left) if one else None for one in VALID]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_numbers(dtype):
    values = np.array([1.5, 2.5]).astype(dtype)
    assert filled.doubles(values, None).to_pylist() == values.tolist()
    assert filled.doubles(values, VALID).to_pylist() == with_nulls(values.tolist())


@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 3), (2, 1, 2, 2)])
def test_lists_as_deep_as_the_values(shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert filled.lists(values, 2, None).to_pylist() == values.tolist()
    found = filled.lists(values, 3, VALID)
    assert found.to_pylist() == with_nulls(values.tolist())
    assert len(found.values) == 2 * shape[1], "nulls take no room"


def test_labels_are_as_many_as_each_row_has():
    found, counts = np.array([0.0, 2.0, 1.0]), np.array([2, 1])
    assert filled.labels(found, counts, 2, None).to_pylist() == [[0.0, 2.0], [1.0]]
    assert filled.labels(found, counts, 3, VALID).to_pylist() == with_nulls([[0.0, 2.0], [1.0]])
    assert filled.labels(found[:0], np.array([0, 0]), 2, None).to_pylist() == [[], []]


def test_vectors_are_spark_s_struct():
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = filled.vectors(values, 3, VALID)
    dense = [{"type": 1, "size": None, "indices": None, "values": one} for one in values.tolist()]
    assert found.to_pylist() == with_nulls(dense)
    kinds = [field.type for field in found.type]
    assert kinds[:3] == [pa.int8(), pa.int32(), pa.list_(pa.int32())]
