"""What IMDB and Reuters have in common: texts as lists of word numbers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elephas_torch.errors import DataError, unknown_arguments

Arrays = tuple[np.ndarray, np.ndarray]
Texts = list[np.ndarray]


def number_of_words(owner: str, num_words: int | None, kwargs: dict[str, Any]) -> int | None:
    """Returns `num_words`, also where it has Keras 1's name.

    Raises:
        TypeError: another argument that isn't known.
    """
    if "nb_words" in kwargs:
        warnings.warn(
            f"{owner}(nb_words=…) is the old name of `num_words`.",
            DeprecationWarning,
            stacklevel=3,
        )
        num_words = kwargs.pop("nb_words")
    if kwargs:
        raise unknown_arguments(owner, kwargs, ["num_words", "skip_top", "maxlen", "seed"])
    return num_words


def shuffled(x: np.ndarray, y: np.ndarray, random: np.random.RandomState) -> Arrays:
    """Returns both in a new order."""
    order = np.arange(len(x))
    random.shuffle(order)
    return x[order], y[order]


def begun(texts: Iterable[Any], start_char: int | None, index_from: int) -> Texts:
    """Returns texts with their numbers raised, and with a sign for the beginning."""
    start = [] if start_char is None else [start_char]
    return [
        np.concatenate([start, np.asarray(text, np.int64) + (index_from or 0)]).astype(np.int64)
        for text in texts
    ]


def shorter(texts: Texts, labels: np.ndarray, maxlen: int | None) -> tuple[Texts, np.ndarray]:
    """Returns the texts that have less than `maxlen` words, and their labels.

    Raises:
        ValueError: none is that short.
    """
    if not maxlen:
        return texts, labels
    kept = [number for number, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise ValueError(
            f"No text has less than `maxlen` words: use more. Received: maxlen={maxlen}"
        )
    return [texts[number] for number in kept], labels[kept]


def largest(texts: Texts) -> int:
    """Returns the largest number of all texts."""
    return max(int(text.max()) for text in texts if text.size)


def limited(texts: Texts, skip_top: int, num_words: int, oov_char: int | None) -> np.ndarray:
    """Returns texts whose numbers from `skip_top` to below `num_words` stay; others become
    `oov_char`, or are left out where that is None.

    Returns:
        An array of lists, shape (texts,).
    """
    result = np.empty(len(texts), dtype=object)
    for number, text in enumerate(texts):
        stays = (text >= skip_top) & (text < num_words)
        kept = text[stays] if oov_char is None else np.where(stays, text, oov_char)
        result[number] = kept.tolist()
    return result


def columns(arrays: Mapping[str, np.ndarray], names: list[str], path: Path) -> list[np.ndarray]:
    """Returns the arrays of these names.

    Raises:
        DataError: one is missing.
    """
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DataError(f"{path} isn't Keras's {path.name}: it has no array {missing[0]!r}.")
    return [arrays[name] for name in names]


def index(path: Path) -> dict[str, int]:
    """Returns the words and their numbers out of a JSON file.

    Raises:
        DataError: it isn't one.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} isn't Keras's index of words: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} isn't Keras's index of words: it holds no dict.")
    return found
