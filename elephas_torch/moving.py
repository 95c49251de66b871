"""A worker's rows on its device: all of them at once where they fit, else batch by batch.

What doesn't fit is streamed: while the device computes on one batch, the next is copied to pinned
memory and from there to the device, by a stream of its own. Two buffers take turns. On the CPU
nothing of this is there.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from elephas_torch.device import Device
from elephas_torch.keras import batches, trees
from elephas_torch.keras.batches import Samples
from elephas_torch.store import Held, Rows

logger = logging.getLogger(__name__)

#: The part of a device's free memory that rows may take; the rest is for the model's work.
SHARE = 0.6


def moved(rows: Rows, device: Device) -> Rows:
    """The same rows, as batches on the device."""
    if device.is_host:
        return rows
    if isinstance(rows, Held) and _bytes(rows.samples) <= SHARE * device.free_bytes():
        try:
            return Resident(replace(rows.samples, **_parts(rows.samples, device)), where=device)
        except torch.cuda.OutOfMemoryError:  # another process was quicker
            device.empty()
    logger.info("Rows don't fit %s: they are copied there batch by batch.", device.where)
    return Passing(rows, device)


def _bytes(samples: Samples) -> float:
    """What samples take; without end for sparse rows, which are dense in batches alone."""
    leaves = [one for one in trees.leaves(_tree(samples)) if one is not None]
    if not all(isinstance(one, Tensor) for one in leaves):
        return float("inf")
    return float(sum(one.nbytes for one in leaves))


def _tree(samples: Samples) -> list[Any]:
    return [samples.x, samples.y, samples.weight]


def _parts(samples: Samples, device: Device) -> dict[str, Any]:
    def there(one: Tensor | None) -> Tensor | None:
        return None if one is None else one.to(device.where)

    return dict(zip(("x", "y", "weight"), trees.map_leaves(there, _tree(samples)), strict=True))


@dataclass(frozen=True, kw_only=True)
class Resident(Held):
    """Rows that are on the device.

    Attributes:
        where: that device.
    """

    where: Device

    def epoch(
        self, batch_size: int, shuffle: bool = False, key: Sequence[int] = (), start: int = 0
    ) -> Iterator[Samples]:
        """Batches; in the order that they have on the CPU. See `Rows`."""
        order = batches.order(len(self), True, *key).to(self.where.where) if shuffle else None
        return batches.batches(self.samples, batch_size, order, start)


@dataclass(frozen=True)
class Passing:
    """Rows that come to the device batch by batch.

    Attributes:
        rows: in the host's memory, or on its disk.
        device: where batches go.
    """

    rows: Rows
    device: Device

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, validation_split: float) -> tuple[Passing, Passing | None]:
        """Rows to train on, and rows to validate with; see `Rows`."""
        training, validation = self.rows.split(validation_split)
        return (
            replace(self, rows=training),
            None if validation is None else replace(self, rows=validation),
        )

    def weighed(self, weights: Mapping[int, float] | None) -> Passing:
        """The same rows, weighed by their classes; see `Rows`."""
        return replace(self, rows=self.rows.weighed(weights))

    def epoch(
        self, batch_size: int, shuffle: bool = False, key: Sequence[int] = (), start: int = 0
    ) -> Iterator[Samples]:
        """Batches, of which the next is on its way while one is computed on; see `Rows`."""
        found = self.rows.epoch(batch_size, shuffle, key, start)
        return streamed(found, self.device)

    def close(self) -> None:
        """Gives the disk's room back."""
        self.rows.close()


def streamed(found: Iterator[Samples], device: Device) -> Iterator[Samples]:
    """Copies batches to a device, one ahead of the one that is given out."""
    lanes = [_Lane(device), _Lane(device)]
    before: _Lane | None = None
    for number, batch in enumerate(found):
        lane = lanes[number % 2]
        lane.send(batch)
        if before is not None:
            yield before.arrived()
        before = lane
    if before is not None:
        yield before.arrived()


class _Lane:
    """A pinned buffer, and a stream by which it goes to the device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stream = device.stream()
        self._rooms: list[Tensor] = []
        self._batch: Samples | None = None

    def send(self, batch: Samples) -> None:
        """Copies a batch to the buffer, and begins to copy that."""
        if self._stream is None:
            self._batch = Samples(**_parts(batch, self._device))
            return
        self._stream.synchronize()  # what the buffer had before is there
        # Else a host that is quicker would fill the device's memory with batches that wait.
        self._stream.wait_stream(self._device.current())
        taken = itertools.count()
        with self._device.on(self._stream):
            tree = trees.map_leaves(
                lambda one: None if one is None else self._sent(next(taken), one), _tree(batch)
            )
        self._batch = Samples(*tree)

    def _sent(self, number: int, tensor: Tensor) -> Tensor:
        if number == len(self._rooms):
            self._rooms.append(self._device.host_like(tensor))
        room = self._rooms[number]
        if room.numel() < tensor.numel() or room.dtype != tensor.dtype:
            room = self._rooms[number] = self._device.host_like(tensor)
        pinned = room.reshape(-1)[: tensor.numel()].view(tensor.shape)
        pinned.copy_(tensor)
        return pinned.to(self._device.where, non_blocking=True, copy=True)

    def arrived(self) -> Samples:
        """The batch on the device; what computes waits for it there."""
        batch, self._batch = self._batch, None
        assert batch is not None
        if self._stream is not None:
            now = self._device.current()
            now.wait_stream(self._stream)
            for one in trees.leaves(_tree(batch)):
                if one is not None and one.is_cuda:
                    one.record_stream(now)  # so that its memory isn't given away too early
        return batch
