"""NumPy arrays to MLlib's matrices and vectors, and back.

Follows https://spark.apache.org/docs/latest/mllib-data-types.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # importing MLlib brings pandas and half a second with it
    from pyspark.mllib.linalg import DenseMatrix, DenseVector


def to_matrix(np_array: Any) -> DenseMatrix:
    """Returns an MLlib matrix with the rows and columns of a 2-D array.

    MLlib keeps values column by column, NumPy row by row; elephas passed them on as they lay,
    which mixed up all but symmetric matrices.

    Args:
        np_array: array-like of numbers, shape (rows, columns).

    Raises:
        ValueError: it hasn't two dimensions.

    Example::

        >>> to_matrix([[1, 2], [3, 4]]).values
        array([1., 3., 2., 4.])
    """
    from pyspark.mllib.linalg import DenseMatrix

    array = _floats(np_array, 2, "an MLlib matrix")
    rows, columns = array.shape
    return DenseMatrix(rows, columns, array.ravel(order="F"))


def from_matrix(matrix: Any) -> np.ndarray:
    """Returns a matrix as a float64 array, shape (rows, columns), in NumPy's own order.

    Args:
        matrix: of pyspark.mllib or pyspark.ml, dense or sparse, transposed or not.

    Raises:
        TypeError: it is none of these.
    """
    array = _array_of(matrix, 2, "matrix")
    return np.ascontiguousarray(array)


def to_vector(np_array: Any) -> DenseVector:
    """Returns a 1-D array as an MLlib vector.

    Args:
        np_array: array-like of numbers, shape (length,).

    Raises:
        ValueError: it hasn't one dimension.
    """
    from pyspark.mllib.linalg import DenseVector

    return DenseVector(_floats(np_array, 1, "an MLlib vector"))


def from_vector(vector: Any) -> np.ndarray:
    """Returns a vector as a float64 array, shape (length,).

    Args:
        vector: of pyspark.mllib or pyspark.ml, dense or sparse.

    Raises:
        TypeError: it is none of these.
    """
    return _array_of(vector, 1, "vector")


def _floats(values: Any, dimensions: int, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != dimensions:
        raise ValueError(
            f"{what} is made of an array of {dimensions} dimension{'s'[: dimensions - 1]}; "
            f"reshape it first. Received: an array of shape {array.shape}"
        )
    return array.astype(np.float64)


def _array_of(value: Any, dimensions: int, what: str) -> np.ndarray:
    array = value.toArray() if hasattr(value, "toArray") else None
    if not isinstance(array, np.ndarray) or array.ndim != dimensions:
        raise TypeError(
            f"`{what}` must be a {what} of pyspark.mllib.linalg or pyspark.ml.linalg. "
            f"Received: {type(value).__name__}"
        )
    return array
