"""split_dataset against Keras 3's."""

import keras
import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from elephas_torch.keras.utils import split_dataset

X, Y = np.arange(20).reshape(10, 2), np.arange(10.0)
SIZES = [
    {"left_size": 0.7},
    {"left_size": 3},
    {"right_size": 0.25},
    {"right_size": 1},
    {"left_size": 0.5, "right_size": 0.5},
    {"left_size": 6, "right_size": 4},
]


def rows(dataset):
    return [tuple(part.tolist() for part in row) for row in dataset]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    "data", [X, (X, Y), [X, Y], TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))]
)
def test_rows_are_shuffled_and_parted_as_keras_does(data, sizes):
    ours = split_dataset(data, **sizes, shuffle=True, seed=3)
    theirs = keras.utils.split_dataset(data, **sizes, shuffle=True, seed=3)
    for mine, other in zip(ours, theirs, strict=True):
        assert rows(mine) == rows(other)


@pytest.mark.parametrize("sizes", [*SIZES, {"left_size": 0.3, "right_size": 2}])
def test_without_shuffling_the_first_and_the_last_rows_are_taken(sizes):
    left, right = split_dataset((X, Y), **sizes)
    everything = rows(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)))
    assert rows(left) == everything[: len(left)]
    assert rows(right) == everything[10 - len(right) :]


def test_a_tensor_and_no_seed():
    left, right = split_dataset(torch.arange(10), 4, shuffle=True)
    assert sorted(rows(left) + rows(right)) == [(n,) for n in range(10)]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((X,), ValueError, "Received: neither"),
        ((X, 0), ValueError, "left_size=0"),
        ((X, 10), ValueError, "left_size=10"),
        ((X, 1.0), ValueError, "left_size=1.0"),
        ((X, None, -0.5), ValueError, "right_size=-0.5"),
        ((X, 0.8, 0.4), ValueError, "The two parts would have 8 and 4 of 10 rows"),
        ((X, 0.01), ValueError, "would have 0 and 10 of 10 rows"),
        ((X, "half"), TypeError, "`left_size` must be a number"),
        (([1, 2], 1), TypeError, "`dataset` must be an array.*Received: list"),
        (({"a": X}, 1), TypeError, "Received: dict"),
        (((X, Y[:3]), 1), ValueError, "differ in length: 10, 3"),
        ((X, 1, None, False, None, "jax"), ValueError, "preferred_backend='jax'"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        split_dataset(*arguments)
