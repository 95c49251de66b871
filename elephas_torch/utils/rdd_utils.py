"""NumPy arrays to RDDs of rows, and LabeledPoints to either.

Elephas's functions under elephas's names. `to_simple_rdd` ships blocks of rows and hands out
pairs, so that a `SparkModel` can take the blocks as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import RDD, SparkContext

from elephas_torch.cluster import prepare_python
from elephas_torch.connect import context_of
from elephas_torch.errors import DataError
from elephas_torch.keras import trees
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.structure import has_rows
from elephas_torch.mllib.adapter import from_vector, to_vector

if TYPE_CHECKING:  # importing MLlib brings pandas and half a second with it
    from pyspark.mllib.regression import LabeledPoint
    from pyspark.sql import SparkSession

#: Bytes of features and labels in one block: large enough that handling blocks costs nothing.
BLOCK_BYTES = 4 * 2**20
#: Bytes in one partition, unless its number is given: Spark's messages end at 128 MiB.
PARTITION_BYTES = 64 * 2**20

#: Features and labels of many rows; each an array, or a tuple or dict of them.
Block = tuple[Any, Any]


def to_simple_rdd(
    sc: SparkContext | SparkSession, features: Any, labels: Any, num_slices: int | None = None
) -> RDD[Any]:
    """Returns an RDD of (features, label) pairs, row by row, in order.

    Args:
        sc: the Spark context, or a classic SparkSession.
        features: array-like, shape (rows, ...): NumPy, torch or lists. Each pair gets a NumPy
            array of the shape that is left. For a model of several inputs a tuple of such, or a
            dict by their names; each pair gets a tuple or dict.
        labels: array-like, shape (rows, ...): numbers, or one-hot or longer rows. For several
            outputs a tuple or dict too.
        num_slices: partitions; the numbers of their rows differ by one at most. Default: the
            context's `defaultParallelism`, or a multiple where a partition would have more
            than 64 MiB.

    Raises:
        DataError: there are no rows, `features` and `labels` differ in length, or rows of one
            of them differ in shape.
        TypeError: `sc` is neither.
        ValueError: `num_slices` is below 1; or `sc` is of Spark Connect, which has no RDDs.
    """
    context = context_of(sc)
    prepare_python(context)
    x, y = _columns(features, "features"), _columns(labels, "labels")
    _check_lengths(x, y)
    blocks = _parallelize(context, x, y, num_slices)
    pairs = blocks.flatMap(rows_of)
    pairs._elephas_blocks = blocks  # type: ignore[attr-defined]
    return pairs


def arrays(features: Any, labels: Any) -> Block:
    """Features and labels as arrays of as many rows; raises DataError where they can't be."""
    x, y = _array(features, "features"), _array(labels, "labels")
    _check_lengths(x, y)
    return x, y


def _check_lengths(x: Any, y: Any) -> None:
    first, *others = (len(one) for one in trees.leaves((x, y)))
    if any(length != first for length in others):
        received = " and ".join(map(str, dict.fromkeys([first, *others])))
        raise DataError(
            f"`features` and `labels` must have the same number of rows. Received: {received}"
        )
    if not first:
        raise DataError("`features` and `labels` have no rows; there is nothing to train on.")


def _columns(values: Any, name: str) -> Any:
    """One array; or those of a tuple or dict of arrays, in its form."""
    if isinstance(values, dict):
        return {key: _columns(one, f"{name}[{key!r}]") for key, one in values.items()}
    if isinstance(values, tuple) and values and all(map(has_rows, values)):
        return tuple(_columns(one, f"{name}[{n}]") for n, one in enumerate(values))
    return _array(values, name)


def _cut(tree: Any, start: int, stop: int) -> Any:
    return trees.map_leaves(lambda one: one[start:stop], tree)


def _bytes(*several: Any) -> int:
    return sum(int(one.nbytes) for one in trees.leaves(several))


def _array(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype == object:
        raise DataError(
            f"`{name}` can't be made one array of numbers: its rows differ in shape, or hold "
            f"something else than numbers. Received: {type(values).__name__}"
        )
    if not array.ndim:
        raise DataError(f"`{name}` must have a row for each sample. Received: {values!r}")
    return array


def _parallelize(sc: SparkContext, x: Any, y: Any, num_slices: int | None) -> RDD[Any]:
    slices = slices_of(sc, _bytes(x, y)) if num_slices is None else num_slices
    if slices < 1:
        raise ValueError(f"`num_slices` must be 1 or more. Received: num_slices={num_slices}")
    blocks = list(_blocks(x, y, slices))
    # Spark pickles a slice as one: with a slice each, a worker holds a block at a time.
    return sc.parallelize(blocks, max(len(blocks), slices)).coalesce(slices)


def slices_of(sc: SparkContext, size: int) -> int:
    """The number of partitions for so many bytes."""
    return sc.defaultParallelism * max(1, -(-size // (sc.defaultParallelism * PARTITION_BYTES)))


def _blocks(x: Any, y: Any, slices: int) -> Iterator[Block]:
    # every partition gets the same number of blocks: so Spark's own slicing keeps them even
    rows = len(trees.leaves(x)[0])
    slices = min(slices, rows)
    size = -(-_bytes(x, y) // slices)
    each = min(max(1, -(-size // BLOCK_BYTES)), rows // slices)
    edges = [rows * i // slices for i in range(slices + 1)]
    for first, last in itertools.pairwise(edges):
        cuts = [first + (last - first) * i // each for i in range(each + 1)]
        for start, stop in itertools.pairwise(cuts):
            yield _cut(x, start, stop), _cut(y, start, stop)


def rows_of(block: Block) -> Iterable[tuple[Any, Any]]:
    """The pairs of a block."""
    return zip(*map(_each, block), strict=True)


def _each(column: Any) -> Iterable[Any]:
    """The rows of a column: of an array its own, of a tuple or dict such of their entries."""
    if isinstance(column, tuple):
        return zip(*map(_each, column), strict=True)
    if isinstance(column, dict):
        several = zip(*map(_each, column.values()), strict=True)
        return (dict(zip(column, values, strict=True)) for values in several)
    return iter(column)


def to_labeled_point(
    sc: SparkContext | SparkSession, features: Any, labels: Any, categorical: bool = False
) -> RDD[LabeledPoint]:
    """Returns an RDD of MLlib's LabeledPoints, in order.

    Args:
        sc: the Spark context, or a classic SparkSession.
        features: array-like, shape (rows, length).
        labels: array-like, shape (rows,); one-hot, shape (rows, classes), if `categorical`.
        categorical: whether `labels` are one-hot; a point's label is then the class's number.

    Raises:
        DataError: there are no rows, lengths differ, or shapes are others than these.
        TypeError: `sc` is neither.
        ValueError: it is a session of Spark Connect, which has no RDDs.
    """
    context = context_of(sc)
    prepare_python(context)
    x, y = arrays(features, labels)
    if x.ndim != 2:
        raise DataError(
            "A LabeledPoint has one row of features: `features` must be of shape (rows, length). "
            f"Received: shape {x.shape}"
        )
    return _parallelize(context, x, point_labels(y, categorical), None).flatMap(_points)


def point_labels(y: np.ndarray, categorical: bool) -> np.ndarray:
    """A number a row, of one-hot rows the class; raises DataError where they are others."""
    if categorical and y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    if not categorical and y.size == len(y):
        return y.reshape(-1)
    wanted = "one-hot, shape (rows, classes)" if categorical else "single numbers, shape (rows,)"
    hint = "" if categorical else "; for one-hot labels pass categorical=True"
    raise DataError(
        f"`labels` must be {wanted}, with categorical={categorical}{hint}. "
        f"Received: shape {y.shape}"
    )


def _points(block: Block) -> Iterator[LabeledPoint]:
    from pyspark.mllib.regression import LabeledPoint

    for features, label in rows_of(block):
        yield LabeledPoint(float(label), to_vector(features))


def from_labeled_point(
    rdd: RDD[LabeledPoint], categorical: bool = False, nb_classes: int | None = None
) -> Block:
    """Returns the features and labels of LabeledPoints as arrays, in order.

    Args:
        rdd: of LabeledPoints, with dense or sparse features of one length.
        categorical: whether labels come one-hot.
        nb_classes: the number of classes; default: the largest label and one.

    Returns:
        Features, float64 of shape (rows, length). Labels: float32 of shape (rows, nb_classes) if
        `categorical`; else of shape (rows,), int32 where all are whole numbers, or float64.

    Raises:
        DataError: the RDD is empty, or a label is no class.
    """
    points = rdd.map(_pair).collect()
    if not points:
        raise DataError("The RDD of LabeledPoints is empty.")
    features = np.stack([features for features, _ in points])
    labels = np.array([label for _, label in points], dtype=np.float64)
    if categorical:
        classes = nb_classes or _classes(labels.max())
        return features, np.stack([encode_label(label, classes) for label in labels])
    whole = (labels == np.trunc(labels)) & (np.abs(labels) < 2**31)
    return features, labels.astype(np.int32) if whole.all() else labels


def _classes(largest: float) -> int:
    return int(largest) + 1


def encode_label(label: float, nb_classes: int) -> np.ndarray:
    """Returns the one-hot vector of a class, float32 of shape (nb_classes,).

    Args:
        label: the class's number, from 0; a float is fine as long as it is whole.
        nb_classes: the number of classes.

    Raises:
        DataError: there is no such class.

    Example::

        >>> encode_label(2, 4)
        array([0., 0., 1., 0.], dtype=float32)
    """
    if not (0 <= label < nb_classes and label == int(label)):
        raise DataError(
            f"A label must be a whole number from 0 to {nb_classes - 1}, "
            f"since there are {nb_classes} classes. Received: {label}"
        )
    encoded = np.zeros(nb_classes, dtype=np.float32)
    encoded[int(label)] = 1.0
    return encoded


def lp_to_simple_rdd(
    lp_rdd: RDD[LabeledPoint], categorical: bool = False, nb_classes: int | None = None
) -> RDD[Any]:
    """Returns an RDD of (features, label) pairs from LabeledPoints, in order.

    Args:
        lp_rdd: of LabeledPoints, with dense or sparse features.
        categorical: whether labels come one-hot, as float32 of shape (nb_classes,); else they
            are floats.
        nb_classes: the number of classes; by default a Spark job looks for the largest label.

    Raises:
        DataError: in the job that uses the RDD: a label is no class.
    """
    prepare_python(lp_rdd.context)
    if nb_classes is not None:
        check_whole("nb_classes", nb_classes, 1)
    pairs = lp_rdd.map(_pair)
    if not categorical:
        return pairs
    classes = nb_classes or _classes(pairs.values().max())
    return pairs.mapValues(lambda label: encode_label(label, classes))


def _pair(point: LabeledPoint) -> tuple[np.ndarray, float]:
    if not (hasattr(point, "features") and hasattr(point, "label")):
        raise DataError(
            "The RDD must have LabeledPoints; to_labeled_point(sc, x, y) makes one of arrays. "
            f"Received: a row of type {type(point).__name__}"
        )
    return from_vector(point.features), point.label
