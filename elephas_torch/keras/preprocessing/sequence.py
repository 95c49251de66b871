"""Sequences as Keras 1 and 2 have them: padding, skip-grams, windows over a series."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.utils.padding import pad_sequences
from elephas_torch.keras.utils.py_dataset import PyDataset

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]

_EULER = 0.577


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Returns the probability with which word2vec keeps each word: frequent ones less often.

    Frequencies are taken from Zipf's law.

    Args:
        size: the number of words, numbered from the most frequent one.
        sampling_factor: the larger, the more is kept.

    Returns:
        float64, shape (size,).
    """
    check_whole("size", size, 1)
    rank = np.maximum(np.arange(size), 1)
    inverse = rank * (np.log(rank) + _EULER) + 0.5 - 1 / (12.0 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Sequence[float] | np.ndarray | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Returns pairs of words that stand near each other, and pairs with words by chance.

    Python's own random numbers are used, as in Keras.

    Args:
        sequence: numbers of words; 0 is no word.
        vocabulary_size: the largest number and one more.
        window_size: how far apart the words of a pair are at most.
        negative_samples: pairs by chance for each true pair. Default 1.
        shuffle: shuffle the pairs; else those by chance come last.
        categorical: labels as [1, 0] and [0, 1] in place of 0 and 1.
        sampling_table: with which probability each word is kept (see `make_sampling_table`).
        seed: of the shuffling.

    Returns:
        Pairs [word, other], and their labels: 1 for words that stand near each other.

    Raises:
        ValueError: `vocabulary_size`, `window_size` or `negative_samples` is out of its range.
    """
    check_whole("vocabulary_size", vocabulary_size, 2)
    check_whole("window_size", window_size, 0)
    if not 0 <= negative_samples < math.inf:
        raise ValueError(
            f"`negative_samples` must be 0 or more. Received: negative_samples={negative_samples!r}"
        )
    pairs = _near(sequence, window_size, sampling_table)
    count = int(len(pairs) * negative_samples)
    labels = [1] * len(pairs) + [0] * count
    if negative_samples > 0:
        words = [word for word, _ in pairs]
        random.shuffle(words)
        pairs += [
            [words[n % len(words)], random.randint(1, vocabulary_size - 1)] for n in range(count)
        ]
    coded = [[1 - label, label] for label in labels] if categorical else labels
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else seed
        for several in (pairs, coded):
            random.seed(seed)
            random.shuffle(several)
    return pairs, coded


def _near(sequence: Sequence[int], window_size: int, table: Any) -> list[list[int]]:
    pairs = []
    for place, word in enumerate(sequence):
        if not word or (table is not None and table[word] < random.random()):
            continue
        first = max(place - window_size, 0)
        for other in range(first, min(place + window_size + 1, len(sequence))):
            if other != place and sequence[other]:
                pairs.append([word, sequence[other]])
    return pairs


class TimeseriesGenerator(PyDataset):
    """Windows over a series, by batches. `keras.utils.timeseries_dataset_from_array` is newer.

    Args:
        data: shape (steps, ...).
        targets: one a step; a window's target is the one of the step after it.
        length: steps a window reaches back.
        sampling_rate: steps from one entry of a window to the next.
        stride: steps from one window to the next.
        start_index: the first step to use.
        end_index: the last step to use. Default the last one that there is.
        shuffle: take windows by chance, from NumPy's global generator.
        reverse: turn each window around.
        batch_size: windows a batch. Default 128.
        kwargs: for `PyDataset`.

    Raises:
        ValueError: data and targets differ in length, an argument is out of its range, or no
            window fits.
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ValueError(
                "TimeseriesGenerator needs a target for each step. "
                f"Received: {len(data)} steps, {len(targets)} targets"
            )
        for name, value in (
            ("length", length),
            ("sampling_rate", sampling_rate),
            ("stride", stride),
            ("batch_size", batch_size),
        ):
            check_whole(name, value, 1)
        self.data, self.targets, self.length = data, targets, length
        self.sampling_rate, self.stride, self.batch_size = sampling_rate, stride, batch_size
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse = shuffle, reverse
        if self.start_index > self.end_index:
            raise ValueError(
                f"No window of length {length} fits between step {start_index} and step "
                f"{self.end_index}. Received: length={length}, start_index={start_index}, "
                f"end_index={end_index}"
            )

    def __len__(self) -> int:
        steps = self.batch_size * self.stride
        return (self.end_index - self.start_index + steps) // steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows(index)
        windows = np.array([self.data[r - self.length : r : self.sampling_rate] for r in rows])
        targets = np.array([self.targets[row] for row in rows])
        return windows[:, ::-1] if self.reverse else windows, targets

    def _rows(self, index: int) -> np.ndarray:
        if self.shuffle:
            return np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        steps = self.batch_size * self.stride
        first = self.start_index + steps * index
        return np.arange(first, min(first + steps, self.end_index + 1), self.stride)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings; data and targets as strings of JSON."""
        names = ("length", "sampling_rate", "stride", "start_index", "end_index", "shuffle",
                 "reverse", "batch_size")  # fmt: skip
        return {
            "data": json.dumps(np.asarray(self.data).tolist()),
            "targets": json.dumps(np.asarray(self.targets).tolist()),
            **{name: getattr(self, name) for name in names},
        }

    def to_json(self, **kwargs: Any) -> str:
        """Returns the generator as JSON; `kwargs` are for `json.dumps`."""
        return json.dumps(
            {"class_name": type(self).__name__, "config": self.get_config()}, **kwargs
        )
