"""Rows through a model on a device, and what comes of them back to the host.

The next batch is copied to pinned memory, and from there to the device, while one is computed on;
what one gave is fetched when the next has been begun with. Where memory is full, a batch is
computed in halves. On the CPU nothing of this is there.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from elephas_torch import device as devices
from elephas_torch.device import Device, OutOfMemory
from elephas_torch.keras import trees
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.keras.results import joined
from elephas_torch.keras.step import Step
from elephas_torch.moving import streamed

logger = logging.getLogger(__name__)

#: Rows that go through a model at once on the CPU, where nobody says how many.
ROWS = 256
#: The same on a GPU: as many as have so many bytes of features, at least `ROWS`, at most so many.
BYTES, MOST = 64 << 20, 4096
#: Of how many models a process remembers how many rows fit.
KNOWN = 16

#: (a model's key, device) -> rows at once, where more didn't fit.
_fitting: dict[Any, int] = {}


@dataclass(frozen=True)
class Place:
    """Where tasks compute outputs, as the driver says it.

    Attributes:
        wanted: see `device.checked`.
        backends: torch's settings for GPUs, as the driver has them; see `device.backends`.
    """

    wanted: str = "auto"
    backends: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, wanted: str) -> Place:
        """A place with this process's settings."""
        return cls(wanted, devices.backends())

    @contextlib.contextmanager
    def taken(self, partition: int, weights: Any) -> Iterator[Device]:
        """The device of a task, for its time.

        Args:
            weights: the model's, in the `value` of something, which on the CPU isn't asked for.

        Raises:
            WorkerError: there is none such here, or its memory is full.
        """
        where = devices.taken(self.wanted, partition)
        if where.is_host:
            yield where
            return
        logger.info("Partition %d is computed on %s.", partition, where.info)
        try:
            with (
                devices.backends_as(self.backends),
                where.used(),
                devices.told_of_memory(where, None, len(weights.value), training=False),
            ):
                yield where
        finally:
            where.empty()  # some of its tensors go only now


def rows_at_once(model: Model, given: int | None, where: Device) -> int:
    """How many rows go through a model at once.

    Args:
        given: what the user says; None: nothing.
    """
    if given is not None:
        return given
    if where.is_host or not model.built:
        return ROWS
    shapes = model.input_structure.leaves(model.input_shape)
    row = sum(4 * math.prod(n or 1 for n in shape[1:]) for shape in shapes)
    return max(ROWS, min(MOST, BYTES // max(row, 1)))


def gathered(found: Iterable[Samples], rows: int) -> Iterator[Samples]:
    """Batches joined to as many rows as go through a model at once; those whose rows differ in
    shape stay apart."""
    waiting: list[Samples] = []
    count = 0
    for batch in found:
        if waiting and (count + len(batch) > rows or _form(batch) != _form(waiting[0])):
            yield _whole(waiting)
            waiting, count = [], 0
        waiting.append(batch)
        count += len(batch)
    if waiting:
        yield _whole(waiting)


def _tree(batch: Samples) -> list[Any]:
    return [batch.x, batch.y, batch.weight]


def _form(batch: Samples) -> list[Any]:
    return [None if one is None else tuple(one.shape[1:]) for one in trees.leaves(_tree(batch))]


def _whole(several: list[Samples]) -> Samples:
    if len(several) == 1:
        return several[0]

    def whole(*parts: Any) -> Any:
        return None if parts[0] is None else torch.cat(parts)

    return Samples(*trees.map_leaves(whole, *map(_tree, several)))


class Passage:
    """The way of batches through a model on a device.

    Args:
        where: the device, which the model is on.
        weights: bytes of the model's.
        size: rows of a batch; None: nobody knows.
        key: whose passage it is, a model's: how many rows fit is known to later tasks of this
            process. None: nobody's.

    Attributes:
        rows: how many are computed at once, since a batch didn't fit; None: all have.
    """

    def __init__(
        self, where: Device, weights: int, size: int | None = None, key: str | None = None
    ) -> None:
        self.where, self.weights, self.size = where, weights, size
        self._key = None if key is None else (key, str(where.where))
        self.rows: int | None = _fitting.get(self._key)

    def outputs(
        self, compute: Callable[[Samples], Any], batches: Iterable[Samples]
    ) -> Iterator[tuple[Samples, Any]]:
        """Each batch, as it was on the host, and what comes of it, on the host.

        Args:
            compute: takes a batch on the device; gives a tensor, or a tree of them.

        Raises:
            OutOfMemory: there isn't room for one row.
        """
        sent: deque[Samples] = deque()
        side = self.where.stream()
        before: _Outputs | None = None
        for batch in self._arriving(_noting(batches, sent)):
            now = _Outputs(self._computed(compute, batch), self.where)
            if before is not None:
                yield sent.popleft(), before.fetched(side)
            before = now
        if before is not None:
            yield sent.popleft(), before.fetched(side)

    def evaluate(self, step: Any, batches: Iterable[Samples]) -> None:
        """Counts batches into a step's sums. A step of the user's isn't tried again with fewer
        rows: nobody knows what it has counted by then."""

        def counted() -> Any:
            return step.goals.loss.count if isinstance(step, Step) else None

        for batch in self._arriving(iter(batches)):
            self._computed(step.evaluate, batch, counted)

    def _arriving(self, batches: Iterator[Samples]) -> Iterator[Samples]:
        with devices.told_of_memory(self.where, self.size, self.weights, training=False):
            yield from streamed(batches, self.where)

    def _computed(
        self,
        compute: Callable[[Samples], Any],
        batch: Samples,
        counted: Callable[[], Any] = lambda: 0,
    ) -> list[Any]:
        """What comes of a batch, or of its parts, where it doesn't fit."""
        found: list[Any] = []
        start = 0
        while start < len(batch):
            part = batch if self.rows is None else batch.rows(start, start + self.rows)
            before, full = counted(), False
            try:
                with (
                    torch.no_grad(),
                    devices.told_of_memory(self.where, len(part), self.weights, training=False),
                ):
                    found.append(compute(part))
            except OutOfMemory:
                if len(part) == 1 or before is None or counted() != before:
                    raise
                full = True
            if full:  # the error, and all that it held on to, is gone by now
                self._halve(len(part))
            else:
                start += len(part)
        return found

    def _remember(self) -> None:
        if self._key is None or self.rows is None:
            return
        _fitting.pop(self._key, None)
        _fitting[self._key] = self.rows
        while len(_fitting) > KNOWN:
            _fitting.pop(next(iter(_fitting)))

    def _halve(self, rows: int) -> None:
        self.rows = rows // 2
        self._remember()
        self.where.empty()
        logger.warning(
            "%s is out of memory with %d rows at once: going on with %d. Set a batch size "
            "(batch_size, inferenceBatchSize) that fits.", self.where.where, rows, self.rows,
        )  # fmt: skip


def _noting(batches: Iterable[Samples], sent: deque[Samples]) -> Iterator[Samples]:
    for batch in batches:
        sent.append(batch)
        yield batch


class _Outputs:
    """What has been begun with on a device, to be fetched while it goes on with something else.

    Args:
        parts: of a batch, one after the other.
    """

    def __init__(self, parts: list[Any], where: Device) -> None:
        self._parts, self._where = parts, where
        now = where.current()
        self._done = None if now is None else now.record_event()

    def fetched(self, side: Any) -> Any:
        """The outputs on the host, by a stream that waits for them alone."""
        if side is not None:
            side.wait_event(self._done)
        with self._where.on(side):
            several = [trees.map_leaves(_on_host, part) for part in self._parts]
        return several[0] if len(several) == 1 else joined(several)


def _on_host(one: Any) -> Any:
    return one.detach().cpu() if isinstance(one, Tensor) else one
