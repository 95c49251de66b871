"""On an executor: Arrow arrays of features through a model, to an Arrow array of its outputs."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch import arrow, cluster, device, worker
from elephas_torch.arrow import filled
from elephas_torch.arrow.columns import decoded, shaped
from elephas_torch.arrow.field import Odd
from elephas_torch.arrow.nulls import kind_of, mask, null_rows
from elephas_torch.device import Device
from elephas_torch.errors import DataError, ElephasError
from elephas_torch.heads import Head, numbers, output_structure
from elephas_torch.keras import trees
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.forward import Forward
from elephas_torch.keras.models import Model
from elephas_torch.keras.sparse import dense
from elephas_torch.keras.structure import Structure
from elephas_torch.passage import Passage, Place, rows_at_once
from elephas_torch.tally import Count

if TYPE_CHECKING:
    import pyarrow as pa

_VECTOR = {"type", "size", "indices", "values"}
#: Models that a Python worker keeps at once.
KEPT = 4

_models: OrderedDict[str, Model] = OrderedDict()


@dataclass(frozen=True)
class Sent:
    """A built model on its way to the executors.

    Attributes:
        key: whose it is: a Python worker loads each key once.
        skeleton: the model without weights.
        weights: all its tensors as safetensors: a broadcast, or anything with a `value`.
    """

    key: str
    skeleton: Model = field(repr=False)
    weights: Any = field(repr=False)

    def model(self, where: Device = device.CPU) -> Model:
        """The model in this Python worker, in eval mode; on a device a copy of the task's own,
        which leaves the memory there to others when the task ends."""
        if not where.is_host:
            made = worker.load_model(self.skeleton, self.weights.value).eval()
            device.put(made, where)
            return made
        found = _models.pop(self.key, None)
        if found is None:
            found = worker.load_model(self.skeleton, self.weights.value).eval()
        _models[self.key] = found
        while len(_models) > KEPT:
            _models.popitem(last=False)
        return found


@dataclass(frozen=True)
class Plan:
    """What a task that computes outputs is given.

    Attributes:
        heads: of the outputs that are wanted, at most one each.
        fields: of the model's inputs; None: as the columns' types say.
        batch_size: rows that go through the model at once; None: as many as `rows_at_once` says.
        invalid: "error", or "keep" or "skip": null outputs for null rows.
        vectors: whether vectors come out as such, and not as arrays.
        only: the one field that is wanted, in no struct.
        place: where it is computed.
        count: tells the driver how many rows a task has computed; None: nobody looks on.
    """

    sent: Sent
    heads: tuple[Head, ...]
    fields: tuple[arrow.Field, ...] | None
    batch_size: int | None
    invalid: str
    vectors: bool
    only: str | None = None
    place: Place = field(default_factory=Place)
    count: Count | None = None

    @property
    def kinds(self) -> dict[str, int | str]:
        """All fields, each with its kind."""
        return {name: kind for head in self.heads for name, kind in head.fields.items()}


def computed(plan: Plan, batches: Iterable[Any]) -> Iterator[pa.Array]:
    """What a Spark task runs: arrays in, an array for each or for several of them.

    Args:
        batches: each an Arrow array, or a tuple of them: one for each of the model's inputs.

    Yields:
        Struct arrays of all fields, or arrays of the one that is wanted.

    Raises:
        DataError: rows are null, or don't fit the model.
        WorkerError: the model raised; with the user's part of its traceback.
    """
    found = _computed(plan, batches)
    yield from found if plan.count is None else plan.count.passed(found)


def _computed(plan: Plan, batches: Iterable[Any]) -> Iterator[pa.Array]:
    torch.set_num_threads(cluster.task_cpus())
    rest = iter(batches)
    for first in rest:  # without rows nobody asks for a device, or for weights
        with plan.place.taken(_partition(), plan.sent.weights) as where:
            yield from _arrays(plan, where, itertools.chain([first], rest))


def _partition() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else context.partitionId()


def _arrays(plan: Plan, where: Device, batches: Iterable[Any]) -> Iterator[pa.Array]:
    scorer = _Scorer(plan, where)
    groups = _grouped(batches, scorer.size)
    try:
        yield from scorer.arrays(groups)
    except _Invalid as found:
        raise _invalid(found, groups, scorer) from None
    except torch.cuda.OutOfMemoryError:
        raise  # it is told of by `Place.taken`
    except ElephasError as error:
        raise error.with_traceback(None) from None
    except Exception as error:
        raise worker.as_error("A task", worker.described(error)) from None


def _grouped(batches: Iterable[Any], rows: int) -> Iterator[list[pa.Array]]:
    """Joins batches until there are as many rows as go through the model at once."""
    waiting: list[Sequence[pa.Array]] = []
    for batch in batches:
        waiting.append(batch if isinstance(batch, tuple) else (batch,))
        if not waiting[-1]:
            raise DataError(
                "The function takes a column for each of the model's inputs, and got none."
            )
        if sum(len(one[0]) for one in waiting) >= rows:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Sequence[pa.Array]]) -> list[pa.Array]:
    if len(batches) == 1:
        return list(batches[0])
    return [_concatenated(arrays) for arrays in zip(*batches, strict=True)]


def _concatenated(arrays: Sequence[pa.Array]) -> pa.Array:
    import pyarrow as pa

    # By way of pandas a batch of nulls alone has lost its type.
    kind = next((one.type for one in arrays if one.type != pa.null()), pa.null())
    return pa.concat_arrays([one if one.type == kind else one.cast(kind) for one in arrays])


class _Invalid(Exception):
    """Rows that can't be scored.

    Args:
        what: null or NaN.
        rows: how many there are, of how many.
    """

    def __init__(self, what: str, bad: int, rows: int) -> None:
        super().__init__(what)
        self.what, self.bad, self.rows = what, bad, rows


def _invalid(found: _Invalid, rest: Iterator[list[pa.Array]], scorer: _Scorer) -> DataError:
    bad, rows, so_far = found.bad, found.rows, " so far"
    if found.what == "null":
        so_far = ""
        for group in rest:
            null = scorer.null(group)
            rows += len(group[0])
            bad += 0 if null is None else int(null.sum())
    names = ", ".join(repr(one.name) for one in scorer.fields)
    return DataError(
        f"{bad:,} of {rows:,} rows of this partition{so_far} have {found.what} in {names}. "
        "handleInvalid='skip' leaves such rows out, 'keep' gives them null outputs."
    )


@dataclass
class _Group:
    """Rows on their way.

    Attributes:
        columns: an array for each of the model's inputs, without the rows that are null.
        rows: how many there were with those.
        where: the places of the rows that are left.
        first: how many rows of the partition came before.
        left: batches that are to be computed.
        parts: what heads want of the batches that are.
        odd: which of their rows are NaN because their features are.
    """

    columns: list[pa.Array]
    rows: int
    where: np.ndarray
    first: int
    left: int
    parts: list[list[Tensor]] = field(default_factory=list)
    odd: list[Tensor] = field(default_factory=list)


class _Scorer:
    def __init__(self, plan: Plan, where: Device) -> None:
        self.plan, self.where = plan, where
        self.model = plan.sent.model(where)
        self.size = rows_at_once(self.model, plan.batch_size, where)
        self.inputs = self.model.input_structure
        self.shapes = [tuple(one[1:]) for one in self.inputs.leaves(self.model.input_shape)]
        self.form = output_structure(self.model)
        fused = {head.output for head in plan.heads if head.fused}
        which = [place for place, number in enumerate(self.form.numbers) if number in fused]
        self.forward = Forward(self.model, which)
        self.fields: Sequence[arrow.Field] = ()
        self.rows = 0

    def null(self, group: Sequence[pa.Array]) -> np.ndarray | None:
        """Which rows are null, or have null in them; None: none."""
        group = _as_inputs(group, len(self.shapes))
        self._know_fields(group)
        found = None
        for array, known in zip(group, self.fields, strict=True):
            here = null_rows([array], known)
            if here is not None:
                found = here if found is None else found | here
        return found

    def arrays(self, groups: Iterable[list[pa.Array]]) -> Iterator[pa.Array]:
        """The outputs of all rows of each group of arrays."""
        begun: deque[_Group] = deque()

        def batches() -> Iterator[Samples]:
            for group in groups:
                begun.append(self._begun(group))
                yield from map(Samples, self._batches(begun[-1]))

        for batch, given in self._through(batches()):
            while not begun[0].left:
                yield self._finished(begun.popleft())
            begun[0].left -= 1
            begun[0].parts.append(given)
            begun[0].odd.append(_nan(given, trees.leaves(batch.x)))
            if not begun[0].left:
                yield self._finished(begun.popleft())
        yield from map(self._finished, begun)

    def _begun(self, group: Sequence[pa.Array]) -> _Group:
        group = _as_inputs(group, len(self.shapes))
        rows, null = len(group[0]), self.null(group)
        where = np.arange(rows)
        if null is not None:
            self._refuse("null", null)
            where = where[~null]
            group = [one.filter(mask(~null)) for one in group]
        first, self.rows = self.rows, self.rows + rows
        return _Group(list(group), rows, where, first, -(-len(where) // self.size))

    def _finished(self, group: _Group) -> pa.Array:
        if group.parts:
            several, bad = (
                [torch.cat(one) for one in zip(*group.parts, strict=True)],
                torch.cat(group.odd),
            )
        else:
            several = [torch.zeros(0, *(n or 0 for n in head.shape)) for head in self.plan.heads]
            bad = torch.zeros(0, dtype=torch.bool)
        where = group.where
        if bad.any():
            self._refuse("NaN", bad.numpy())
            several, where = [one[~bad] for one in several], where[~bad.numpy()]
        valid = None
        if len(where) < group.rows:
            valid = np.zeros(group.rows, dtype=bool)
            valid[where] = True
        return self._packed(several, group.rows, valid)

    def _refuse(self, what: str, bad: np.ndarray) -> None:
        if self.plan.invalid == "error":
            before = self.rows if what == "null" else 0
            raise _Invalid(what, int(bad.sum()), before + len(bad))

    def _know_fields(self, group: Sequence[pa.Array]) -> None:
        if self.fields and all(one.kind for one in self.fields):
            return  # else a column was null alone, which says nothing of its type
        dtypes = self.inputs.from_tree_order(self.model.input_dtypes)
        given = self.plan.fields or _fields(group, self.inputs, self.shapes)
        self.fields = [
            one if one.dtype or one.kind == "binary" else replace(one, dtype=_name(dtype))
            for one, dtype in zip(given, dtypes, strict=True)
        ]

    def _batches(self, group: _Group) -> Iterator[Any]:
        numbers = group.where + group.first
        for start in range(0, len(numbers), self.size):
            part = [one.slice(start, self.size) for one in group.columns]
            yield self._features(part, numbers[start : start + self.size])

    def _through(self, batches: Iterator[Samples]) -> Iterator[tuple[Samples, list[Tensor]]]:
        """Batches of features, and what the model gives for each."""
        if self.where.is_host:
            for batch in batches:
                yield batch, self._given(batch.x)
            return
        sent = self.plan.sent
        passage = Passage(self.where, len(sent.weights.value), self.size, sent.key)
        yield from passage.outputs(lambda batch: self._given(batch.x), batches)

    def _features(self, group: Sequence[pa.Array], numbers: np.ndarray) -> Any:
        columns = [
            _column(array, known, numbers) for array, known in zip(group, self.fields, strict=True)
        ]
        return self.model.features(self.inputs.pack(columns), "features")

    @torch.inference_mode()
    def _given(self, x: Any) -> list[Tensor]:
        if not self.model.predicts_by_itself:
            given = self.forward(x)
        elif self.where.is_host:
            rows = self.model.predict(x, batch_size=self.size, verbose=0)
            given = trees.map_leaves(torch.from_numpy, rows)
        else:
            given = self.model.predict_step(Samples(x).packed())
        leaves = self.form.leaves(given)
        return [leaves[head.output] for head in self.plan.heads]

    def _packed(self, several: list[Tensor], rows: int, valid: np.ndarray | None) -> pa.Array:
        import pyarrow as pa

        names, arrays = [], []
        for head, given in zip(self.plan.heads, several, strict=True):
            for name, values in head.values(given).items():
                if self.plan.only in (None, name):
                    names.append(name)
                    arrays.append(self._field(head.fields[name], values, rows, valid))
        return arrays[0] if self.plan.only else pa.StructArray.from_arrays(arrays, names=names)

    def _field(
        self, kind: int | str, values: np.ndarray, rows: int, valid: np.ndarray | None
    ) -> pa.Array:
        if kind == "double":
            return filled.doubles(values, valid)
        if kind == "vector" and self.plan.vectors:
            return filled.vectors(values, rows, valid)
        if kind == "labels":
            return filled.labels(*numbers(values), rows, valid)
        return filled.lists(values, rows, valid)


def _as_inputs(group: Sequence[pa.Array], inputs: int) -> list[pa.Array]:
    """An array for each input: several columns of numbers are one input's."""
    import pyarrow as pa

    if len(group) == inputs:
        return list(group)
    if inputs == 1 and all(_kind(one.type) == "number" for one in group):
        names = [f"c{number}" for number in range(len(group))]
        return [pa.StructArray.from_arrays(list(group), names=names)]
    several = ", or several columns of numbers" if inputs == 1 else ""
    types = ", ".join(str(one.type) for one in group)
    raise DataError(
        f"The model has {inputs} input{'s' * (inputs != 1)}: give a column for each{several}. "
        f"Received: {len(group)} column{'s' * (len(group) != 1)} ({types})"
    )


def _kind(kind: pa.DataType) -> str:
    """What a column of an Arrow type is to `arrow.Field`; "" where it is nothing of the kind."""
    found = kind_of(kind)
    if found == "struct":
        if {one.name for one in kind} >= _VECTOR:
            return "vector"
        return "number" if {_kind(one.type) for one in kind} == {"number"} else ""
    kinds = {"list": "array", "fixed": "array", "binary": "binary", "other": ""}
    return kinds.get(found, "number")


def _fields(group: Sequence[pa.Array], inputs: Structure, shapes: Sequence[Any]) -> list[Any]:
    """Fields as the columns' types say."""
    import pyarrow as pa

    found = []
    for number, (array, shape) in enumerate(zip(group, shapes, strict=True)):
        name = "features" if len(group) == 1 else str(inputs.names[number])
        kind = _kind(array.type)
        if not kind and array.type != pa.null():
            raise DataError(
                f"{name!r} is a column of type {array.type}; it must be a vector, an array, a "
                "number, bytes, or a struct of numbers."
            )
        found.append(arrow.Field(name, ("",), kind, shape))
    return found


def _column(array: pa.Array, known: arrow.Field, numbers: np.ndarray) -> Tensor:
    """Rows of features, none of which is null."""
    try:
        return dense(shaped(decoded([array], known), known))
    except Odd as odd:
        raise DataError(f"Row {numbers[odd.row]} of this partition has {odd}.") from None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _nan(given: Sequence[Tensor], x: Sequence[Tensor]) -> Tensor:
    """Which rows have NaN among their outputs and among their features."""
    bad = _any_nan(given)
    return bad & _any_nan(x) if bad.any() else bad


def _any_nan(tensors: Sequence[Tensor]) -> Tensor:
    found = torch.zeros(len(tensors[0]), dtype=torch.bool)
    for tensor in tensors:
        found |= torch.isnan(tensor).reshape(len(tensor), -1).any(1).cpu()
    return found
