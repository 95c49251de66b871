"""Labels that don't fit the loss or the last layer are refused, with the reason."""

import pytest
import torch

from elephas_torch.keras import losses
from elephas_torch.keras.losses import check_targets


def refused(loss, y, output_shape):
    with pytest.raises(ValueError) as caught:
        check_targets(losses.get(loss), y, output_shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("loss", "y", "output_shape"),
    [
        ("sparse_categorical_crossentropy", torch.arange(10), (10,)),
        ("sparse_categorical_crossentropy", torch.arange(10), (None, 10)),
        ("sparse_categorical_crossentropy", torch.arange(10.0)[:, None], (10,)),
        ("sparse_categorical_crossentropy", torch.zeros(4, 3), (3, 10)),
        ("categorical_crossentropy", torch.eye(10), (10,)),
        ("categorical_crossentropy", torch.zeros(2, 3, 4), (3, 4)),
        ("binary_crossentropy", torch.tensor([0.0, 1.0, 0.3]), (1,)),
        ("binary_crossentropy", torch.zeros(4, 3), (None, 3)),
        ("mse", torch.zeros(4), (1,)),
        ("mse", torch.zeros(4, 3), (3,)),
        ("mse", torch.zeros(4, 1), (3,)),
        ("mse", torch.zeros(4, 3, 1), (3,)),
        ("mae", torch.zeros(0, 5), (3,)),
        (lambda y_true, y_pred: y_pred.sum(-1), torch.zeros(4, 9), (3,)),
    ],
)
def test_what_fits_passes(loss, y, output_shape):
    assert check_targets(losses.get(loss), y, output_shape) is None


def test_one_hot_labels_with_a_sparse_loss():
    message = refused("sparse_categorical_crossentropy", torch.eye(10), (10,))
    assert "look one-hot" in message
    assert "'categorical_crossentropy'" in message
    assert "y.argmax(-1)" in message


@pytest.mark.parametrize("y", [torch.arange(10), torch.arange(10)[:, None]])
def test_class_numbers_with_a_loss_that_takes_one_hot_labels(y):
    message = refused("categorical_crossentropy", y, (None, 10))
    assert "'sparse_categorical_crossentropy'" in message
    assert "to_categorical(y, 10)" in message


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
@pytest.mark.parametrize("wrong", [12, -1])
def test_a_class_without_an_output(wrong, dtype):
    y = torch.tensor([0, 9, 3, wrong, 15]).to(dtype)
    message = refused("sparse_categorical_crossentropy", y, (10,))
    assert f"Class {wrong} in row 3" in message
    assert "10 outputs, for the classes 0 to 9" in message


def test_an_ignored_class_needs_no_output():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    check_targets(loss, torch.tensor([0, -1]), (2,))
    assert "Class -2 in row 1" in refused(loss, torch.tensor([-1, -2]), (2,))


def test_classes_that_are_no_whole_numbers():
    message = refused("sparse_categorical_crossentropy", torch.tensor([1.0, 0.5]), (10,))
    assert "row 1 of the labels has 0.5" in message


def test_labels_for_another_number_of_classes():
    message = refused("categorical_crossentropy", torch.eye(12), (10,))
    assert "12 classes" in message
    assert "10 outputs" in message


@pytest.mark.parametrize("value", [2.0, -1.0, float("nan")])
def test_binary_targets_outside_0_and_1(value):
    message = refused("binary_crossentropy", torch.tensor([0.0, 1.0, value]), (1,))
    assert "from 0 to 1" in message
    assert f"row 2 has {value if value != value else int(value)}" in message


@pytest.mark.parametrize(
    ("loss", "shape", "output_shape"),
    [
        ("mse", (4,), (4,)),
        ("mse", (4, 2), (3,)),
        ("mse", (4, 2, 3), (3,)),
        ("binary_crossentropy", (4, 1), (3,)),
        ("categorical_crossentropy", (4, 2, 3), (5, 3)),
        ("sparse_categorical_crossentropy", (4, 2), (5, 3)),
    ],
)
def test_a_shape_that_does_not_fit_the_output(loss, shape, output_shape):
    message = refused(loss, torch.zeros(shape), output_shape)
    assert str(shape) in message
    assert f"(samples, {', '.join(map(str, output_shape))})" in message
