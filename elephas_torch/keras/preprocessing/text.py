"""Texts as numbers of words, as Keras 1 and 2 have it.

Follows https://keras.io/2.18/api/data_loading/text/ and the documentation of Keras 2's
`keras.preprocessing.text`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from elephas_torch.errors import unknown, unknown_arguments
from elephas_torch.keras.arguments import check_whole

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_MODES = ("binary", "count", "freq", "tfidf")
_TABLES = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")

#: Makes words of a text.
Analyzer = Callable[[Any], Iterable[str]]


def text_to_word_sequence(
    input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """Parts a text into words.

    Args:
        input_text: the text.
        filters: characters that part words too, and are dropped.
        lower: make all letters small.
        split: what parts words.

    Example:
        >>> text_to_word_sequence("Some text, and more.")
        ['some', 'text', 'and', 'more']
    """
    if not isinstance(input_text, str):
        raise TypeError(
            f"A text must be a string. Received: {input_text!r} (of type "
            f"{type(input_text).__name__})"
        )
    text = input_text.lower() if lower else input_text
    text = text.translate(dict.fromkeys(map(ord, filters), split))
    return [word for word in text.split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Numbers the words of a text by Python's `hash`, which differs from run to run.

    The same as `hashing_trick` with `hash_function=None`; take "md5" there for numbers that stay.
    """
    return hashing_trick(input_text, n, None, filters, lower, split, analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Numbers the words of a text without a vocabulary: different words may get one number.

    Args:
        text: the text.
        n: numbers go from 1 to n - 1; 0 is free for padding. 2 or more.
        hash_function: None is Python's `hash`, which differs from run to run; "md5" stays the
            same; or a function that gives an integer for a word.
        filters, lower, split: as in `text_to_word_sequence`.
        analyzer: parts the text in place of these three.

    Raises:
        ValueError: `n` or `hash_function` is none of these.
    """
    check_whole("n", n, 2)
    function = _hash_function(hash_function)
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    return [function(word) % (n - 1) + 1 for word in words]


def _hash_function(function: Any) -> Callable[[str], int]:
    if function is None:
        return hash
    if function == "md5":
        return lambda word: int(hashlib.md5(word.encode()).hexdigest(), 16)
    if not callable(function):
        raise unknown("hash_function", function, ["md5", "None", "a function"])
    return function


def _several(argument: str, given: Any) -> Any:
    if not isinstance(given, Iterable):
        raise TypeError(
            f"Tokenizer: `{argument}` must be a list of {argument}. Received: {argument}={given!r}"
        )
    return given


class Tokenizer:
    """Numbers words by how frequent they are: 1 is the most frequent one, 0 no word.

    Args:
        num_words: only words with numbers below this are used. Default all.
        filters: characters that part words too, and are dropped.
        lower: make all letters small.
        split: what parts words.
        char_level: number characters in place of words.
        oov_token: stands for words that are unknown or have larger numbers, and gets number 1.
            By default these are dropped.
        analyzer: parts a text in place of `filters`, `lower` and `split`.
        kwargs: `nb_words`, Keras 1's name of `num_words`; `document_count`.

    Attributes:
        word_counts: word -> how often it came, in the order of coming first.
        word_docs: word -> in how many texts.
        word_index, index_word: word -> number, and number -> word.
        index_docs: number -> in how many texts.
        document_count: how many texts came.

    Raises:
        TypeError: an argument that isn't known.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["The cat sat.", "The dog!"])
        >>> tokenizer.texts_to_sequences(["the dog sat"])
        [[1, 4, 3]]
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Analyzer | None = None,
        **kwargs: Any,
    ) -> None:
        if "nb_words" in kwargs:
            warnings.warn(
                "Tokenizer(nb_words=…) is the old name of `num_words`.",
                DeprecationWarning,
                stacklevel=2,
            )
            num_words = kwargs.pop("nb_words")
        self.document_count = int(kwargs.pop("document_count", 0))
        if kwargs:
            known = ("num_words", "filters", "lower", "split", "char_level", "oov_token",
                     "analyzer", "document_count")  # fmt: skip
            raise unknown_arguments("Tokenizer", kwargs, known)
        if num_words is not None:
            check_whole("num_words", num_words, 0)
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.word_counts: dict[str, int] = OrderedDict()
        self.word_docs: dict[str, int] = defaultdict(int)
        self.index_docs: dict[int, int] = defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> Iterable[str]:
        """The words of a text; a list is taken as the words themselves."""
        if isinstance(text, list):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return text.lower() if self.lower else text
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Counts the words of some texts, and numbers them anew.

        Args:
            texts: strings, or lists of words.
        """
        if isinstance(texts, str):
            raise TypeError(f"`texts` must be a list of texts. Received: the string {texts!r}")
        for text in _several("texts", texts):
            self.document_count += 1
            words = list(self._words(text))
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        frequent = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        first = [] if self.oov_token is None else [self.oov_token]
        self.word_index = {word: number for number, word in enumerate([*first, *frequent], 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        self.index_docs.update({self.word_index[w]: count for w, count in self.word_docs.items()})

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Counts in how many sequences each number is: what "tfidf" needs.

        Args:
            sequences: lists of numbers.
        """
        for sequence in _several("sequences", sequences):
            self.document_count += 1
            for number in set(sequence):
                self.index_docs[number] += 1

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """Returns each text's words as numbers."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Gives what `texts_to_sequences` returns, one text at a time."""
        unknown_word = self._unknown()
        for text in _several("texts", texts):
            numbers = (self.word_index.get(word) for word in self._words(text))
            known = (unknown_word if self._left_out(number) else number for number in numbers)
            yield [number for number in known if number is not None]

    def _unknown(self) -> int | None:
        return None if self.oov_token is None else self.word_index.get(self.oov_token)

    def _left_out(self, number: int | None) -> bool:
        return number is None or bool(self.num_words and number >= self.num_words)

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Returns the words of each sequence of numbers, with blanks between them."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Gives what `sequences_to_texts` returns, one text at a time."""
        unknown_word = None if self._unknown() is None else self.oov_token
        for sequence in _several("sequences", sequences):
            words = (
                unknown_word if number not in self.index_word or self._left_out(number)
                else self.index_word[number]
                for number in sequence
            )  # fmt: skip
            yield " ".join(word for word in words if word is not None)

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """Returns a row of the vocabulary for each text; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(
        self, sequences: Iterable[Iterable[int]], mode: str = "binary"
    ) -> np.ndarray:
        """Returns a row of the vocabulary for each sequence of numbers.

        Args:
            sequences: lists of numbers.
            mode: "binary", 1 for each number that is there; "count", how often; "freq", its
                share; "tfidf", (1 + ln count) * ln(1 + texts / (1 + texts with it)).

        Returns:
            float64, shape (sequences, num_words), or one more column than there are words.

        Raises:
            ValueError: `mode` is none of these, or the tokenizer hasn't seen texts.
        """
        if mode not in _MODES:
            raise unknown("mode", mode, _MODES)
        if not self.num_words and not self.word_index:
            raise ValueError("The Tokenizer needs `num_words`, or fit_on_texts(texts) first.")
        if mode == "tfidf" and not self.document_count:
            raise ValueError('mode="tfidf" needs fit_on_texts(texts) first.')
        columns = self.num_words or len(self.word_index) + 1
        rows = [list(one) for one in _several("sequences", sequences)]
        matrix = np.zeros((len(rows), columns))
        for row, numbers in zip(matrix, rows, strict=True):
            for number, count in Counter(n for n in numbers if n < columns).items():
                row[number] = self._weight(mode, number, count, len(numbers))
        return matrix

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "count":
            return count
        if mode == "freq":
            return count / length
        if mode == "binary":
            return 1
        texts = 1 + self.index_docs.get(number, 0)
        return float((1 + np.log(count)) * np.log(1 + self.document_count / texts))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, and what was counted as strings of JSON."""
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token",
                 "document_count")  # fmt: skip
        plain = {name: getattr(self, name) for name in names}
        return {**plain, **{name: json.dumps(getattr(self, name)) for name in _TABLES}}

    def to_json(self, **kwargs: Any) -> str:
        """Returns the tokenizer as JSON, which `tokenizer_from_json` reads.

        Args:
            kwargs: for `json.dumps`.
        """
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Makes the tokenizer that `to_json` described, here or in Keras 2.

    Raises:
        ValueError: it isn't one.
    """
    try:
        config = dict(json.loads(json_string)["config"])
        tables = {name: json.loads(config.pop(name)) for name in _TABLES}
        tokenizer = Tokenizer(**config)
        for name in ("index_docs", "index_word"):
            tables[name] = {int(number): value for number, value in tables[name].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"This is no JSON of a Tokenizer: {error!r}.") from error
    tokenizer.word_counts = OrderedDict(tables["word_counts"])
    tokenizer.word_docs = defaultdict(int, tables["word_docs"])
    tokenizer.index_docs = defaultdict(int, tables["index_docs"])
    tokenizer.word_index, tokenizer.index_word = tables["word_index"], tables["index_word"]
    return tokenizer
