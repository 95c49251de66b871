"""Reuters: 11,228 newswires as lists of word numbers, of 46 topics.

Follows https://keras.io/api/datasets/reuters/
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elephas_torch.keras.arguments import check_share
from elephas_torch.keras.datasets import files, safe_pickle, words

URL = files.KERAS + "reuters.npz"
SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
INDEX_URL = files.KERAS + "reuters_word_index.json"
INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"

_TOPICS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas",
    "cpi", "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin",
    "strategic-metal", "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs",
    "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> tuple[words.Arrays, words.Arrays]:
    """Loads the newswires, shuffled. Words are numbered by how frequent they are.

    Args:
        test_split: share of the newswires to test with, 0 to below 1.
        path, num_words, skip_top, maxlen, seed, start_char, oov_char, index_from: as in
            `imdb.load_data`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: newswires as arrays of lists of numbers, shape
        (samples,), and topics from 0 to 45, shape (samples,).

    Raises:
        ValueError: `test_split` is out of its range, or no newswire is shorter than `maxlen`.
        TypeError: an argument that isn't known.
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.
    """
    check_share("test_split", test_split)
    num_words = words.number_of_words("reuters.load_data", num_words, kwargs)
    file = files.cached(files.cache_folder() / path, URL, SHA256)
    x, y = words.columns(safe_pickle.load_npz(file), ["x", "y"], file)
    x, y = words.shuffled(x, y, np.random.RandomState(seed))
    texts, labels = words.shorter(words.begun(x, start_char, index_from), y, maxlen)
    result = words.limited(texts, skip_top, num_words or words.largest(texts), oov_char)
    cut = int(len(result) * (1 - test_split))
    return (result[:cut], labels[:cut]), (result[cut:], labels[cut:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Returns the words and their numbers, to which `load_data` adds `index_from`.

    Args:
        path: the file's name in Keras's cache folder, or its full path.

    Raises:
        DataError: the file isn't there and can't be downloaded, or is damaged.
    """
    return words.index(files.cached(files.cache_folder() / path, INDEX_URL, INDEX_MD5))


def get_label_names() -> tuple[str, ...]:
    """Returns the names of the 46 topics, by number."""
    return _TOPICS
