"""A model as a column: lazy, computed by Spark's Python workers from Arrow batches.

`send` a model once, make `outputs` a column of a DataFrame, and `added` to it; or `udf` for SQL.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Tuple, Union  # noqa: UP035

from elephas_torch import arrow, preflight, worker
from elephas_torch.device import checked
from elephas_torch.frames import cluster_of, quoted
from elephas_torch.heads import Head
from elephas_torch.keras.models import Model
from elephas_torch.passage import Place
from elephas_torch.scorer import Plan, Sent, computed
from elephas_torch.tally import Count

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

_COLUMNAR = "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled"
#: Vectors up to this length go to Python with their zeros, as float32: that takes less time than
#: Spark takes for writing doubles.
_NARROW = 1024
#: The struct that Spark keeps a vector in, as Arrow has it.
_VECTOR = {"type": "int8", "size": "int32", "indices": ["int32"], "values": ["float64"]}


def send(session: SparkSession, model: Model, weights: Any = None) -> Sent:
    """Makes a model ready for executors; to be kept and used again until its weights change.

    Args:
        session: a SparkSession, classic or of Spark Connect.
        weights: all of the model's tensors, as safetensors, in the `value` of something that
            comes along. Default: a broadcast, which lives for as long as a column uses it; on
            Spark Connect they travel with the column, or as a file of the session.

    Raises:
        ValueError: the model isn't built, or a layer is stateful.
    """
    preflight.check_stateless(model)
    model._needs_build()
    if weights is None:
        weights = cluster_of(session).hold(worker.packed(model))
    return Sent(uuid.uuid4().hex, model.skeleton(), weights)


def outputs(
    sent: Sent,
    fields: Sequence[arrow.Field],
    heads: Sequence[Head],
    *,
    batch_size: int | None = None,
    invalid: str = "error",
    device: str = "auto",
    count: Count | None = None,
) -> Column:
    """A struct column of all heads' fields, computed when it is used.

    Args:
        fields: of each of the model's inputs: `frames.features(df.schema, columns, model)`.
        heads: of the outputs that are wanted, at most one each.
        batch_size: rows that go through the model at once. Default None: 256; on a GPU as many as
            have 64 MB of features, 256 to 4,096.
        invalid: "error": rows with null features, or with NaN features that come out as NaN, are
            a DataError; "keep" and "skip": their fields are null.
        device: what tasks compute on: "auto", "cpu", "cuda", "cuda:N" or "mps". Default "auto":
            the GPU that Spark assigns, else one that the task sees, else the CPU.
        count: `progress.stages.count`: shows the rows as they are computed. Default None doesn't.

    Raises:
        ValueError: there is no such device.
    """
    arguments = [_argument(one, sent.skeleton) for one in fields]
    known = tuple(one for _, one in arguments)
    place, vectors = Place.of(checked(device)), _has_arrow_udf()
    plan = Plan(sent, tuple(heads), known, batch_size, invalid, vectors, None, place, count)
    function = _function(plan)
    if invalid == "skip":
        # Else Spark would compute it twice: for the filter, which it moves down, and for the rest.
        function = function.asNondeterministic()
    column = function(*[column for column, _ in arguments])
    return column if plan.vectors else _with_vectors(column, plan)


def added(
    frame: DataFrame,
    column: Column,
    heads: Sequence[Head],
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    names: Sequence[str] = (),
) -> DataFrame:
    """The DataFrame with each field of `outputs` as a column of its own behind its columns.

    Args:
        names: of the columns that `outputs` reads.
        metadata: of fields, by their names: `{"prediction": {"ml_attr": …}}`.
    """
    name = f"_elephas_{uuid.uuid4().hex[:8]}"
    makes = any(kind == "vector" for head in heads for kind in head.fields.values())
    whole = _by_rows(frame, makes, names).withColumn(name, column)
    several = [
        whole[name].getField(one).alias(one, metadata=dict((metadata or {}).get(one, {})))
        for head in heads
        for one in head.fields
    ]
    return whole.select("*", *several).drop(name)


def _by_rows(frame: DataFrame, makes_vectors: bool, read: Sequence[str]) -> DataFrame:
    """The same rows, that Spark can give to Python wherever they come from.

    Spark 4.3 hands a file's columns to Python functions as they lie, and fails where one of them
    is a vector, used or not, or where vectors come back. Behind a filter it goes by rows. It is
    one on the vectors that are read: where they are made of another model's outputs, Spark would
    else compute those once more.
    """
    from pyspark.sql import functions as F

    try:
        columnar = frame.sparkSession.conf.get(_COLUMNAR)
    except Exception:  # this Spark doesn't know the setting
        return frame
    if str(columnar).lower() != "true":
        return frame
    vectors = [one.name for one in frame.schema if '"udt"' in one.json()]
    names = frame.columns if makes_vectors else vectors
    alone = [name for name in names if frame.columns.count(name) == 1]
    if not alone:
        return frame
    chosen = [name for name in read if name in vectors] or alone[:1]
    columns = [F.col(quoted(name)) for name in chosen]
    if all(frame.schema[name].nullable for name in chosen):
        return frame.where(reduce(or_, [one.isNull() | one.isNotNull() for one in columns]))
    # Of what is never null Spark would see that it is always true.
    return frame.where(F.hash(columns[0]).bitwiseAND(1) < 2)


def udf(
    sent: Sent,
    heads: Sequence[Head],
    only: str | None = None,
    *,
    fields: Sequence[arrow.Field] | None = None,
    batch_size: int | None = None,
    invalid: str = "error",
    device: str = "auto",
) -> Any:
    """A function for SQL, that takes a column for each of the model's inputs.

    A column may be a vector, an array, a number, bytes, or a struct of numbers. A model of one
    input takes several numbers as well.

    Args:
        only: the name of the one field that is wanted. Default: a struct of all.
        fields, batch_size, invalid, device: see `outputs`.

    Returns:
        A function for `spark.udf.register`, or to be called with columns. Vectors are arrays of
        doubles there.

    Example::

        spark.udf.register("score", udf(sent, heads, "prediction"))
        spark.sql("SELECT id, score(features) FROM rows")
    """
    known = None if fields is None else tuple(fields)
    place = Place.of(checked(device))
    return _function(Plan(sent, tuple(heads), known, batch_size, invalid, False, only, place))


def _has_arrow_udf() -> bool:
    from pyspark.sql import functions as F

    return hasattr(F, "arrow_udf")


def _argument(one: arrow.Field, model: Model) -> tuple[Column, arrow.Field]:
    """What the function is called with for an input, and what that is."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    names = one.sources or (one.name,)
    columns = [F.col(quoted(name)) for name in names]
    if len(columns) > 1:
        struct = [column.alias(f"c{number}") for number, column in enumerate(columns)]
        return F.struct(*struct), one
    column = columns[0]
    if one.kind != "vector":
        return column, one
    if not _is_narrow(one, model):
        return F.unwrap_udt(column), one
    floats = vector_to_array(column, "float32")
    return F.when(column.isNotNull(), floats), replace(one, kind="array")


def _is_narrow(one: arrow.Field, model: Model) -> bool:
    """Whether a vector may travel as float32, zeros too."""
    if one.shape is None or None in one.shape:
        return False
    floats = all(dtype.is_floating_point and dtype.itemsize <= 4 for dtype in model.input_dtypes)
    return floats and math.prod(one.shape) <= _NARROW  # type: ignore[arg-type]


def _function(plan: Plan) -> Any:
    return _arrow_function(plan) if _has_arrow_udf() else _pandas_function(plan)


def _arrow_function(plan: Plan) -> Any:
    import pyarrow as pa
    from pyspark.sql import functions

    F: Any = functions  # not every Spark has it

    def score(batches: Any) -> Any:
        yield from computed(plan, batches)

    score.__annotations__ = {
        "batches": Iterator[Tuple[pa.Array, ...]],  # noqa: UP006
        "return": Iterator[pa.Array],
    }
    return F.arrow_udf(score, _spark_type(plan))


def _pandas_function(plan: Plan) -> Any:
    """The same for Spark before 4.1, which has no UDFs on Arrow arrays."""
    import pandas
    from pyspark.sql import functions

    F: Any = functions
    pd: Any = pandas
    either: Any = Union[pd.Series, pd.DataFrame]  # noqa: UP007
    given: Any = pd.Series if plan.only else pd.DataFrame

    def score(batches: Any) -> Any:
        for array in computed(plan, map(_from_pandas, batches)):
            yield _to_pandas(array)

    score.__annotations__ = {
        "batches": Iterator[Tuple[either, ...]],  # noqa: UP006
        "return": Iterator[given],
    }
    return F.pandas_udf(score, _spark_type(plan))


def _spark_type(plan: Plan) -> Any:
    from pyspark.sql import types

    if plan.only:
        return field_type(plan.kinds[plan.only], plan.vectors)
    return types.StructType(
        [types.StructField(name, field_type(one, plan.vectors)) for name, one in plan.kinds.items()]
    )


def field_type(kind: int | str, vectors: bool = True) -> DataType:
    """Spark's type of a head's field.

    Args:
        kind: see `Head.fields`.
        vectors: False: vectors are arrays of doubles.
    """
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import types

    if kind == "double":
        return types.DoubleType()
    if kind == "vector" and vectors:
        return VectorUDT()
    if kind in ("vector", "labels"):
        return types.ArrayType(types.DoubleType())
    found: Any = types.FloatType()
    for _ in range(int(kind)):
        found = types.ArrayType(found)
    return found


def _with_vectors(column: Column, plan: Plan) -> Column:
    """A struct with vectors in place of arrays."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    def converted(struct: Column) -> Column:
        fields = []
        for name, kind in plan.kinds.items():
            one = struct.getField(name)
            if kind == "vector":
                one = F.when(one.isNotNull(), array_to_vector(one))
            fields.append(one.alias(name))
        return F.struct(*fields)

    # A lambda names the struct, which else would be computed for each of its fields.
    return F.transform(F.array(column), converted).getItem(0)


def _from_pandas(batch: Any) -> tuple[pa.Array, ...]:
    return tuple(map(_as_arrow, batch)) if isinstance(batch, tuple) else (_as_arrow(batch),)


def _as_arrow(given: Any) -> pa.Array:
    """What pandas made of an Arrow array, as one again; numbers as doubles."""
    import pyarrow as pa

    if given.ndim == 1:
        return (
            pa.array(given)
            if given.dtype == object
            else pa.array(given, from_pandas=True).cast("float64")
        )
    names = list(given.columns)
    if names != list(_VECTOR):
        several = [_as_arrow(given[name]) for name in names]
        several = [one.cast(pa.float64()) if one.type == pa.null() else one for one in several]
        return pa.StructArray.from_arrays(several, names=names)
    several = [
        pa.array(given[name], pa.type_for_alias(kind), from_pandas=given[name].dtype != object)
        if isinstance(kind, str)
        else pa.array(given[name], pa.list_(pa.type_for_alias(kind[0])))
        for name, kind in _VECTOR.items()
    ]
    return pa.StructArray.from_arrays(several, names=names, mask=several[0].is_null())


def _to_pandas(array: pa.Array) -> Any:
    import pandas as pd
    import pyarrow as pa

    if not isinstance(array, pa.StructArray):
        return array.to_pandas()
    names = [one.name for one in array.type]
    return pd.DataFrame(
        {name: part.to_pandas() for name, part in zip(names, array.flatten(), strict=True)}
    )
