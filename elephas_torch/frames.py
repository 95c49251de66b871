"""DataFrames as rows to train on: which columns are what, checked before any job starts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elephas_torch import arrow, cluster, data
from elephas_torch.classic import Classic, Cluster
from elephas_torch.connect import Connect, is_connect
from elephas_torch.errors import DataError, WorkerError, nearest
from elephas_torch.keras.models import Model
from elephas_torch.keras.structure import Structure
from elephas_torch.partitions import partitioned
from elephas_torch.sources import FrameSource

if TYPE_CHECKING:  # importing Spark SQL takes a while, and RDDs don't need it
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

INVALID = ("error", "skip", "keep")
#: SparkModel's arguments -> a stage's params of the same meaning.
_PARAMS = {
    "features_col": "featuresCol",
    "label_col": "labelCol",
    "weight_col": "weightCol",
    "validation_indicator_col": "validationIndicatorCol",
}


@dataclass(frozen=True)
class Columns:
    """Which of a DataFrame's columns are what.

    Attributes:
        features: a column; or several: numbers that make one row of features, or one for each of
            the model's inputs, in their order or by their names.
        label: the same of outputs; None where there are none.
        weight: of the rows' weights in the loss.
        validation: of bools, true in rows that are to validate with.
        invalid: what to do with rows that have null: 'error', 'skip' or 'keep'.
        params: whether the user named them by a stage's params, and not by SparkModel's
            arguments; messages say so.
    """

    features: Any = "features"
    label: Any = "label"
    weight: str | None = None
    validation: str | None = None
    invalid: str = "error"
    params: bool = False

    def called(self, argument: str) -> str:
        """An argument of SparkModel's, as the user calls it."""
        if not self.params:
            return argument
        several = argument == "features_col" and not isinstance(self.features, str)
        return "featuresCols" if several else _PARAMS[argument]


def is_frame(thing: Any) -> bool:
    """Whether it is a Spark DataFrame, classic or of Spark Connect."""
    return type(thing).__module__.startswith("pyspark.sql") and hasattr(thing, "mapInArrow")


def check_frame(thing: Any, owner: str, instead: str) -> None:
    """Raises TypeError where a stage is given something else than a DataFrame.

    Args:
        instead: what takes RDDs.
    """
    if not is_frame(thing):
        raise TypeError(
            f"{owner} takes a Spark DataFrame. An RDD goes to {instead}; of arrays "
            "to_data_frame(spark, x, y) of elephas_torch.ml.adapter makes a DataFrame. "
            f"Received: {type(thing).__name__}"
        )


def layout(schema: StructType, columns: Columns, model: Model) -> arrow.Layout:
    """How the columns become what a compiled model takes.

    Raises:
        ValueError: there is no such column (the message has those that there are), its type
            can't be used, or it doesn't fit the model.
    """
    if columns.invalid not in INVALID:
        raise ValueError(
            f"`handle_invalid` must be 'error', 'skip' or 'keep'. Received: {columns.invalid!r}"
        )
    return arrow.Layout(
        x=tuple(features(schema, columns, model)),
        y=tuple(_labels(schema, columns, model)) if columns.label is not None else (),
        weight=_single(schema, columns.weight, columns.called("weight_col"), "w"),
        validation=_single(
            schema, columns.validation, columns.called("validation_indicator_col"), "v"
        ),
        invalid=columns.invalid,
    )


def features(schema: StructType, columns: Columns, model: Model) -> list[arrow.Field]:
    """The fields of the model's inputs."""
    names, argument = columns.features, columns.called("features_col")
    if not model.built:
        return [field_of(schema, names, argument, "x0", None)]
    inputs = model.input_structure
    shapes = [tuple(shape[1:]) for shape in inputs.leaves(model.input_shape)]
    several = "featuresCols" if columns.params else argument
    each = _spread(inputs, names, several, "input")
    return [
        field_of(schema, one, argument, f"x{number}", shape)
        for number, (one, shape) in enumerate(zip(each, shapes, strict=True))
    ]


def _spread(structure: Structure, names: Any, argument: str, kind: str) -> list[Any]:
    if len(structure) == 1:
        return [next(iter(names.values())) if isinstance(names, dict) else names]
    if isinstance(names, dict):
        return structure.spread(names, argument, kind)
    if isinstance(names, str) or len(names) != len(structure):
        raise ValueError(
            f"The model has {len(structure)} {kind}s ({structure.labels()}): `{argument}` must "
            f"name a column for each. Received: {argument}={names!r}"
        )
    return list(names)


def _labels(schema: StructType, columns: Columns, model: Model) -> Iterator[arrow.Field]:
    names, argument = columns.label, columns.called("label_col")
    if model.steps_by_itself or not model.built:
        yield field_of(schema, names, argument, "y0", None)
        return
    goals = model._resolved()
    outputs = goals.outputs
    assert outputs is not None
    each = _spread(outputs, names, argument, "output")
    shapes = outputs.leaves(goals.shapes)
    for number, (one, shape) in enumerate(zip(each, shapes, strict=True)):
        field = field_of(schema, one, argument, f"y{number}", None)
        loss = goals.losses[number]
        yield field if loss is None else _label(field, loss, tuple(shape), argument)


def _label(field: arrow.Field, loss: Any, shape: tuple[int | None, ...], argument: str) -> Any:
    """A label's field as a loss takes it: class numbers and one-hot vectors, either way."""
    width, targets = shape[-1], loss.targets
    if len(shape) != 2 or width is None:
        return field
    single = field.kind == "number" and len(field.columns) == 1
    if targets == "one-hot" and single and width > 1:
        return replace(field, classes=width)
    if targets in ("binary", "values") and single and width > 1:
        raise ValueError(
            f"The model gives {width} values a row, and the column {field.name!r} is one number: "
            f"with the loss {loss.name!r} {argument} must be a vector or array of {width}, or the "
            f"names of {width} columns. For class numbers compile with "
            "'sparse_categorical_crossentropy' or 'categorical_crossentropy'."
        )
    if targets == "classes" and not single:
        return replace(field, one_hot=True)
    return field


def _single(schema: StructType, name: str | None, argument: str, alias: str) -> Any:
    if name is None:
        return None
    field = field_of(schema, name, argument, alias, None)
    if field.kind != "number":
        raise ValueError(
            f"The column {name!r} ({argument}) must be of {'bools' if alias == 'v' else 'numbers'}."
        )
    return field


def field_of(schema: StructType, names: Any, argument: str, alias: str, shape: Any) -> arrow.Field:
    """The field of a column, or of several of numbers.

    Args:
        argument: what the user named them with, for messages.
        alias: the column's name in Arrow batches.
        shape: that a row shall have.

    Raises:
        ValueError: a column isn't there, or is of a type that can't be used.
    """
    several = [names] if isinstance(names, str) else list(names or [])
    if not several or not all(isinstance(name, str) for name in several):
        raise ValueError(f"`{argument}` must name columns. Received: {argument}={names!r}")
    kinds = [_kind(_type(schema, name, argument), name, argument) for name in several]
    if len(several) == 1:
        return arrow.Field(several[0], (alias,), kinds[0], shape, sources=tuple(several))
    odd = next((n for n, kind in zip(several, kinds, strict=True) if kind != "number"), None)
    if odd is not None:
        raise ValueError(
            f"Several columns make one row where all are numbers, and {odd!r} is "
            f"{_type(schema, odd, argument).simpleString()}: put them into one vector with Spark's "
            f"VectorAssembler first. Received: {argument}={names!r}"
        )
    aliases = tuple(f"{alias}_{number}" for number in range(len(several)))
    return arrow.Field(", ".join(several), aliases, "number", shape, sources=tuple(several))


def checked_name(schema: StructType, name: str, argument: str) -> str:
    """Returns a column's name.

    Args:
        argument: what the user named it with, for messages.

    Raises:
        ValueError: there is no such column; the message has those that there are.
    """
    if name not in schema.names:
        raise ValueError(
            f"The DataFrame has no column {name!r} ({argument}).{nearest(name, schema.names)} "
            f"It has: {', '.join(schema.names)}."
        )
    return name


def _type(schema: StructType, name: str, argument: str) -> DataType:
    return schema[checked_name(schema, name, argument)].dataType


def _kind(kind: DataType, name: str, argument: str) -> str:
    from pyspark.sql import types

    if isinstance(kind, types.UserDefinedType):
        if type(kind).__name__ == "VectorUDT":
            return "vector"
    elif isinstance(kind, types.NumericType | types.BooleanType):
        return "number"
    elif isinstance(kind, types.BinaryType):
        return "binary"
    elif isinstance(kind, types.ArrayType):
        element = kind.elementType
        while isinstance(element, types.ArrayType):
            element = element.elementType
        if isinstance(element, types.NumericType | types.BooleanType):
            return "array"
    hint = (
        " Spark's StringIndexer makes numbers of strings."
        if isinstance(kind, types.StringType)
        else ""
    )
    raise ValueError(
        f"The column {name!r} ({argument}) is {kind.simpleString()}; it must be numbers, vectors, "
        f"arrays of numbers, or binary.{hint}"
    )


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def selected(frame: DataFrame, shape: arrow.Layout) -> DataFrame:
    """The columns of a layout under its names, vectors as the struct that they are."""
    from pyspark.sql import functions as F

    columns = []
    for field in shape.fields:
        for name, alias in zip(field.sources, field.columns, strict=True):
            column = F.col(quoted(name))
            column = F.unwrap_udt(column) if field.kind == "vector" else column
            columns.append(column.alias(alias))
    return frame.select(*columns)


def source(
    frame: DataFrame,
    columns: Columns,
    model: Model,
    workers: int | None = None,
    together: bool = False,
    gpus: float | None = None,
) -> FrameSource:
    """A DataFrame with a partition a worker, as a compiled model takes it.

    Args:
        workers: how many; None: as many as there are partitions, at most the slots.
        together: they are to run in a barrier stage: rows are dealt out anew where that wouldn't
            take them.
        gpus: how many of them Spark is asked for, for each task; None: as its settings say.

    Raises:
        ValueError: see `layout`; or there are no such GPUs.
    """
    where = cluster_of(frame.sparkSession, gpus)
    if gpus is not None and "profile" not in inspect.signature(frame.mapInArrow).parameters:
        raise ValueError(
            "gpus_per_task on a DataFrame needs Spark 4.0 or later. Set "
            "spark.task.resource.gpu.amount, or train on an RDD. "
            f"Received: gpus_per_task={gpus!r}"
        )
    if not model.built and model.has_call:
        build(model, frame, columns, where)
    found = layout(frame.schema, columns, model)
    narrow = selected(frame, found)
    # Training and validation rows are often a union, whose partitions are one or the other.
    mixed = found.validation is not None
    narrow, count = partitioned(narrow, workers, where, mixed, together)
    return FrameSource(narrow, arrow.Batches(found), count, where)


def scored(frame: DataFrame, columns: Columns, model: Model) -> FrameSource:
    """A DataFrame with the partitions that it has, to be predicted or evaluated.

    Raises:
        ValueError: see `layout`.
    """
    found = layout(frame.schema, columns, model)
    return FrameSource(
        selected(frame, found), arrow.Batches(found), 0, cluster_of(frame.sparkSession)
    )


def build(model: Model, frame: DataFrame, columns: Columns, where: Cluster) -> None:
    """Builds a model that doesn't know its input shape from a DataFrame's first row.

    Raises:
        DataError: there is none.
        WorkerError: the job that looks for it failed.
    """
    found = layout(frame.schema, replace(columns, label=None, weight=None), model)
    narrow = selected(frame, found).limit(1).coalesce(1)
    try:
        shapes = FrameSource(narrow, arrow.Batches(found), 1, where).results(_Shape(found))
    except Exception as error:
        raise WorkerError(f"The Spark job failed: {cluster.python_error(error)}") from None
    if not shapes:
        raise DataError("There are no rows: there is nothing to train on.")
    data.build(model, (np.zeros(shapes[0]["shape"], np.float32), 0))


@dataclass(frozen=True)
class _Shape:
    """A task that tells the shape of the first row's features."""

    layout: arrow.Layout

    def __call__(self, partition: int, batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for block in self.layout.blocks(batches):
            if len(block.features[0]):
                yield {"shape": list(block.features[0].shape[1:])}


def cluster_of(session: SparkSession, gpus: float | None = None) -> Cluster:
    """Where a session's DataFrames are.

    Args:
        gpus: how many of them Spark is asked for, for each task.

    Raises:
        ValueError: it can't be asked so.
    """
    if is_connect(session):
        if gpus is not None:
            raise ValueError(
                "gpus_per_task is for classic Spark. With Spark Connect set "
                "spark.task.resource.gpu.amount where the server is started."
            )
        return Connect(session)
    cluster.prepare_python(session.sparkContext)
    cluster.check_gpus(session.sparkContext, gpus)
    return Classic(session.sparkContext, gpus)
