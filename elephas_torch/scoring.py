"""Predicting and evaluating on an RDD: each partition by a model of its own, in order."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pyspark import RDD

from elephas_torch import cluster, data
from elephas_torch.errors import DataError, ElephasError, WorkerError
from elephas_torch.keras import batches
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.keras.step import Step
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

    Raises:
        DataError: rows that don't fit.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    model._needs_build()
    if not collect:
        # Kept for as long as the RDD is: Spark's cleaner takes it away.
        weights = rdd.context.broadcast(packed(model))
        return _outputs(Scoring(model.skeleton(), weights, batch_size), rdd).flatMap(_unpacked)
    with broadcast(rdd.context, model) as weights:
        parts = _collected(_outputs(Scoring(model.skeleton(), weights, batch_size), rdd))
    return np.concatenate(parts) if parts else model.predict(np.zeros((0, *_row(model))), verbose=0)


def evaluate(model: Model, rdd: RDD[Any], batch_size: int) -> dict[str, float]:
    """Loss and metrics over an RDD of pairs, exact over all rows.

    Raises:
        DataError: rows that don't fit, or no rows at all.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    blocks = getattr(rdd, "_elephas_blocks", None)
    source = rdd if blocks is None else blocks
    model._needs_build()
    with broadcast(rdd.context, model) as weights:
        scoring = Scoring(model.skeleton(), weights, batch_size, paired=blocks is None)
        sums = _collected(source.mapPartitionsWithIndex(functools.partial(_evaluated, scoring)))
    if not sums:
        raise DataError("The RDD is empty: there is nothing to evaluate.")
    step = model._ready()
    step.load_sums(sums)
    return step.logs()


def _outputs(scoring: Scoring, rdd: RDD[Any]) -> RDD[Any]:
    return rdd.mapPartitionsWithIndex(functools.partial(_predicted, scoring))


def _row(model: Model) -> list[int]:
    return [n or 0 for n in model.input_shape[1:]]


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
        for block in data.features_of(rows):
            yield model.predict(block, batch_size=scoring.batch_size, verbose=0)
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _evaluated(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        step = Step(model)
        step.reset()
        for block in data.blocks_of(rows) if scoring.paired else rows:
            for batch in batches.batches(_samples(model, block), scoring.batch_size):
                step.evaluate(batch)
        if step.sums()["rows"]:
            yield step.sums()
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _samples(model: Model, block: Any) -> Samples:
    x, y = data.tensors_of(block, model.input_dtype, model.loss.target_dtype)
    return data.fitted(model, x, y)


def _failed(partition: int, error: Exception) -> _Failed:
    if isinstance(error, DataError):
        error = DataError(f"Partition {partition}: {error}")
    return _Failed(partition, described(error))


def _unpacked(part: Any) -> Any:
    if isinstance(part, _Failed):
        raise part.error()
    return part


def _collected(rdd: RDD[Any]) -> list[Any]:
    try:
        parts = rdd.collect()
    except Exception as error:
        raise WorkerError(f"The Spark job failed: {cluster.python_error(error)}") from None
    return [_unpacked(part) for part in parts]
