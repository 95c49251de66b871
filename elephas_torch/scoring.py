"""Predicting and evaluating on an RDD: each partition by a model of its own, in order."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from pyspark import RDD

from elephas_torch import cluster, data
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras import batches
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.losses import check_targets
from elephas_torch.keras.models import Model, all_tensors
from elephas_torch.keras.step import Step
from elephas_torch.worker import drain, load_model


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
        DataError: rows that don't fit, or no rows at all.
    """
    model._needs_build()
    weights = rdd.context.broadcast(_packed(model))
    scoring = Scoring(model.skeleton(), weights, batch_size)
    outputs = rdd.mapPartitionsWithIndex(functools.partial(_predicted, scoring))
    if not collect:
        return outputs.flatMap(_unpacked)
    with _clean_errors():
        parts = _collected(outputs)
    weights.destroy()
    return np.concatenate(parts) if parts else model.predict(np.zeros((0, *_row(model))))


def evaluate(model: Model, rdd: RDD[Any], batch_size: int) -> dict[str, float]:
    """Loss and metrics over an RDD of pairs, exact over all rows.

    Raises:
        DataError: rows that don't fit, or no rows at all.
    """
    blocks = getattr(rdd, "_elephas_blocks", None)
    source = rdd if blocks is None else blocks
    if not model.built:
        model._needs_build()
    weights = rdd.context.broadcast(_packed(model))
    scoring = Scoring(model.skeleton(), weights, batch_size, paired=blocks is None)
    with _clean_errors():
        sums = _collected(source.mapPartitionsWithIndex(functools.partial(_evaluated, scoring)))
    weights.destroy()
    if not sums:
        raise DataError("The RDD is empty: there is nothing to evaluate.")
    step = model._ready()
    step.load_sums(sums)
    return step.logs()


def _packed(model: Model) -> bytes:
    return safetensors.torch.save({k: t.contiguous() for k, t in all_tensors(model).items()})


def _row(model: Model) -> list[int]:
    return [n or 0 for n in model.input_shape[1:]]


@dataclass(frozen=True)
class _Failed:
    """An error as a result, so that Spark doesn't retry it and bury it under its own."""

    message: str
    data: bool


def _predicted(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        for block in data.features_of(rows):
            yield model.predict(block, batch_size=scoring.batch_size)
    except ValueError as error:
        yield _Failed(f"Partition {partition}: {error}", data=True)
    drain(rows)


def _evaluated(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        model = scoring.model()
        loss = model.loss
        blocks = data.blocks_of(rows) if scoring.paired else rows
        step = Step(model)
        for block in blocks:
            tensors = data.to_tensors([block], model.input_dtype, loss.target_dtype)
            if tensors is None:
                continue
            x = batches.fit_shape(tensors[0], model.input_shape, "the RDD")
            check_targets(loss, tensors[1], model.output_shape)
            for batch in batches.batches(Samples(x, tensors[1]), scoring.batch_size):
                step.evaluate(batch)
        if step.sums()["rows"]:
            yield step.sums()
    except ValueError as error:
        yield _Failed(f"Partition {partition}: {error}", data=True)
    drain(rows)


def _unpacked(part: Any) -> Any:
    if isinstance(part, _Failed):
        raise DataError(part.message)
    return part


def _collected(rdd: RDD[Any]) -> list[Any]:
    parts = rdd.collect()
    for part in parts:
        if isinstance(part, _Failed):
            raise DataError(part.message)
    return parts


@contextmanager
def _clean_errors() -> Iterator[None]:
    """Turns Spark's long Java errors into one line with the Python part."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        java = getattr(error, "java_exception", None)
        if java is None:
            raise
        text = str(java.getMessage())
        start = text.find("Traceback (most recent call last)")
        stop = text.find("\n\tat ", start)
        python = text[start : stop if stop > 0 else None] if start >= 0 else text.splitlines()[0]
        raise WorkerError(f"The Spark job failed:\n{python.strip()}") from None
