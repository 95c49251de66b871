"""to_categorical and normalize against Keras 3's."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import utils


@pytest.mark.parametrize(
    "x",
    [[0, 2, 1], [[0], [2]], [[0, 1], [2, 3]], 2, np.array([1.0, 0.0]), np.zeros((2, 3, 1), "u1")],
)
@pytest.mark.parametrize("num_classes", [None, 5])
def test_one_hot_labels_are_keras_s(x, num_classes):
    ours = utils.to_categorical(x, num_classes)
    np.testing.assert_array_equal(ours, keras.utils.to_categorical(x, num_classes))
    assert ours.dtype == np.float32


def test_tensors_give_tensors():
    one_hot = utils.to_categorical(torch.tensor([2, 0]), 3)
    assert torch.equal(one_hot, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ("x", "num_classes", "says"),
    [
        ([0, 12, 3], 10, "class 12 at position 1 isn't one of the 10 classes 0 to 9"),
        ([0, -1], None, "class -1 at position 1"),
        ([0.5], None, "integers from 0"),
        ([float("nan")], 3, "integers from 0"),
        (["a"], 3, "integers from 0"),
        ([], None, "needs `num_classes`"),
        ([0], 0, "must be 1 or more"),
    ],
)
def test_labels_that_are_no_classes_are_refused(x, num_classes, says):
    with pytest.raises(ValueError, match=says):
        utils.to_categorical(x, num_classes)


def test_no_labels_give_no_rows():
    assert utils.to_categorical([], 3).shape == (0, 3)


def test_keras_1_s_spellings():
    assert utils.to_categorical([1], 3).tolist() == [[0, 1, 0]]
    with pytest.warns(DeprecationWarning, match="num_classes") as caught:
        assert utils.to_categorical([1], nb_classes=2).tolist() == [[0, 1]]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_normalize_is_keras_s(axis, order):
    x = np.random.default_rng(0).normal(size=(3, 4))
    x[:, 1] = 0
    x[2] = 0
    ours = utils.normalize(x, axis, order)
    if axis:
        np.testing.assert_allclose(ours, keras.utils.normalize(x, axis, order))
    norms = np.linalg.norm(ours, order, axis)
    np.testing.assert_allclose(norms[norms > 0], 1.0)
    assert not ours[2].any()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_tensors_are_normalized_to_tensors(axis, order):
    x = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 5.0, -6.0]])
    ours = utils.normalize(x, axis, order)
    theirs = keras.utils.normalize(x, axis, order).cpu()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
