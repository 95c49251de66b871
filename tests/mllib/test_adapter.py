"""MLlib's matrices and vectors: every element stays where it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyspark.ml import linalg as ml
from pyspark.mllib import linalg as mllib

from elephas_torch.mllib import from_matrix, from_vector, to_matrix, to_vector

FLOATS = st.floats(-1e9, 1e9)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)
WIDE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@given(arrays.arrays(np.float64, SHAPES, elements=FLOATS))
def test_matrix_there_and_back(array):
    matrix = to_matrix(array)
    assert (matrix.numRows, matrix.numCols) == array.shape
    np.testing.assert_array_equal(from_matrix(matrix), array)


def test_matrix_lies_by_columns_as_mllib_wants_it():
    matrix = to_matrix(WIDE)
    assert matrix == mllib.Matrices.dense(2, 3, [1, 4, 2, 5, 3, 6])
    assert matrix[1, 0] == 4.0
    assert matrix[0, 2] == 3.0


def test_matrix_of_a_view_of_integers():
    array = np.arange(12).reshape(3, 4).T[1:]
    np.testing.assert_array_equal(from_matrix(to_matrix(array)), array)


@pytest.mark.parametrize("linalg", [mllib, ml])
@pytest.mark.parametrize("kind", ["dense", "transposed", "sparse", "sparse transposed"])
def test_from_every_kind_of_matrix(linalg, kind):
    sparse = np.array([[0.0, 2.0, 0.0], [4.0, 0.0, 6.0]])
    matrix, expected = {
        "dense": (linalg.DenseMatrix(2, 3, [1, 4, 2, 5, 3, 6]), WIDE),
        "transposed": (linalg.DenseMatrix(2, 3, [1, 2, 3, 4, 5, 6], True), WIDE),
        "sparse": (linalg.SparseMatrix(2, 3, [0, 1, 2, 3], [1, 0, 1], [4, 2, 6]), sparse),
        "sparse transposed": (
            linalg.SparseMatrix(2, 3, [0, 1, 3], [1, 0, 2], [2, 4, 6], True),
            sparse,
        ),
    }[kind]
    array = from_matrix(matrix)
    np.testing.assert_array_equal(array, expected)
    assert array.flags.c_contiguous
    assert array.dtype == np.float64


def test_vector_there_and_back():
    array = np.array([0.5, -2.0, 0.0])
    vector = to_vector(array)
    assert vector == mllib.Vectors.dense([0.5, -2.0, 0.0])
    np.testing.assert_array_equal(from_vector(vector), array)


@pytest.mark.parametrize("linalg", [mllib, ml])
def test_from_sparse_vector(linalg):
    vector = linalg.Vectors.sparse(4, {1: 3.0, 3: -1.0})
    np.testing.assert_array_equal(from_vector(vector), [0.0, 3.0, 0.0, -1.0])


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((1, 2, 3)), 1.0])
def test_matrix_wants_two_dimensions(array):
    with pytest.raises(ValueError, match=r"2 dimensions; .* Received: an array of shape"):
        to_matrix(array)


def test_vector_wants_one_dimension():
    with pytest.raises(ValueError, match=r"1 dimension; .* Received: an array of shape \(1, 3\)"):
        to_vector(np.zeros((1, 3)))


def test_from_matrix_refuses_other_things():
    with pytest.raises(TypeError, match=r"`matrix` must be a matrix .* Received: ndarray"):
        from_matrix(WIDE)
    with pytest.raises(TypeError, match="Received: DenseVector"):
        from_matrix(to_vector([1.0]))


def test_from_vector_refuses_other_things():
    with pytest.raises(TypeError, match=r"`vector` must be a vector .* Received: list"):
        from_vector([1.0])
    with pytest.raises(TypeError, match="Received: DenseMatrix"):
        from_vector(to_matrix(WIDE))
