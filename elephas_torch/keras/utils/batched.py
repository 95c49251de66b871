"""Datasets that can be iterated over and over: an epoch each time."""

from __future__ import annotations

import copy
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from elephas_torch.keras.arguments import check_whole


class BatchedDataset:
    """Batches in place of a `tf.data.Dataset`: what `fit`, `evaluate` and `predict` take.

    Iterating goes once over the data; iterating again, once more, in a new order if it is
    shuffled. `len()` gives the number of batches.

    Attributes:
        class_names: the classes by number, where the data has them; else None.
        file_paths: the files in the order of `shuffle=False`, where it comes from files.
    """

    def __init__(self, start: Callable[[], Iterator[Any]], length: int) -> None:
        self._start, self._length = start, length
        self.class_names: list[str] | None = None
        self.file_paths: list[str] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self._start()

    def __len__(self) -> int:
        return self._length

    def map(self, function: Callable[..., Any], **ignored: Any) -> BatchedDataset:
        """Returns a dataset of what `function(x, y)`, or `function(x)`, makes of each batch.

        Args:
            function: called anew for each batch of each epoch.
            ignored: what `tf.data` takes to tune its threads (`num_parallel_calls`).
        """
        return self._like(lambda: (_call(function, batch) for batch in self), len(self))

    def take(self, count: int) -> BatchedDataset:
        """Returns a dataset of the first `count` batches of each epoch; -1 for all."""
        check_whole("count", count, -1)
        count = len(self) if count < 0 else min(count, len(self))
        return self._like(lambda: itertools.islice(iter(self), count), count)

    def skip(self, count: int) -> BatchedDataset:
        """Returns a dataset without the first `count` batches of each epoch."""
        check_whole("count", count, 0)
        count = min(count, len(self))
        return self._like(lambda: itertools.islice(iter(self), count, None), len(self) - count)

    def cache(self) -> BatchedDataset:
        """Returns a dataset that keeps its batches in memory, as its first epoch has them."""
        kept: list[Any] = []

        def start() -> Iterator[Any]:
            if not kept:
                kept.extend(self)
            return iter(kept)

        return self._like(start, len(self))

    def prefetch(self, buffer_size: int | None = 1) -> BatchedDataset:
        """Returns a dataset whose batches are made ahead by a thread.

        Args:
            buffer_size: how many at most; -1 (`tf.data.AUTOTUNE`) or None for 2.
        """
        check_whole("buffer_size", -1 if buffer_size is None else buffer_size, -1)
        size = 2 if buffer_size is None or buffer_size < 0 else buffer_size
        return self._like(lambda: _ahead(self, size) if size else iter(self), len(self))

    def _like(self, start: Callable[[], Iterator[Any]], length: int) -> BatchedDataset:
        other = copy.copy(self)
        other._start, other._length = start, length
        return other


def from_rows(
    read: Callable[[np.ndarray], Any],
    rows: int,
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
) -> BatchedDataset:
    """Makes a dataset out of numbered rows.

    Args:
        read: gives the batch of these row numbers: a tensor or list, or a tuple of them.
        rows: how many there are.
        batch_size: rows a batch, the last one with what remains; None gives rows one by one.
        shuffle: a new order each epoch.
        seed: what the orders depend on; None takes one from NumPy's global generator.
    """
    if batch_size is not None:
        check_whole("batch_size", batch_size, 1)
    seed = _seed(seed)
    epochs = itertools.count()

    def start() -> Iterator[Any]:
        order = np.arange(rows)
        if shuffle:
            np.random.default_rng([seed, next(epochs)]).shuffle(order)
        return _batches(read, order, batch_size)

    return BatchedDataset(start, rows if batch_size is None else -(-rows // batch_size))


def _seed(seed: int | None) -> int:
    if seed is None:
        return int(np.random.randint(10**6))
    check_whole("seed", seed, 0)
    return int(seed)


def _batches(
    read: Callable[[np.ndarray], Any], order: np.ndarray, batch_size: int | None
) -> Iterator[Any]:
    for first in range(0, len(order), batch_size or 1):
        batch = read(order[first : first + (batch_size or 1)])
        if batch_size is not None:
            yield batch
        else:
            yield tuple(part[0] for part in batch) if isinstance(batch, tuple) else batch[0]


def _call(function: Callable[..., Any], batch: Any) -> Any:
    return function(*batch) if isinstance(batch, tuple) else function(batch)


def _ahead(dataset: BatchedDataset, size: int) -> Iterator[Any]:
    """Gives the batches; a thread makes up to `size` of them ahead."""
    line: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(size)
    left = threading.Event()

    def put(batch: Any, error: BaseException | None = None) -> bool:
        while not left.is_set():
            try:
                line.put((batch, error), timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for batch in dataset:
                if not put(batch):
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    threading.Thread(target=make, name="prefetch", daemon=True).start()
    try:
        while True:
            batch, error = line.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield batch
    finally:
        left.set()
