"""Tokenizer and its kin, by hand and against what Keras 3 keeps of Keras 2's."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.legacy.preprocessing import text as theirs

from elephas_torch.keras.preprocessing import text

TEXTS = ["The cat sat on the mat.", "The dog sat on the log!", "Dogs and cats: living together?"]
SENTENCES = st.lists(st.text("abAB ,.!\t", max_size=12), min_size=1, max_size=4)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"lower": False}, {"filters": "."}, {"split": ","}, {"split": "--", "filters": "o "}],
)
@pytest.mark.parametrize("source", [*TEXTS, "", " a  b ", "a,b--c o"])
def test_words(source, arguments):
    assert text.text_to_word_sequence(source, **arguments) == theirs.text_to_word_sequence(
        source, **arguments
    )


@pytest.mark.parametrize("arguments", [{}, {"lower": False}, {"analyzer": str.split}])
@pytest.mark.parametrize("function", [None, "md5", len])
def test_hashing(arguments, function):
    ours = text.hashing_trick(TEXTS[0], 50, function, **arguments)
    assert ours == theirs.hashing_trick(TEXTS[0], 50, function, **arguments)
    assert all(1 <= number < 50 for number in ours)
    assert text.one_hot(TEXTS[0], 50, **arguments) == theirs.one_hot(TEXTS[0], 50, **arguments)


def test_md5_stays_the_same_in_every_run():
    the = 0x8FC42C6DDF9966DB3B09E84365034357  # the MD5 of "the"
    assert text.hashing_trick("The, the", 100, "md5") == [the % 99 + 1] * 2 == [51, 51]


def test_a_tokenizer_by_hand():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(TEXTS)
    assert tokenizer.word_index == {
        "the": 1, "sat": 2, "on": 3, "cat": 4, "mat": 5, "dog": 6, "log": 7, "dogs": 8, "and": 9,
        "cats": 10, "living": 11, "together": 12,
    }  # fmt: skip
    assert tokenizer.word_counts["the"] == 4
    assert tokenizer.word_docs["the"] == tokenizer.index_docs[1] == 2
    assert tokenizer.document_count == 3
    assert tokenizer.texts_to_sequences(["The bird sat on the dog"]) == [[1, 2, 3, 1, 6]]
    assert tokenizer.sequences_to_texts([[1, 4, 99]]) == ["the cat"]
    matrix = tokenizer.texts_to_matrix(["the the cat"], "count")
    assert matrix.shape == (1, 13)
    assert matrix[0, [0, 1, 4]].tolist() == [0, 2, 1]
    tfidf = tokenizer.texts_to_matrix(["the the cat"], "tfidf")
    np.testing.assert_allclose(tfidf[0, 1], (1 + np.log(2)) * np.log(1 + 3 / 3))


OPTIONS = [
    {},
    {"num_words": 4},
    {"oov_token": "<unk>"},
    {"num_words": 4, "oov_token": "<unk>"},
    {"num_words": 1, "oov_token": "cat"},
    {"char_level": True},
    {"char_level": True, "lower": False, "num_words": 5},
    {"lower": False, "filters": "", "split": "a"},
    {"analyzer": str.split},
]


def same(ours, other):
    for name in ("word_counts", "word_docs", "index_docs", "word_index", "index_word"):
        assert dict(getattr(ours, name)) == dict(getattr(other, name))
    assert list(ours.word_counts) == list(other.word_counts)
    assert ours.document_count == other.document_count


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=25, deadline=None)
@given(fitted=SENTENCES, more=SENTENCES, mode=st.sampled_from(["binary", "count", "freq", "tfidf"]))
def test_tokenizers_are_keras_2_s(options, fitted, more, mode):
    ours, other = text.Tokenizer(**options), theirs.Tokenizer(**options)
    for tokenizer in (ours, other):
        tokenizer.fit_on_texts(fitted)
        tokenizer.fit_on_texts([["B", "a"]])
    same(ours, other)
    sequences = ours.texts_to_sequences([*more, ["A", "zz"]])
    assert sequences == other.texts_to_sequences([*more, ["A", "zz"]])
    numbers = [*sequences, [1, 2, 3, 50]]
    assert ours.sequences_to_texts(numbers) == other.sequences_to_texts(numbers)
    expected = other.texts_to_matrix(more, mode)
    np.testing.assert_allclose(ours.texts_to_matrix(more, mode), expected, rtol=1e-12)
    assert ours.get_config() == other.get_config()


def test_sequences_can_be_fitted():
    ours, other = text.Tokenizer(num_words=6), theirs.Tokenizer(num_words=6)
    for tokenizer in (ours, other):
        tokenizer.fit_on_sequences([[1, 2, 2], [2, 5], [7]])
    same(ours, other)
    np.testing.assert_allclose(
        ours.sequences_to_matrix([[2, 2, 5]], "tfidf"),
        other.sequences_to_matrix([[2, 2, 5]], "tfidf"),
    )


@pytest.mark.parametrize("options", OPTIONS[:-1])
def test_json_goes_both_ways(options):
    ours = text.Tokenizer(**options)
    ours.fit_on_texts(TEXTS)
    again = text.tokenizer_from_json(ours.to_json(indent=1))
    same(again, ours)
    same(theirs.tokenizer_from_json(ours.to_json()), ours)
    other = theirs.Tokenizer(**options)
    other.fit_on_texts(TEXTS)
    assert json.loads(ours.to_json()) == json.loads(other.to_json())
    again = text.tokenizer_from_json(other.to_json())
    assert again.texts_to_sequences(TEXTS) == ours.texts_to_sequences(TEXTS)
    again.fit_on_texts([["end"]])
    assert again.word_counts["end"] == again.word_docs["end"] == 1


def test_keras_1_s_name():
    with pytest.warns(DeprecationWarning, match="num_words") as caught:
        tokenizer = text.Tokenizer(nb_words=3)
    assert (tokenizer.num_words, caught[0].filename) == (3, __file__)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: text.Tokenizer(num_word=3), TypeError, "'num_word'.*Did you mean 'num_words'"),
        (lambda: text.Tokenizer(num_words=-1), ValueError, "`num_words` must be"),
        (lambda: text.Tokenizer().fit_on_texts("abc"), TypeError, "`texts` must be a list"),
        (lambda: text.Tokenizer().fit_on_texts([5]), TypeError, "A text must be a string"),
        (lambda: text.Tokenizer(5).texts_to_matrix(["a"], "idf"), ValueError, "mode: 'idf'"),
        (lambda: text.Tokenizer(5).texts_to_matrix(["a"], "tfidf"), ValueError, "needs fit_on"),
        (lambda: text.Tokenizer().texts_to_matrix(["a"]), ValueError, "needs `num_words`, or fit"),
        (lambda: text.hashing_trick("a", 1), ValueError, "`n` must be"),
        (lambda: text.hashing_trick("a", 9, "md4"), ValueError, "hash_function: 'md4'"),
        (lambda: text.tokenizer_from_json("[]"), ValueError, "no JSON of a Tokenizer"),
        (lambda: text.tokenizer_from_json('{"config": {}}'), ValueError, "'word_counts'"),
        (lambda: text.tokenizer_from_json("nothing"), ValueError, "no JSON of a Tokenizer"),
    ],
)
def test_bad_arguments_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("fit_on_texts", "texts"), ("texts_to_sequences", "texts"), ("texts_to_matrix", "texts"),
        ("fit_on_sequences", "sequences"), ("sequences_to_texts", "sequences"),
        ("sequences_to_matrix", "sequences"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(method, argument):
    for bad in (5, None):
        with pytest.raises(TypeError, match=f"`{argument}` must be a list of .*{argument}={bad}"):
            getattr(text.Tokenizer(num_words=5), method)(bad)
