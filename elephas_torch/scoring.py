"""Predicting on an RDD and evaluating: each partition by a model of its own, in order."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pyspark import RDD

from elephas_torch import cluster, data, forms, preflight
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras import trees
from elephas_torch.keras.models import Model
from elephas_torch.keras.results import empty
from elephas_torch.progress import tasks
from elephas_torch.skipping import RowsCut, drain
from elephas_torch.sources import Classic, FrameSource, Source
from elephas_torch.stepping import step_of
from elephas_torch.worker import as_error, described, load_model, packed

#: What a failure is called among the results.
_FAILED = "elephas_torch failure"


@dataclass(frozen=True)
class Scoring:
    """What a task that scores is given."""

    skeleton: Model = field(repr=False)
    weights: Any = field(repr=False)
    batch_size: int
    reader: data.Reader = field(default_factory=data.Pairs)

    def model(self) -> Model:
        """A model of this task's own."""
        torch.set_num_threads(cluster.task_cpus())
        return load_model(self.skeleton, self.weights.value).eval()


def predict(
    model: Model, rdd: RDD[Any], batch_size: int, collect: bool = True, verbose: int = 0
) -> Any:
    """Outputs for an RDD of features, in order.

    Args:
        collect: False gives an RDD of outputs, computed when it is used.
        verbose: 1 shows Spark's tasks.

    Returns:
        A NumPy array, or for several outputs a list, tuple or dict of them as the model gives
        them; or the RDD of a row of these each.

    Raises:
        ValueError: a layer is stateful, or the model isn't built.
        DataError: rows that don't fit.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    _check(model)
    if not collect:
        weights = Classic(rdd.context).hold(packed(model))
        return _outputs(Scoring(model.skeleton(), weights, batch_size), rdd).flatMap(_rows)
    where = Classic(rdd.context)
    with where.share(packed(model)) as weights, tasks.shown(where, "Predicting", verbose):
        parts = _collected(_outputs(Scoring(model.skeleton(), weights, batch_size), rdd).collect)
    return trees.map_leaves(_joined, *parts) if parts else empty(model.output_shape)


def predict_frame(model: Model, source: FrameSource, batch_size: int, verbose: int = 0) -> Any:
    """Outputs for a DataFrame, in order; otherwise as `predict`."""
    _check(model)
    where = source.cluster
    with where.share(packed(model)) as weights, tasks.shown(where, "Predicting", verbose):
        scoring = Scoring(model.skeleton(), weights, batch_size, source.reader)
        run = functools.partial(_predicted_arrays, scoring)
        parts = _collected(lambda: [_told(arrays) for arrays in source.arrays(run)])
    form = empty(model.output_shape)
    if not parts:
        return form
    whole = map(_joined, *parts)
    return trees.map_leaves(lambda _: next(whole), form)


def _told(arrays: list[np.ndarray]) -> Any:
    """What a task gave: outputs, or a failure as text."""
    return json.loads(str(arrays[0])) if arrays[0].dtype.kind == "U" else arrays


def _check(model: Model) -> None:
    preflight.check_stateless(model)
    if model.has_call:
        model._needs_build()


def _joined(*parts: Any) -> np.ndarray:
    return np.concatenate(parts)


def evaluate(model: Model, source: Source, batch_size: int, verbose: int = 0) -> dict[str, Any]:
    """Loss and metrics over rows with labels, exact over all of them.

    Raises:
        ValueError: a layer is stateful, or the model isn't built.
        DataError: rows that don't fit, or no rows at all.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    _check(model)
    where = source.cluster
    with where.share(packed(model)) as weights, tasks.shown(where, "Evaluating", verbose):
        scoring = Scoring(model.skeleton(), weights, batch_size, source.reader)
        sums = _collected(lambda: source.results(functools.partial(_evaluated, scoring)))
    if not sums:
        raise DataError("There are no rows: there is nothing to evaluate.")
    step = step_of(model)
    step.load_sums(sums)
    return step.logs()


def _outputs(scoring: Scoring, rdd: RDD[Any]) -> RDD[Any]:
    return rdd.mapPartitionsWithIndex(functools.partial(_predicted, scoring))


def _predicted(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        for block in data.features_of(rows, forms.features_part(model)):
            yield model.predict(block, batch_size=scoring.batch_size, verbose=0)
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _predicted_arrays(
    scoring: Scoring, partition: int, batches: Iterable[Any]
) -> Iterator[list[np.ndarray]]:
    try:
        model = scoring.model()
        form, blocks = scoring.reader.arranged(model, batches)
        for block in data.checked(blocks, form):
            if len(block.features[0]):
                x = form.x.structure.pack(block.features)
                found = model.predict(x, batch_size=scoring.batch_size, verbose=0)
                yield trees.leaves(found)
    except RowsCut:
        raise
    except Exception as error:
        yield [np.array(json.dumps(_failed(partition, error)))]
    drain(batches)


def _evaluated(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        step = step_of(model)
        step.reset()
        for batch in data.batches_of(model, scoring.reader, rows, scoring.batch_size):
            step.evaluate(batch)
        if step.sums()["rows"]:
            yield step.sums()
    except RowsCut:
        raise
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _failed(partition: int, error: Exception) -> dict[str, Any]:
    """An error as a result, so that Spark doesn't retry it and bury it under its own."""
    if isinstance(error, DataError):
        error = DataError(f"Partition {partition}: {error}")
    return {_FAILED: [partition, described(error)]}


def _unpacked(part: Any) -> Any:
    if isinstance(part, dict) and _FAILED in part:
        partition, failure = part[_FAILED]
        raise as_error(f"Partition {partition}", failure)
    return part


def _rows(part: Any) -> Any:
    """The rows of a block of outputs, each in the outputs' form."""
    outputs = _unpacked(part)
    if isinstance(outputs, np.ndarray):
        return outputs
    count = len(trees.leaves(outputs)[0])
    return [trees.map_leaves(lambda one, n=n: one[n], outputs) for n in range(count)]


def _collected(collect: Callable[[], list[Any]]) -> list[Any]:
    try:
        parts = collect()
    except Exception as error:
        raise WorkerError(f"The Spark job failed: {cluster.python_error(error)}") from None
    return [_unpacked(part) for part in parts]
