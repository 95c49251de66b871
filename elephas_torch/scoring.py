"""Predicting and evaluating on an RDD: each partition by a model of its own, in order."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pyspark import RDD

from elephas_torch import cluster, data, preflight
from elephas_torch.errors import DataError, ElephasError, WorkerError
from elephas_torch.keras import trees
from elephas_torch.keras.models import Model
from elephas_torch.keras.results import empty
from elephas_torch.stepping import step_of
from elephas_torch.worker import as_error, broadcast, described, drain, load_model, packed


@dataclass(frozen=True)
class Scoring:
    """What a task that scores is given."""

    skeleton: Model = field(repr=False)
    weights: Any = field(repr=False)
    batch_size: int
    paired: bool = True

    def model(self) -> Model:
        """A model of this task's own."""
        torch.set_num_threads(cluster.task_cpus())
        return load_model(self.skeleton, self.weights.value).eval()


def predict(model: Model, rdd: RDD[Any], batch_size: int, collect: bool = True) -> Any:
    """Outputs for an RDD of features, in order.

    Args:
        collect: False gives an RDD of outputs, computed when it is used.

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
        # Kept for as long as the RDD is: Spark's cleaner takes it away.
        weights = rdd.context.broadcast(packed(model))
        return _outputs(Scoring(model.skeleton(), weights, batch_size), rdd).flatMap(_rows)
    with broadcast(rdd.context, model) as weights:
        parts = _collected(_outputs(Scoring(model.skeleton(), weights, batch_size), rdd))
    return trees.map_leaves(_joined, *parts) if parts else empty(model.output_shape)


def _check(model: Model) -> None:
    preflight.check_stateless(model)
    if model.has_call:
        model._needs_build()


def _joined(*parts: Any) -> np.ndarray:
    return np.concatenate(parts)


def evaluate(model: Model, rdd: RDD[Any], batch_size: int) -> dict[str, Any]:
    """Loss and metrics over an RDD of pairs, exact over all rows.

    Raises:
        ValueError: a layer is stateful, or the model isn't built.
        DataError: rows that don't fit, or no rows at all.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    blocks = getattr(rdd, "_elephas_blocks", None)
    source = rdd if blocks is None else blocks
    _check(model)
    with broadcast(rdd.context, model) as weights:
        scoring = Scoring(model.skeleton(), weights, batch_size, paired=blocks is None)
        sums = _collected(source.mapPartitionsWithIndex(functools.partial(_evaluated, scoring)))
    if not sums:
        raise DataError("The RDD is empty: there is nothing to evaluate.")
    step = step_of(model)
    step.load_sums(sums)
    return step.logs()


def _outputs(scoring: Scoring, rdd: RDD[Any]) -> RDD[Any]:
    return rdd.mapPartitionsWithIndex(functools.partial(_predicted, scoring))


@dataclass(frozen=True)
class _Failed:
    """An error as a result, so that Spark doesn't retry it and bury it under its own."""

    partition: int
    failure: dict[str, Any]

    def error(self) -> ElephasError:
        return as_error(f"Partition {self.partition}", self.failure)


def _predicted(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        for block in data.features_of(rows, data.features_part(model)):
            yield model.predict(block, batch_size=scoring.batch_size, verbose=0)
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _evaluated(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        step = step_of(model)
        step.reset()
        for batch in data.batches_of(model, rows, scoring.batch_size, scoring.paired):
            step.evaluate(batch)
        if step.sums()["rows"]:
            yield step.sums()
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _failed(partition: int, error: Exception) -> _Failed:
    if isinstance(error, DataError):
        error = DataError(f"Partition {partition}: {error}")
    return _Failed(partition, described(error))


def _unpacked(part: Any) -> Any:
    if isinstance(part, _Failed):
        raise part.error()
    return part


def _rows(part: Any) -> Any:
    """The rows of a block of outputs, each in the outputs' form."""
    outputs = _unpacked(part)
    if isinstance(outputs, np.ndarray):
        return outputs
    count = len(trees.leaves(outputs)[0])
    return [trees.map_leaves(lambda one, n=n: one[n], outputs) for n in range(count)]


def _collected(rdd: RDD[Any]) -> list[Any]:
    try:
        parts = rdd.collect()
    except Exception as error:
        raise WorkerError(f"The Spark job failed: {cluster.python_error(error)}") from None
    return [_unpacked(part) for part in parts]
