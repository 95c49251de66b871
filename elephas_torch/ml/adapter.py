"""NumPy arrays to DataFrames of features and labels, and back.

Elephas's functions under elephas's names; rows go through Arrow in batches.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import RDD, SparkContext

from elephas_torch import arrow, frames
from elephas_torch.cluster import prepare_python
from elephas_torch.connect import is_connect, is_session
from elephas_torch.errors import DataError
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.sparse import dense
from elephas_torch.utils import rdd_utils

if TYPE_CHECKING:  # importing these takes a while, and RDDs don't need them
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

#: NumPy's numbers that Spark hasn't -> the next larger that it has.
_WIDER = {"uint8": "int16", "uint16": "int32", "uint32": "int64", "float16": "float32"}


def to_data_frame(
    sc: SparkContext | SparkSession, features: Any, labels: Any, categorical: bool = False
) -> DataFrame:
    """Returns a DataFrame with the columns `features` and `label`, in order.

    Args:
        sc: the Spark context, or a SparkSession, also of Spark Connect.
        features: array-like, shape (rows, ...). Rows of one dimension become ml vectors, those of
            more nested arrays in the array's own dtype, which models take as they are.
        labels: array-like, shape (rows, ...). Single numbers become doubles, rows of several
            vectors.
        categorical: whether `labels` are one-hot; a row's label is then its class's number.

    Raises:
        DataError: there are no rows, lengths differ, rows of one of them differ in shape, or
            labels aren't one-hot although `categorical` says so.
        TypeError: `sc` is neither.
    """
    session = _session(sc)
    x, y = rdd_utils.arrays(features, labels)
    y = rdd_utils.point_labels(y, True) if categorical else y
    x = x.reshape(len(x), 1) if x.ndim == 1 else x
    y = y.reshape(len(y)) if y.size == len(y) else y
    columns = {"features": _of_spark(x), "label": _of_spark(y)}
    batches = list(_batches(columns, _slices(session, x.nbytes + y.nbytes)))
    return _framed(session, batches, [name for name, one in columns.items() if one.ndim == 2])


def _session(sc: Any) -> Any:
    if isinstance(sc, SparkContext):
        from pyspark.sql import SparkSession

        prepare_python(sc)
        return SparkSession.builder.getOrCreate()
    if not is_session(sc):
        raise TypeError(f"`sc` must be a SparkContext or a SparkSession. Received: sc={sc!r}")
    return sc


def _slices(session: Any, size: int) -> int:
    if is_connect(session):
        return max(1, -(-size // rdd_utils.PARTITION_BYTES))
    return rdd_utils.slices_of(session.sparkContext, size)


def _of_spark(array: np.ndarray) -> np.ndarray:
    """Numbers as Spark has them; single ones, and those of vectors, as doubles."""
    if array.ndim <= 2:
        return array.astype(np.float64, copy=False)
    wider = _WIDER.get(array.dtype.name)
    return array if wider is None else array.astype(wider)


def _batches(columns: dict[str, np.ndarray], slices: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    rows = len(next(iter(columns.values())))
    edges = [rows * number // slices for number in range(slices + 1)]
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            several = [_nested(one[start:stop]) for one in columns.values()]
            yield pa.RecordBatch.from_arrays(several, list(columns))


def _nested(array: np.ndarray) -> pa.Array:
    """An array as Arrow's, its inner dimensions as lists."""
    import pyarrow as pa

    found = pa.array(np.ascontiguousarray(array).reshape(-1))
    for size in reversed(array.shape[1:]):
        count = len(found) // size if size else len(array)
        offsets = np.arange(count + 1, dtype=np.int32) * size
        found = pa.ListArray.from_arrays(pa.array(offsets), found)
    return found


def _framed(session: Any, batches: list[pa.RecordBatch], vectors: list[str]) -> DataFrame:
    """A DataFrame of record batches, the lists of `vectors` as ml vectors."""
    import pyarrow as pa
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    if int(session.version.split(".")[0]) < 4:
        return _decoded(session, batches, vectors)
    frame = session.createDataFrame(pa.Table.from_batches(batches))
    columns = {name: F.col(name) for name in frame.columns}
    made = {name: array_to_vector(columns[name]) for name in vectors}
    return frame.select(*(one.alias(name) for name, one in {**columns, **made}.items()))


def _decoded(session: Any, batches: list[pa.RecordBatch], vectors: list[str]) -> DataFrame:
    """The same for Spark before 4.0, which takes no Arrow table: bytes that workers decode."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField, StructType

    packed = session.createDataFrame([(_packed(batch),) for batch in batches], "block binary")
    fields = [
        StructField(one.name, VectorUDT() if one.name in vectors else from_arrow_type(one.type))
        for one in batches[0].schema
    ]
    return packed.mapInArrow(functools.partial(_unpacked, tuple(vectors)), StructType(fields))


def _packed(batch: pa.RecordBatch) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _unpacked(vectors: Iterable[str], rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for row in rows:
        for block in row.column(0):
            for batch in pa.ipc.open_stream(block.as_buffer()):
                columns = {
                    name: _vectors(column) if name in vectors else column
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                }
                yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _vectors(lists: pa.Array) -> pa.Array:
    """Lists of doubles as the struct that Spark's dense vectors are."""
    import pyarrow as pa

    rows = len(lists)
    kinds = pa.array(np.ones(rows, np.int8))
    sizes, places = pa.nulls(rows, pa.int32()), pa.nulls(rows, pa.list_(pa.int32()))
    return pa.StructArray.from_arrays(
        [kinds, sizes, places, lists], ["type", "size", "indices", "values"]
    )


def from_data_frame(
    df: DataFrame,
    categorical: bool = False,
    nb_classes: int | None = None,
    features_col: str = "features",
    label_col: str = "label",
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a DataFrame's features and labels as arrays, in order.

    Args:
        df: its features are vectors, dense or sparse, arrays, or numbers; its labels numbers, or
            with several a row vectors or arrays.
        categorical: whether labels come one-hot.
        nb_classes: the number of classes; default: the largest label and one.

    Returns:
        Features of shape (rows, ...): float64, or the column's own dtype if that is another.
        Labels: float32 of shape (rows, nb_classes) if `categorical`; else of shape (rows,), int32
        where all are whole numbers, or float64; several a row as they are.

    Raises:
        DataError: there are no rows, there is null, rows differ in shape, or a label is no class.
        ValueError: there is no such column (the message has those that there are), or it is of
            another type.
    """
    layout = _layout(df, features_col, label_col, "float64")
    blocks = list(layout.blocks(_collected(frames.selected(df, layout))))
    if not blocks:
        raise DataError("The DataFrame has no rows.")
    x, y = (np.concatenate(several) for several in zip(*map(_arrays_of, blocks), strict=True))
    if not categorical:
        return x, _whole(y)
    if y.ndim > 1:
        raise DataError(
            f"`categorical` is for class numbers, and {label_col!r} has rows of shape "
            f"{y.shape[1:]}: one-hot labels come so without it."
        )
    count = nb_classes or int(y.max()) + 1
    return x, np.stack([rdd_utils.encode_label(label, count) for label in y])


def _layout(df: DataFrame, features_col: str, label_col: str, floats: str | None) -> arrow.Layout:
    fields = [
        replace(
            frames.field_of(df.schema, name, argument, alias, None), dtype=_dtype(df, name, floats)
        )
        for name, argument, alias in (
            (features_col, "features_col", "x0"),
            (label_col, "label_col", "y0"),
        )
    ]
    return arrow.Layout(x=(fields[0],), y=(fields[1],))


def _dtype(df: DataFrame, name: str, floats: str | None) -> str | None:
    """The dtype of a column's floats; float32 stays."""
    kind = df.schema[name].dataType
    while hasattr(kind, "elementType"):
        kind = kind.elementType
    return None if kind.typeName() in ("float", "binary") else floats


def _arrays_of(block: Any) -> tuple[np.ndarray, np.ndarray]:
    return dense(_only(block.features)).numpy(), dense(_only(block.labels)).numpy()


def _only(column: Any) -> Any:
    return column[0] if isinstance(column, tuple | list) else column


def _whole(labels: np.ndarray) -> np.ndarray:
    if labels.ndim > 1:
        return labels
    whole = (labels == np.trunc(labels)) & (np.abs(labels) < 2**31)
    return labels.astype(np.int32) if whole.all() else labels


def _collected(df: DataFrame) -> Iterator[pa.RecordBatch]:
    """All rows in batches."""
    if hasattr(df, "toArrow"):
        yield from df.toArrow().to_batches()
        return
    import pyarrow as pa

    for row in df.mapInArrow(_in_bytes, "block binary").collect():
        yield from pa.ipc.open_stream(row[0])


def _in_bytes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([_packed(batch)], pa.binary())], ["block"])


def df_to_simple_rdd(
    df: DataFrame,
    categorical: bool = False,
    nb_classes: int | None = None,
    features_col: str = "features",
    label_col: str = "label",
) -> RDD[Any]:
    """Returns an RDD of (features, label) pairs from a DataFrame, in order.

    `SparkModel.fit` takes the DataFrame itself as well, which is faster.

    Args:
        df: as in `from_data_frame`, on classic Spark.
        categorical: whether labels come one-hot, as float32 of shape (nb_classes,); else they are
            as the column has them.
        nb_classes: the number of classes; by default a Spark job looks for the largest label.
        features_col, label_col: the columns' names.

    Returns:
        Pairs of NumPy arrays: features float32, or whole numbers.

    Raises:
        ValueError: there is no such column, or it is of another type; or the DataFrame is one of
            Spark Connect, which has no RDDs.
        DataError: in the job that uses the RDD: rows have null or differ in shape, or a label is
            no class.
    """
    if is_connect(df.sparkSession):
        raise ValueError("Spark Connect has no RDDs: give the DataFrame itself to fit.")
    prepare_python(df.sparkSession.sparkContext)
    if nb_classes is not None:
        check_whole("nb_classes", nb_classes, 1)
    layout = _layout(df, features_col, label_col, None)
    label = replace(layout.y[0], dtype="float64")
    if categorical:
        label = replace(layout.y[0], classes=nb_classes or _classes(df, label_col))
    layout = replace(layout, y=(label,))
    packed = frames.selected(df, layout).mapInArrow(_in_bytes, "block binary")
    blocks = packed.rdd.mapPartitions(functools.partial(_blocks, layout))
    pairs = blocks.flatMap(rdd_utils.rows_of)
    pairs._elephas_blocks = blocks  # type: ignore[attr-defined]
    return pairs


def _classes(df: DataFrame, label_col: str) -> int:
    from pyspark.sql import functions as F

    largest = df.agg(F.max(F.col(frames.quoted(label_col)))).first()
    if largest is None or largest[0] is None:
        raise DataError(f"The DataFrame has no rows with a label in {label_col!r}.")
    return int(largest[0]) + 1


def _blocks(layout: arrow.Layout, rows: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    batches = itertools.chain.from_iterable(pa.ipc.open_stream(row[0]) for row in rows)
    return map(_arrays_of, layout.blocks(batches))
