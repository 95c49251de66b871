"""Skip-grams and TimeseriesGenerator, against what Keras 3 keeps of Keras 2's."""

import random

import numpy as np
import pytest
from keras.src.legacy.preprocessing import sequence as theirs

from elephas_torch.keras import utils
from elephas_torch.keras.preprocessing import sequence


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("factor", [1e-5, 1e-3, 1.0])
def test_the_sampling_table(size, factor):
    ours = sequence.make_sampling_table(size, factor)
    np.testing.assert_allclose(ours, theirs.make_sampling_table(size, factor), rtol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"window_size": 1},
        {"negative_samples": 0.0},
        {"negative_samples": 2.5, "shuffle": False},
        {"categorical": True},
        {"sampling_table": [0.5] * 9},
    ],
)
def test_skipgrams(arguments):
    arguments = {"seed": 4, **arguments}
    words = [3, 0, 1, 4, 1, 5, 0, 8, 2]
    random.seed(1)
    ours = sequence.skipgrams(words, 9, **arguments)
    random.seed(1)
    assert ours == theirs.skipgrams(words, 9, **arguments)


def test_skipgrams_by_hand():
    pairs, labels = sequence.skipgrams([1, 2, 0, 3], 4, 1, negative_samples=0, shuffle=False)
    assert (pairs, labels) == ([[1, 2], [2, 1]], [1, 1])
    pairs, labels = sequence.skipgrams([1, 2, 3], 4, 2)
    assert (len(pairs), sorted(labels)) == (12, [0] * 6 + [1] * 6)


ARGUMENTS = [
    {},
    {"sampling_rate": 2},
    {"stride": 3},
    {"start_index": 3, "end_index": 11},
    {"reverse": True},
    {"batch_size": 4},
    {"stride": 2, "sampling_rate": 3, "reverse": True, "batch_size": 2, "shuffle": True},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_windows_over_a_series(arguments):
    data, targets = np.arange(40.0).reshape(20, 2), np.arange(20)
    ours = sequence.TimeseriesGenerator(data, targets, 5, **arguments)
    other = theirs.TimeseriesGenerator(data, targets, 5, **arguments)
    assert len(ours) == len(other)
    for number in range(len(ours)):
        np.random.seed(number)
        x, y = ours[number]
        np.random.seed(number)
        their_x, their_y = other[number]
        np.testing.assert_array_equal(x, their_x)
        np.testing.assert_array_equal(y, their_y)
    assert isinstance(ours, utils.PyDataset)


def test_a_generator_as_json():
    ours = sequence.TimeseriesGenerator(np.arange(9), np.arange(9), 3, reverse=True)
    assert ours.get_config()["data"] == "[0, 1, 2, 3, 4, 5, 6, 7, 8]"
    assert '"class_name": "TimeseriesGenerator"' in ours.to_json()


def test_padding_is_here_too():
    assert sequence.pad_sequences is utils.pad_sequences


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: sequence.make_sampling_table(0), "`size` must be"),
        (lambda: sequence.skipgrams([1], 1), "`vocabulary_size` must be"),
        (lambda: sequence.skipgrams([1], 5, -1), "`window_size` must be"),
        (lambda: sequence.skipgrams([1], 5, negative_samples=-1), "`negative_samples` must be"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1], 1), "2 steps, 1 targets"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 2), "No window of length 2 fits"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 0), "`length` must be"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 1, stride=0), "`stride` must be"),
    ],
)
def test_bad_arguments_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
