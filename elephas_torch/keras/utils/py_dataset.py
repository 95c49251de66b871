"""`PyDataset`, in Keras 2 `Sequence`: batches by their number."""

from __future__ import annotations

import itertools
import operator
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from elephas_torch.keras.arguments import check_whole


class PyDataset:
    """Base class of datasets that make their batches in Python.

    Follows https://keras.io/api/utils/python_utils/#pydataset-class

    To define: `__getitem__(index)`, which returns one batch, (x, y) or (x, y, sample_weight) or x
    alone, and `__len__()`, the number of batches (or the property `num_batches`; None there means
    that there is no end).

    Args:
        workers: threads that make batches ahead while `fit`, `evaluate` or `predict` compute.
            Default 1: none, each batch is made when it is needed.
        use_multiprocessing: accepted for Keras's sake; batches are made in threads.
        max_queue_size: how many batches are made ahead at most. Default 10.

    Raises:
        ValueError: `workers` isn't a whole number, 0 or more, or `max_queue_size`, 1 or more.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return np.full((2, 1), index), np.full((2, 1), index**2)
        >>> [int(y[0, 0]) for x, y in Squares()]
        [0, 1, 4]
    """

    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        check_whole("workers", workers, 0)
        check_whole("max_queue_size", max_queue_size, 1)
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Returns one batch."""
        raise TypeError(f"{type(self).__name__} must define __getitem__(index): one batch.")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None where there is no end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise TypeError(f"{type(self).__name__} must define __len__(): the number of batches.")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called as each epoch begins."""

    def on_epoch_end(self) -> None:
        """Called as each epoch ends: the place to shuffle anew."""


#: Keras 2's name.
Sequence = PyDataset


def read_ahead(dataset: Any, indices: Iterable[int]) -> Generator[Any, None, None]:
    """Gives the batches of these numbers in order, made ahead by the dataset's own threads.

    An error in `__getitem__` is raised where its batch would have come. The threads end with the
    last batch, with an error, or when the generator is closed; all wait for the batches that are
    being made.

    Args:
        dataset: with `workers` and `max_queue_size`, as a `PyDataset` has them; what hasn't makes
            each batch in this thread when it is asked for, as one worker does.
        indices: the numbers of batches; they needn't end.
    """
    workers = getattr(dataset, "workers", 1) if hasattr(dataset, "max_queue_size") else 1
    if workers <= 1:
        for number in indices:
            yield dataset[number]
        return
    pool = ThreadPoolExecutor(workers, "PyDataset")
    try:
        coming = (pool.submit(operator.getitem, dataset, number) for number in indices)
        waiting = deque(itertools.islice(coming, dataset.max_queue_size))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(itertools.islice(coming, 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
