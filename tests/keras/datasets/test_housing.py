"""Prices of houses, against Keras 3's own loaders on small files of the same form."""

import io

import numpy as np
import pytest
from keras.src.datasets import boston_housing as theirs_boston
from keras.src.datasets import california_housing as theirs_california

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import boston_housing, california_housing

BOTH = [(boston_housing, theirs_boston, 13), (california_housing, theirs_california, 8)]


def npz(features, rows=700):
    file = io.BytesIO()
    random = np.random.default_rng(0)
    np.savez(file, x=random.normal(size=(rows, features)), y=random.normal(size=rows))
    return file.getvalue()


def check(ours, theirs):
    for (x, y), (their_x, their_y) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, their_x)
        np.testing.assert_array_equal(y, their_y)


@pytest.mark.parametrize(("ours", "theirs", "features"), BOTH)
@pytest.mark.parametrize("arguments", [{}, {"test_split": 0.35, "seed": 7}, {"test_split": 0}])
def test_rows_are_shuffled_and_split_as_keras_does(
    cache, publish, monkeypatch, ours, theirs, features, arguments
):
    source = publish(ours, npz(features))
    monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(source))
    check(ours.load_data(**arguments), theirs.load_data(**arguments))


def test_the_small_version(cache, publish, monkeypatch):
    source = publish(california_housing, npz(8))
    monkeypatch.setattr(theirs_california, "get_file", lambda *_, **__: str(source))
    ours = california_housing.load_data("small")
    check(ours, theirs_california.load_data("small"))
    assert len(ours[0][0]) + len(ours[1][0]) == 600


@pytest.mark.parametrize("share", [-0.1, 1, "a"])
@pytest.mark.parametrize("module", [boston_housing, california_housing])
def test_a_share_out_of_range_is_refused(cache, publish, module, share):
    publish(module, npz(2))
    with pytest.raises(ValueError, match="`test_split` must be a share of the rows"):
        module.load_data(test_split=share)


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"Unknown version: 'larg'\. Did you mean 'large'"):
        california_housing.load_data("larg")


def other():
    file = io.BytesIO()
    np.savez(file, x=np.zeros((3, 2)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no zip", r"boston_housing\.npz is no \.npz file"),
        (npz(2)[:100], r"boston_housing\.npz is no \.npz file"),
        (other(), r"isn't Keras's boston_housing\.npz: it has no arrays x and y"),
    ],
)
def test_a_file_of_another_kind_is_refused(cache, publish, content, says):
    publish(boston_housing, content)
    with pytest.raises(DataError, match=says):
        boston_housing.load_data()
