"""Predicting on an RDD and evaluating: each partition by a model of its own, in order."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pyspark import RDD

from elephas_torch import cluster, data, device, forms, preflight
from elephas_torch.classic import Classic
from elephas_torch.device import Device
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras import batches as cut
from elephas_torch.keras import trees
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.keras.results import as_arrays, empty
from elephas_torch.passage import Passage, Place, gathered, rows_at_once
from elephas_torch.progress import stages, tasks
from elephas_torch.skipping import RowsCut, drain
from elephas_torch.sources import FrameSource, Source
from elephas_torch.stepping import step_of
from elephas_torch.tally import Count
from elephas_torch.worker import as_error, described, load_model, packed

#: What a failure is called among the results.
_FAILED = "elephas_torch failure"


@dataclass(frozen=True)
class Scoring:
    """What a task that scores is given.

    Attributes:
        batch_size: rows that go through the model at once; None: as many as `rows_at_once` says.
        count: tells the driver how many rows a task has predicted; None: nobody looks on.
        key: whose it is: what a Python worker learns of memory, it knows in its next task too.
    """

    skeleton: Model = field(repr=False)
    weights: Any = field(repr=False)
    batch_size: int | None
    reader: data.Reader = field(default_factory=data.Pairs)
    place: Place = field(default_factory=Place)
    count: Count | None = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def taken(self, partition: int) -> AbstractContextManager[Device]:
        """The device of a task, for its time."""
        return self.place.taken(partition, self.weights)

    def model(self, where: Device) -> Model:
        """A model of this task's own, on its device."""
        torch.set_num_threads(cluster.task_cpus())
        model = load_model(self.skeleton, self.weights.value).eval()
        device.put(model, where)
        return model

    def rows(self, model: Model, where: Device) -> int:
        """How many rows go through the model at once."""
        return rows_at_once(model, self.batch_size, where)

    def passage(self, where: Device, rows: int) -> Passage:
        """The way of batches through a model on a device."""
        return Passage(where, len(self.weights.value), rows, self.key)


def predict(
    model: Model,
    rdd: RDD[Any],
    batch_size: int | None,
    collect: bool = True,
    wanted: str = "auto",
    verbose: int = 0,
) -> Any:
    """Outputs for an RDD of features, in order.

    Args:
        batch_size: rows at once; None: 256, on a GPU more.
        wanted: the device; see `device.checked`.
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
    place = Place.of(wanted)
    if not collect:
        weights = Classic(rdd.context).hold(packed(model))
        count = stages.count(rdd.context, "Predicting", verbose)
        scoring = Scoring(model.skeleton(), weights, batch_size, place=place, count=count)
        return _outputs(scoring, rdd).flatMap(_rows)
    where = Classic(rdd.context)
    with where.share(packed(model)) as weights, tasks.shown(where, "Predicting", verbose):
        scoring = Scoring(model.skeleton(), weights, batch_size, place=place)
        parts = _collected(_outputs(scoring, rdd).collect)
    return trees.map_leaves(_joined, *parts) if parts else empty(model.output_shape)


def predict_frame(
    model: Model,
    source: FrameSource,
    batch_size: int | None,
    wanted: str = "auto",
    verbose: int = 0,
) -> Any:
    """Outputs for a DataFrame, in order; otherwise as `predict`."""
    _check(model)
    where = source.cluster
    with where.share(packed(model)) as weights, tasks.shown(where, "Predicting", verbose):
        scoring = Scoring(model.skeleton(), weights, batch_size, source.reader, Place.of(wanted))
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


def evaluate(
    model: Model,
    source: Source,
    batch_size: int | None,
    wanted: str = "auto",
    verbose: int = 0,
) -> dict[str, Any]:
    """Loss and metrics over rows with labels, exact over all of them; otherwise as `predict`.

    Raises:
        ValueError: a layer is stateful, or the model isn't built.
        DataError: rows that don't fit, or no rows at all.
        WorkerError: a worker raised, or the RDD's own functions did.
    """
    _check(model)
    where = source.cluster
    with where.share(packed(model)) as weights, tasks.shown(where, "Evaluating", verbose):
        scoring = Scoring(model.skeleton(), weights, batch_size, source.reader, Place.of(wanted))
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
        with scoring.taken(partition) as where:
            found = _outputs_of_rows(scoring, where, rows)
            yield from found if scoring.count is None else scoring.count.passed(found, _size)
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _outputs_of_rows(scoring: Scoring, where: Device, rows: Iterable[Any]) -> Iterator[Any]:
    model = scoring.model(where)
    blocks = data.features_of(rows, forms.features_part(model))
    return _outputs_of(scoring, model, where, blocks)


def _predicted_arrays(
    scoring: Scoring, partition: int, batches: Iterable[Any]
) -> Iterator[list[np.ndarray]]:
    try:
        with scoring.taken(partition) as where:
            yield from _outputs_of_batches(scoring, where, batches)
    except RowsCut:
        raise
    except Exception as error:
        yield [np.array(json.dumps(_failed(partition, error)))]
    drain(batches)


def _outputs_of_batches(
    scoring: Scoring, where: Device, batches: Iterable[Any]
) -> Iterator[list[np.ndarray]]:
    model = scoring.model(where)
    form, blocks = scoring.reader.arranged(model, batches)
    features = (
        form.x.structure.pack(block.features)
        for block in data.checked(blocks, form)
        if len(block.features[0])
    )
    return map(trees.leaves, _outputs_of(scoring, model, where, features))


def _outputs_of(
    scoring: Scoring, model: Model, where: Device, blocks: Iterable[Any]
) -> Iterator[Any]:
    """The outputs of blocks of features, as arrays in the outputs' form."""
    rows = scoring.rows(model, where)
    if where.is_host:
        for x in blocks:
            yield model.predict(x, batch_size=rows, verbose=0)
        return
    several = (part for x in blocks for part in cut.batches(model._features_alone(x), rows))
    compute = functools.partial(_computed, model)
    for _, given in scoring.passage(where, rows).outputs(compute, gathered(several, rows)):
        yield as_arrays(given)


def _computed(model: Model, batch: Samples) -> Any:
    return model.predict_step(batch.packed()) if model.predicts_by_itself else model(batch.x)


def _evaluated(scoring: Scoring, partition: int, rows: Iterable[Any]) -> Iterator[Any]:
    try:
        with scoring.taken(partition) as where:
            found = _sums(scoring, where, rows)
            if found["rows"]:
                yield found
    except RowsCut:
        raise
    except Exception as error:
        yield _failed(partition, error)
    drain(rows)


def _sums(scoring: Scoring, where: Device, rows: Iterable[Any]) -> dict[str, Any]:
    """A step's sums over all rows."""
    model = scoring.model(where)
    step, size = step_of(model), scoring.rows(model, where)
    step.reset()
    found = data.batches_of(model, scoring.reader, rows, size)
    if where.is_host:
        for batch in found:
            step.evaluate(batch)
    else:
        scoring.passage(where, size).evaluate(step, gathered(found, size))
    return step.sums()


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


def _size(outputs: Any) -> int:
    """How many rows a block of outputs has."""
    return len(trees.leaves(outputs)[0])


def _rows(part: Any) -> Any:
    """The rows of a block of outputs, each in the outputs' form."""
    outputs = _unpacked(part)
    if isinstance(outputs, np.ndarray):
        return outputs
    count = _size(outputs)
    return [trees.map_leaves(lambda one, n=n: one[n], outputs) for n in range(count)]


def _collected(collect: Callable[[], list[Any]]) -> list[Any]:
    try:
        parts = collect()
    except Exception as error:
        raise WorkerError(f"The Spark job failed: {cluster.python_error(error)}") from None
    return [_unpacked(part) for part in parts]
