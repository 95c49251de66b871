"""The rows that a worker trains on: held in memory, or streamed from the executor's disk.

A partition that doesn't fit the worker's memory budget (see `memory.Budget`) goes to files of the
executor's local directory as it comes in, one a column, and comes back in each epoch in blocks:
in random order they fill a buffer of bounded size, whose rows are shuffled and given out in
batches. Both kinds have the same methods; training doesn't see which one it has.
"""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from elephas_torch import data, disk
from elephas_torch.disk import Run
from elephas_torch.errors import DataError
from elephas_torch.forms import Block
from elephas_torch.keeping import Kept
from elephas_torch.keras import batches, trees
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.models import Model
from elephas_torch.memory import Budget
from elephas_torch.pile import Pile
from elephas_torch.skipping import skip

#: A buffer has at least so many blocks, where rows are small enough: rows that lie far apart mix.
BLOCKS = 64

#: A block has no more bytes: reading it takes a disk little longer than finding it.
BLOCK = 1 << 20


class Rows(Protocol):
    """What a worker trains on, or validates with."""

    def __len__(self) -> int: ...

    def split(self, validation_split: float) -> tuple[Rows, Rows | None]:
        """Rows to train on, and rows to validate with (None where there are none).

        Args:
            validation_split: the share of the last rows; without effect where rows are marked.
        """
        ...

    def weighed(self, weights: Mapping[int, float] | None) -> Rows:
        """The same with rows' weights multiplied by their classes' weights.

        Raises:
            ValueError: the model isn't one of classes.
        """
        ...

    def epoch(
        self, batch_size: int, shuffle: bool = False, key: Sequence[int] = (), start: int = 0
    ) -> Iterator[Samples]:
        """All rows in batches, each row once; the last batch has what remains.

        Args:
            key: seed, worker, epoch; a shuffled order of these rows depends on these numbers
                alone, and on `batch_size` and the memory budget where it is streamed.
            start: the number of batches to leave out at the beginning.
        """
        ...

    def close(self) -> None:
        """Gives back what the rows take of the disk."""
        ...


def load(
    model: Model,
    reader: data.Reader,
    rows: Iterable[Any],
    memory: int | None = None,
    kept: Kept | None = None,
    tell: Callable[[int, int], None] = lambda rows, size: None,
) -> Rows | None:
    """All rows of a partition as a compiled model takes them; None where there are none.

    Args:
        memory: bytes that they may take of the worker's memory; see `memory.Budget`.
        kept: the file that has them since an earlier fit, or is to have them for the next one.
        tell: is told of rows, and of the bytes of their tensors, as they come in.

    Raises:
        DataError: they don't fit together, or don't fit the model's inputs, losses or outputs;
            or all of them are marked for validation.
        WorkerError: they don't fit in memory, and can't be written to the disk.
    """
    form, blocks = reader.arranged(model, rows)
    checked = _counted(data.checked(blocks, form), tell)
    fit = functools.partial(data.fitted, model, form)
    budget, said = Budget(memory), False
    known = None if kept is None else kept.read(budget)
    if known is not None:
        skip(rows)
        return Held(fit(known))
    held = Pile(), Pile()
    for block in checked:
        said = block.validation is not None
        for pile, part in zip(held, _sides(block), strict=True):
            if part is not None:
                pile.add(part)
        if budget.is_over(sum(pile.nbytes for pile in held)):
            first = [pile.taken() for pile in held]
            return _streamed(fit, itertools.chain([first], map(_sides, checked)), said, budget)
    if kept is not None and held[0].rows:
        taken = held[0].nbytes
        whole = cast(Block, held[0].taken())
        kept.write(whole, taken)
        return Held(fit(whole))
    return _held(fit, held, said)


def _counted(blocks: Iterable[Block], tell: Callable[[int, int], None]) -> Iterator[Block]:
    for block in blocks:
        tell(len(block.features[0]), sum(map(disk.nbytes, (*block.features, *block.labels))))
        yield block


#: Rows to train on, and rows that are marked for validation.
Sides = Sequence[Block | None]


def _sides(block: Block) -> Sides:
    marked = block.validation
    if marked is None:
        return block, None
    return tuple(_picked(block, which) for which in (~marked, marked))


def _picked(block: Block, which: Tensor) -> Block:
    index = torch.nonzero(which)[:, 0]
    columns = trees.map_leaves(
        lambda one: None if one is None else one.index_select(0, index), block[:3]
    )
    return Block(*columns)


def _held(fit: Callable[[Block], Samples], held: tuple[Pile, Pile], said: bool) -> Held | None:
    training, marked = (None if not pile.rows else fit(cast(Block, pile.taken())) for pile in held)
    if training is None:
        _check_any(marked)
        return None
    return Held(training, marked, said)


def _check_any(marked: Any) -> None:
    if marked:
        raise DataError("all rows are marked for validation: there is nothing to train on")


@dataclass(frozen=True)
class Held:
    """Rows in memory.

    Attributes:
        samples: rows to train on.
        marked: rows that are marked for validation.
        said: whether rows are marked or not, be it that here none is.
    """

    samples: Samples
    marked: Samples | None = None
    said: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    def split(self, validation_split: float) -> tuple[Held, Held | None]:
        """Rows to train on, and rows to validate with; see `Rows`."""
        training, validation = self.samples, self.marked
        if not self.said:
            training, validation = batches.split(training, validation_split)
        return Held(training), None if validation is None else Held(validation)

    def weighed(self, weights: Mapping[int, float] | None) -> Held:
        """The same rows, weighed by their classes; see `Rows`."""
        return replace(self, samples=batches.weigh_classes(self.samples, weights))

    def epoch(
        self, batch_size: int, shuffle: bool = False, key: Sequence[int] = (), start: int = 0
    ) -> Iterator[Samples]:
        """Batches, of which those in order are views; see `Rows`."""
        rows = batches.order(len(self), True, *key) if shuffle else None
        return batches.batches(self.samples, batch_size, rows, start)

    def close(self) -> None:
        """Does nothing."""


def _streamed(
    fit: Callable[[Block], Samples], parts: Iterable[Sides], said: bool, budget: Budget
) -> Streamed:
    training, marked = files = Files(), Files()
    try:
        for sides in parts:
            for target, part in zip(files, sides, strict=True):
                if part is not None and len(part.features[0]):
                    target.add(fit(part))
        if not training.rows:
            _check_any(marked.rows)
    except BaseException:
        training.close()
        marked.close()
        raise
    return Streamed(training, 0, training.rows, budget.buffer, marked if said else None)


class Files:
    """Rows on disk: a column for each tensor of samples.

    Attributes:
        rows: how many there are.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._place = disk.folder()
        self._trees: Any = None

    def add(self, samples: Samples) -> None:
        """Appends rows, which have the form of the first ones.

        Raises:
            WorkerError: they can't be written.
        """
        parts = [samples.x, samples.y, samples.weight]
        if self._trees is None:
            self._trees = _each(lambda one: disk.column(self._place, one), parts)
        _each(lambda column, one: column.write(one), self._trees, parts)
        self.rows += len(samples)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(column.size for column in self._columns())

    def buffers(self, rows: int) -> Any:
        """What `read` can read so many rows into, again and again."""
        return _each(lambda column: column.buffer(rows), self._trees)

    def read(self, runs: Sequence[Run], buffers: Any = None) -> Samples:
        """Rows in the order of the runs; in the buffers, where they are given."""
        if buffers is None:
            return Samples(*_each(lambda column: column.read(runs), self._trees))
        return Samples(
            *_each(lambda column, buffer: column.read(runs, buffer), self._trees, buffers)
        )

    def expect(self, runs: Sequence[Run]) -> None:
        """Lets the system fetch rows that are read soon."""
        for column in self._columns():
            column.expect(runs)

    def close(self) -> None:
        """Gives the disk's room back."""
        for column in self._columns():
            column.close()

    def _columns(self) -> list[Any]:
        return [column for column in trees.leaves(self._trees) if column is not None]


def _each(function: Callable[..., Any], tree: Any, *more: Any) -> Any:
    """Like `map_leaves`; what isn't there stays None."""
    return trees.map_leaves(
        lambda one, *rest: None if one is None else function(one, *rest), tree, *more
    )


@dataclass(frozen=True)
class Streamed:
    """Rows on disk, of which a buffer is in memory.

    Attributes:
        files: the rows, and others.
        first, rows: which of them these are.
        buffer: bytes of the shuffle buffer; it has at least a batch all the same.
        marked: rows that are marked for validation, be it none; None: rows aren't marked.
        classes: the classes' weights.
    """

    files: Files
    first: int
    rows: int
    buffer: int
    marked: Files | None = None
    classes: Mapping[int, float] | None = None

    def __len__(self) -> int:
        return self.rows

    def split(self, validation_split: float) -> tuple[Streamed, Streamed | None]:
        """Rows to train on, and rows to validate with; see `Rows`."""
        marked = self.marked
        if marked is not None:
            return self, Streamed(marked, 0, marked.rows, self.buffer) if marked.rows else None
        keep = batches.kept(self.rows, validation_split)
        if keep == self.rows:
            return self, None
        return (
            replace(self, rows=keep),
            replace(self, first=self.first + keep, rows=self.rows - keep),
        )

    def weighed(self, weights: Mapping[int, float] | None) -> Streamed:
        """The same rows, weighed by their classes; see `Rows`."""
        batches.weigh_classes(self.files.read([(self.first, 1)]), weights)
        return replace(self, classes=weights)

    def epoch(
        self, batch_size: int, shuffle: bool = False, key: Sequence[int] = (), start: int = 0
    ) -> Iterator[Samples]:
        """Batches, copied; see `Rows`."""
        if shuffle:
            return self._shuffled(batch_size, key, start)
        return self._in_order(batch_size, start)

    def _in_order(self, batch_size: int, start: int) -> Iterator[Samples]:
        for first in range(start * batch_size, self.rows, batch_size):
            count = min(batch_size, self.rows - first)
            yield self._weighed(self.files.read([(self.first + first, count)])).dense()

    def _shuffled(self, batch_size: int, key: Sequence[int], start: int) -> Iterator[Samples]:
        row = -(-self.files.size // self.files.rows)
        # Whole batches: none of them lies across the ends of two buffers.
        window = max(self.buffer // row // batch_size, 1) * batch_size
        window = min(window, -(-self.rows // batch_size) * batch_size)
        order = self._order(max(1, min(BLOCK // row, window // BLOCKS)), key)
        buffers = self.files.buffers(window)
        for number in range(start * batch_size // window, -(-self.rows // window)):
            at = number * window
            samples = self._weighed(self.files.read(order.runs(at, at + window), buffers))
            self.files.expect(order.runs(at + window, at + 2 * window))
            index = batches.order(len(samples), True, *key, number)
            yield from batches.batches(samples, batch_size, index, max(start - at // batch_size, 0))
            del samples  # those that have no buffer make room for the next ones

    def _order(self, block: int, key: Sequence[int]) -> _Order:
        numbers = batches.order(-(-self.rows // block), True, *key).tolist()
        return _Order(self.first, self.rows, block, numbers)

    def _weighed(self, samples: Samples) -> Samples:
        return batches.weigh_classes(samples, self.classes)

    def close(self) -> None:
        """Gives the disk's room back, of all rows of these files."""
        self.files.close()
        if self.marked is not None:
            self.marked.close()


class _Order:
    """Rows in blocks, the blocks in some order.

    Args:
        first, rows: which rows they are.
        block: the rows of a block; the last one in the files has what remains.
        numbers: of the blocks, in their order.
    """

    def __init__(self, first: int, rows: int, block: int, numbers: list[int]) -> None:
        starts = (number * block for number in numbers)
        self._runs = [(first + start, min(block, rows - start)) for start in starts]
        self._ends = list(itertools.accumulate(count for _, count in self._runs))

    def runs(self, start: int, stop: int) -> list[Run]:
        """The rows from place `start` of the order to `stop`, or to its end."""
        found = []
        for number in range(bisect_right(self._ends, start), len(self._runs)):
            first, count = self._runs[number]
            begins = self._ends[number] - count
            if begins >= stop:
                break
            left = max(start - begins, 0)
            found.append((first + left, min(stop - begins, count) - left))
        return found
