"""Where batches come from: arrays, generators, loaders, datasets; an epoch at a time."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from elephas_torch.errors import DataError
from elephas_torch.keras import batches
from elephas_torch.keras.arguments import DEFAULT_BATCH_SIZE
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.structure import has_rows
from elephas_torch.keras.utils.py_dataset import read_ahead

#: Makes checked samples of x, y and weights: a batch's, or all of them.
Convert = Callable[[Any, Any, Any], Samples]


class Source:
    """Batches, an epoch at a time.

    Args:
        steps: batches an epoch; None: all that there are. With steps an epoch goes on where the
            last one stopped, and begins anew where the batches are used up, as in Keras.

    Attributes:
        name: the argument that it came from, for messages.
    """

    def __init__(self, name: str, steps: int | None = None) -> None:
        self.name = name
        self._steps = steps
        self._current: Iterator[Samples] | None = None
        self._begun = False
        self._ahead: Iterator[Samples] | None = None

    @property
    def count(self) -> int | None:
        """Batches in all; None where nobody knows."""
        return None

    @property
    def steps(self) -> int | None:
        """Batches an epoch, as far as that is known."""
        return self._steps or self.count

    def passing(self) -> Iterator[Samples]:
        """All batches once."""
        raise TypeError(f"{type(self).__name__} must define passing().")

    def epoch(self) -> Iterator[Samples]:
        """The batches of the next epoch; none where the source is used up."""
        ahead, self._ahead = self._ahead, None
        return self._batches() if ahead is None else ahead

    def look_ahead(self) -> None:
        """Makes the next epoch's first batch now: a model learns from it which shapes it gets.

        Raises:
            DataError: there is none.
        """
        found = self.epoch()
        try:
            first = list(itertools.islice(found, 1))
        except BaseException:
            self.close()
            raise
        if not first:
            raise self.nothing()
        self._ahead = itertools.chain(first, found)

    def _batches(self) -> Iterator[Samples]:
        found = self.passing() if self._steps is None else self._some(self._steps)
        for batch in found:
            self._begun = True
            yield batch

    def _some(self, steps: int) -> Iterator[Samples]:
        for number in range(steps):
            batch = self._next(anew=number == 0)
            if batch is None:
                self._warn(number, steps)
                return
            yield batch

    def _next(self, anew: bool) -> Samples | None:
        if self._current is None:
            self._current = self.passing()
            anew = False
        batch = next(self._current, None)
        if batch is None:
            self._current = None
            return self._next(anew=False) if anew else None
        return batch

    def close(self) -> None:
        """Ends what reads ahead. What is read later begins anew."""
        self._current = self._ahead = None

    def nothing(self) -> DataError:
        """The error of a source that has no batch."""
        return DataError(f"`{self.name}` gives no batches.")

    def rewind(self) -> None:
        """Begins anew with the next epoch, where the batches can be gone through again."""
        if self._ahead is None:
            self._current = None

    def warn_empty(self, what: str) -> None:
        """Warns that no batch was left for an epoch, and says what comes of it.

        Raises:
            DataError: there never was one.
        """
        if not self._begun:
            raise self.nothing()
        warnings.warn(
            f"`{self.name}` has no batches left: {what}. Give a number of steps that it suffices "
            "for, or data that can be gone through again.",
            stacklevel=2,
        )

    def _warn(self, number: int, steps: int) -> None:
        if number:
            warnings.warn(
                f"`{self.name}` ran out of batches: this epoch has {number} in place of {steps}. "
                "Give fewer steps, or data that goes on for as many.",
                stacklevel=2,
            )


class Arrays(Source):
    """Samples that are there as a whole.

    Args:
        samples: all rows.
        batch_size: rows a batch. Default 32; with steps, what makes that many batches.
        shuffle: True takes the rows in a new order each time; "batch" shuffles within batches.
    """

    def __init__(
        self,
        name: str,
        samples: Samples,
        batch_size: int | None = None,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> None:
        super().__init__(name, steps)
        self.samples = samples
        default = DEFAULT_BATCH_SIZE if steps is None else -(-len(samples) // steps)
        self.batch_size = batch_size or default
        self.shuffle = shuffle

    @property
    def count(self) -> int:
        return -(-len(self.samples) // self.batch_size)

    def with_steps(self, batch_size: int | None, steps: int | None) -> Arrays:
        """The same rows in batches of another size, or in so many of them."""
        return Arrays(self.name, self.samples, batch_size, self.shuffle, steps)

    def passing(self) -> Iterator[Samples]:
        return batches.batches(self.samples, self.batch_size, self._order())

    def _order(self) -> torch.Tensor | None:
        rows = len(self.samples)
        if self.shuffle == "batch":
            parts = torch.arange(rows).split(self.batch_size)
            return torch.cat([part[torch.randperm(len(part))] for part in parts])
        return batches.order(rows, True) if self.shuffle else None


class Stream(Source):
    """Batches that somebody else makes: a generator, a loader, an iterable of batches.

    Args:
        iterable: of x, (x,), (x, y) or (x, y, sample_weight).
        convert: makes samples of the parts of one.
        rows: an epoch ends when it has had so many, as Keras 1's `samples_per_epoch` says.
    """

    def __init__(
        self,
        name: str,
        iterable: Iterable[Any],
        convert: Convert,
        steps: int | None = None,
        rows: int | None = None,
    ) -> None:
        super().__init__(name, steps)
        self.iterable, self.convert, self.rows = iterable, convert, rows

    @property
    def count(self) -> int | None:
        return length(self.iterable)

    def passing(self) -> Iterator[Samples]:
        for number, data in enumerate(self.iterable):
            yield self._converted(data, number)

    def _converted(self, data: Any, number: int) -> Samples:
        try:
            return self.convert(*batches.unpack_x_y_sample_weight(data)).dense()
        except ValueError as error:
            raise DataError(f"Batch {number} of `{self.name}`: {error}") from None

    def _batches(self) -> Iterator[Samples]:
        return super()._batches() if self.rows is None else self._until(self.rows)

    def _until(self, rows: int) -> Iterator[Samples]:
        seen = 0
        while seen < rows:
            batch = self._next(anew=seen == 0)
            if batch is None:
                return
            seen += len(batch)
            yield batch


class Indexed(Stream):
    """Batches by number: Keras's `PyDataset` or `Sequence`, or what looks like one.

    A dataset's `workers` threads make its batches ahead; they end with the batches, or at `close`.

    Args:
        shuffle: take the batches in a new order each time, where it is known how many there are.
    """

    def __init__(
        self,
        name: str,
        dataset: Any,
        convert: Convert,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> None:
        super().__init__(name, (), convert, steps)
        self.dataset, self.shuffle = dataset, shuffle
        self._reading: Generator[Any, None, None] | None = None

    @property
    def count(self) -> int | None:
        return _number_of_batches(self.dataset)

    def passing(self) -> Iterator[Samples]:
        self._end_reading()
        _call(self.dataset, "on_epoch_begin")
        numbers, asked = itertools.tee(self._numbers())
        self._reading = read_ahead(self.dataset, asked)
        for data, number in zip(self._reading, numbers, strict=False):
            yield self._converted(data, number)
        _call(self.dataset, "on_epoch_end")

    def close(self) -> None:
        super().close()
        self._end_reading()

    def _end_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _numbers(self) -> Iterator[int]:
        count = self.count
        number = 0
        if count is not None:
            yield from torch.randperm(count).tolist() if self.shuffle else range(count)
            return
        while True:
            yield number
            number += 1


def _number_of_batches(dataset: Any) -> int | None:
    known = getattr(dataset, "num_batches", None)
    if isinstance(known, int):
        return known
    return length(dataset)


def _call(dataset: Any, hook: str) -> None:
    function = getattr(dataset, hook, None)
    if function is not None:
        function()


def length(thing: Any) -> int | None:
    """`len(thing)`, or None where it has none."""
    try:
        return len(thing)
    except (TypeError, NotImplementedError):
        return None  # what torch's iterable datasets and samplers without a length raise


#: What can be iterated over and is never taken for batches.
_NO_STREAMS = (list, tuple, dict, set, frozenset, str, bytes, type)


def is_stream(x: Any) -> bool:
    """Whether data comes in batches (or by samples, one at a time) and not as arrays."""
    if x is None or has_rows(x) or isinstance(x, _NO_STREAMS):
        return False
    return isinstance(x, Dataset) or is_indexed(x) or isinstance(x, Iterable)


def is_indexed(x: Any) -> bool:
    """Whether it gives batches by number."""
    return (
        not isinstance(x, Dataset | DataLoader)
        and hasattr(x, "__getitem__")
        and (hasattr(x, "__len__") or hasattr(x, "num_batches"))
    )


def stream(
    name: str,
    x: Any,
    convert: Convert,
    batch_size: int | None = None,
    shuffle: bool | str = False,
    steps: int | None = None,
    rows: int | None = None,
) -> Source:
    """The source that fits data which is no array.

    Args:
        name: of the argument.
        x: a generator or iterator of batches; an iterable of them, such as a
            `torch.utils.data.DataLoader`; a `PyDataset`; a `torch.utils.data.Dataset` of samples.
        convert: makes samples of one batch.
        batch_size: samples a batch of a torch dataset; the others have their own.
        shuffle: a new order each epoch, of what has numbers.
        steps, rows: see `Source` and `Stream`.
    """
    if isinstance(x, TensorDataset):
        whole = convert(*batches.unpack_x_y_sample_weight(x.tensors))
        return Arrays(name, whole, batch_size, shuffle, steps)
    if isinstance(x, Dataset):
        return Stream(name, _loader(x, batch_size, shuffle), convert, steps, rows)
    if batch_size is not None:
        warnings.warn(
            f"`batch_size` has no effect: `{name}` gives batches of its own. "
            f"Received: batch_size={batch_size}",
            stacklevel=4,
        )
    if is_indexed(x) and rows is None:
        return Indexed(name, x, convert, shuffle, steps)
    return Stream(name, x, convert, steps, rows)


def _loader(dataset: Any, batch_size: int | None, shuffle: bool | str) -> DataLoader[Any]:
    by_number = not isinstance(dataset, IterableDataset)
    return DataLoader(
        dataset,
        batch_size=batch_size or DEFAULT_BATCH_SIZE,
        shuffle=bool(shuffle) if by_number else None,
    )
