"""IMDB: 50,000 film reviews as lists of word numbers, positive or negative (Maas et al., 2011).

Follows https://keras.io/api/datasets/imdb/
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elephas_torch.keras.datasets import files, safe_pickle, words

URL = files.KERAS + "imdb.npz"
SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
INDEX_URL = files.KERAS + "imdb_word_index.json"
INDEX_MD5 = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> tuple[words.Arrays, words.Arrays]:
    """Loads the reviews, shuffled. Words are numbered by how frequent they are.

    Args:
        path: the file's name in Keras's cache folder, or its full path.
        num_words: words with this number (after `index_from` is added) and larger ones become
            `oov_char`. By default the largest number that there is.
        skip_top: words with a number below this become `oov_char` too.
        maxlen: only reviews with less words than this are kept. Default all.
        seed: of the shuffling.
        start_char: each review begins with it; None for no such number.
        oov_char: stands for the words left out; None drops them.
        index_from: is added to each word's number. 0 is free for padding then.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: reviews as arrays of lists of numbers, shape
        (samples,), and labels, 0 or 1, of shape (samples,). 25,000 of each.

    Raises:
        ValueError: no review is shorter than `maxlen`.
        TypeError: an argument that isn't known.
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.

    Example:
        >>> (x_train, y_train), _ = imdb.load_data(num_words=10000)  # doctest: +SKIP
        >>> x_train = keras.utils.pad_sequences(x_train, maxlen=80)  # doctest: +SKIP
    """
    num_words = words.number_of_words("imdb.load_data", num_words, kwargs)
    file = files.cached(files.cache_folder() / path, URL, SHA256)
    names = ["x_train", "y_train", "x_test", "y_test"]
    x_train, y_train, x_test, y_test = words.columns(safe_pickle.load_npz(file), names, file)
    random = np.random.RandomState(seed)
    parts = []
    for x, y in ((x_train, y_train), (x_test, y_test)):
        x, y = words.shuffled(x, y, random)
        parts.append(words.shorter(words.begun(x, start_char, index_from), y, maxlen))
    (train, train_labels), (test, test_labels) = parts
    limit = num_words or words.largest(train + test)
    return (
        (words.limited(train, skip_top, limit, oov_char), train_labels),
        (words.limited(test, skip_top, limit, oov_char), test_labels),
    )


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Returns the words and their numbers, to which `load_data` adds `index_from`.

    Args:
        path: the file's name in Keras's cache folder, or its full path.

    Raises:
        DataError: the file isn't there and can't be downloaded, or is damaged.
    """
    return words.index(files.cached(files.cache_folder() / path, INDEX_URL, INDEX_MD5))
