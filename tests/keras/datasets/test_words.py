"""IMDB and Reuters, against Keras 3's own loaders on small files of the same form."""

import io

import numpy as np
import pytest
from keras.src.datasets import imdb as their_imdb
from keras.src.datasets import reuters as their_reuters

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import imdb, reuters


def texts(rows, seed):
    random = np.random.default_rng(seed)
    array = np.empty(rows, dtype=object)
    array[:] = [random.integers(1, 60, random.integers(1, 9)).tolist() for _ in range(rows)]
    return array


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


IMDB = npz(
    x_train=texts(21, 0), y_train=np.arange(21) % 2, x_test=texts(17, 1), y_test=np.arange(17) % 2
)
REUTERS = npz(x=texts(40, 2), y=np.arange(40) % 46)


@pytest.mark.parametrize(
    ("ours", "theirs", "content"), [(imdb, their_imdb, IMDB), (reuters, their_reuters, REUTERS)]
)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_words": 30},
        {"num_words": 30, "skip_top": 8, "seed": 5},
        {"maxlen": 6},
        {"oov_char": None, "num_words": 20},
        {"start_char": None, "index_from": 0, "num_words": 40},
        {"start_char": None},
        {"start_char": 7, "oov_char": 9, "index_from": 11, "skip_top": 20},
    ],
)
def test_texts_are_those_of_keras(cache, publish, monkeypatch, ours, theirs, content, arguments):
    source = publish(ours, content)
    monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(source))
    expected = theirs.load_data(**arguments)
    for (x, y), (their_x, their_y) in zip(ours.load_data(**arguments), expected, strict=True):
        assert (x.dtype, x.shape) == (object, (len(y),))
        assert [list(text) for text in x] == [list(text) for text in their_x]
        assert all(type(word) is int for text in x for word in text)
        np.testing.assert_array_equal(y, their_y)


@pytest.mark.parametrize(("module", "content"), [(imdb, IMDB), (reuters, REUTERS)])
def test_arguments(cache, publish, module, content):
    publish(module, content)
    with pytest.warns(DeprecationWarning, match="num_words") as caught:
        (old, _), _ = module.load_data(nb_words=30)
    assert caught[0].filename == __file__
    (new, _), _ = module.load_data(num_words=30)
    assert old.tolist() == new.tolist()
    with pytest.raises(TypeError, match=r"load_data got an argument.*'num_word'.*'num_words'"):
        module.load_data(num_word=30)
    with pytest.raises(ValueError, match=r"No text has less than `maxlen`.*maxlen=1"):
        module.load_data(maxlen=1)


@pytest.mark.parametrize("share", [-0.1, 1])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="`test_split` must be a share"):
        reuters.load_data(test_split=share)


def test_an_array_that_is_missing_is_named(cache, publish):
    publish(imdb, npz(x_train=texts(3, 0)))
    with pytest.raises(DataError, match=r"isn't Keras's imdb\.npz: it has no array 'y_train'"):
        imdb.load_data()


@pytest.mark.parametrize("module", [imdb, reuters])
def test_the_index_of_words(cache, publish, module):
    publish(module, b'{"the": 1, "caf\xc3\xa9": 2}', "INDEX_URL", "INDEX_MD5")
    assert module.get_word_index() == {"the": 1, "café": 2}


@pytest.mark.parametrize("content", [b"nothing", b"[1]"])
def test_an_index_of_another_kind_is_refused(cache, publish, content):
    publish(imdb, content, "INDEX_URL", "INDEX_MD5")
    with pytest.raises(DataError, match="isn't Keras's index of words"):
        imdb.get_word_index()


def test_topics_are_those_of_keras():
    assert reuters.get_label_names() == tuple(their_reuters.get_label_names())
