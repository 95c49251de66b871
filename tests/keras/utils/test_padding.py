"""pad_sequences against Keras 3's."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras.utils import pad_sequences

ENDS = st.sampled_from(["pre", "post"])


@settings(max_examples=60, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(-9, 99), max_size=6), min_size=1, max_size=4),
    maxlen=st.none() | st.integers(1, 7),
    padding=ENDS,
    truncating=ENDS,
    dtype=st.sampled_from(["int32", "float32", "int64"]),
    value=st.integers(-3, 3),
)
def test_sequences_are_padded_as_keras_does(sequences, **arguments):
    ours = pad_sequences(sequences, **arguments)
    theirs = keras.utils.pad_sequences(sequences, **arguments)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("maxlen", [None, 1, 2, 4])
@pytest.mark.parametrize("padding", ["pre", "post"])
def test_entries_may_be_arrays(maxlen, padding):
    sequences = [np.ones((2, 3)), [], np.arange(9).reshape(3, 3)]
    arguments = {"maxlen": maxlen, "padding": padding, "dtype": "float32", "value": 7.5}
    np.testing.assert_array_equal(
        pad_sequences(sequences, **arguments), keras.utils.pad_sequences(sequences, **arguments)
    )


def test_strings():
    sequences, arguments = [["a"], ["bc", "d"]], {"dtype": object, "value": "pad"}
    ours = pad_sequences(sequences, **arguments)
    assert ours.tolist() == [["pad", "a"], ["bc", "d"]]
    assert ours.tolist() == keras.utils.pad_sequences(sequences, **arguments).tolist()


def test_arrays_of_lists_as_the_word_data_sets_have_them():
    texts = np.empty(2, dtype=object)
    texts[:] = [[1, 2, 3], [4]]
    assert pad_sequences(texts, 2).tolist() == [[2, 3], [0, 4]]


def test_nothing_and_no_length():
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[1, 2]], 0).shape == (1, 0)
    assert pad_sequences([[]]).shape == (1, 0)


@pytest.mark.parametrize(
    ("sequences", "arguments", "says"),
    [
        (5, {}, "`sequences` must be a list of sequences"),
        ([[1], 2], {}, "entry 1 is 2"),
        ([[1]], {"padding": "before"}, "Unknown `padding` of pad_sequences: 'before'"),
        ([[1]], {"truncating": "pos"}, "`truncating`.*Did you mean 'post'"),
        ([[1]], {"maxlen": -1}, "maxlen=-1"),
        ([[1]], {"maxlen": 1.5}, "maxlen=1.5"),
        ([["a"]], {"value": "x"}, "needs dtype=object"),
        ([np.ones((2, 3)), np.ones((2, 4))], {}, r"sequence 1 have the shape \(4,\)"),
    ],
)
def test_bad_arguments_are_refused(sequences, arguments, says):
    with pytest.raises(ValueError, match=says):
        pad_sequences(sequences, **arguments)
