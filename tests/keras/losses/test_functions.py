"""Values and gradients of every loss function against Keras 3's on torch."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import losses

ROWS, CLASSES = 7, 5


def probabilities(rng, *shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32")


def one_hot(rng, *shape):
    return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]


def numbers(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def positive(rng, *shape):
    return (np.abs(rng.normal(size=shape)) + 0.1).astype("float32")


def bits(rng, *shape):
    return rng.integers(0, 2, shape).astype("float32")


def unit(rng, *shape):
    return rng.uniform(0.01, 0.99, shape).astype("float32")


CASES = [
    ("mean_squared_error", numbers, numbers, {}),
    ("mean_absolute_error", numbers, numbers, {}),
    ("mean_absolute_percentage_error", numbers, numbers, {}),
    ("mean_squared_logarithmic_error", positive, positive, {}),
    ("mean_squared_logarithmic_error", numbers, numbers, {}),
    ("cosine_similarity", numbers, numbers, {}),
    ("cosine_similarity", numbers, numbers, {"axis": 0}),
    ("huber", numbers, numbers, {}),
    ("huber", numbers, numbers, {"delta": 0.3}),
    ("log_cosh", numbers, numbers, {}),
    ("hinge", numbers, numbers, {}),
    ("hinge", bits, numbers, {}),
    ("squared_hinge", bits, numbers, {}),
    ("categorical_hinge", one_hot, numbers, {}),
    ("kl_divergence", probabilities, probabilities, {}),
    ("poisson", positive, positive, {}),
    ("binary_crossentropy", bits, unit, {}),
    ("binary_crossentropy", unit, numbers, {"from_logits": True}),
    ("binary_crossentropy", bits, unit, {"label_smoothing": 0.2, "axis": 0}),
    ("binary_focal_crossentropy", bits, unit, {}),
    ("binary_focal_crossentropy", bits, unit, {"apply_class_balancing": True, "gamma": 3.0}),
    ("binary_focal_crossentropy", bits, numbers, {"from_logits": True, "label_smoothing": 0.1}),
    ("categorical_crossentropy", one_hot, probabilities, {}),
    ("categorical_crossentropy", probabilities, positive, {}),
    ("categorical_crossentropy", one_hot, numbers, {"from_logits": True, "label_smoothing": 0.1}),
    ("categorical_focal_crossentropy", one_hot, probabilities, {}),
    ("categorical_focal_crossentropy", one_hot, numbers, {"from_logits": True, "alpha": 0.5}),
]


def both(function, y_true, y_pred, **options):
    """Our and Keras's values, and the gradients of their weighted sums."""
    found = []
    for library in (losses, keras.losses):
        leaf = torch.tensor(y_pred, requires_grad=True)
        values = getattr(library, function)(torch.tensor(y_true), leaf, **options)
        weights = torch.linspace(0.5, 1.5, values.numel()).reshape(values.shape)
        (values * weights).sum().backward()
        found.append((values.detach(), leaf.grad))
    return found


def assert_same(found):
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(ROWS, CLASSES), (3, ROWS, CLASSES)], ids=str)
@pytest.mark.parametrize(("name", "targets", "predictions", "options"), CASES)
def test_values_and_gradients_are_keras_s(name, targets, predictions, options, shape):
    rng = np.random.default_rng(0)
    assert_same(both(name, targets(rng, *shape), predictions(rng, *shape), **options))


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (3, ROWS), (3, ROWS, 1)], ids=str)
def test_sparse_crossentropy_is_keras_s(shape, from_logits):
    rng = np.random.default_rng(1)
    rows = shape[:-1] if shape[-1] == 1 else shape
    y_true = rng.integers(0, CLASSES, shape)
    y_pred = (numbers if from_logits else probabilities)(rng, *rows, CLASSES)
    assert_same(both("sparse_categorical_crossentropy", y_true, y_pred, from_logits=from_logits))


@pytest.mark.parametrize("ignored", [-1, 0, 3])
def test_sparse_crossentropy_ignores_a_class_as_keras_does(ignored):
    rng = np.random.default_rng(2)
    y_true = np.array([3, 0, ignored, 4, ignored, 1, 2])
    y_pred = probabilities(rng, ROWS, CLASSES)
    found = both("sparse_categorical_crossentropy", y_true, y_pred, ignore_class=ignored)
    assert_same(found)
    assert found[0][0][2] == 0


def test_sparse_crossentropy_takes_the_classes_on_another_axis():
    rng = np.random.default_rng(3)
    y_true = rng.integers(0, CLASSES, (3, ROWS))
    y_pred = np.moveaxis(probabilities(rng, 3, ROWS, CLASSES), -1, 1).copy()
    assert_same(both("sparse_categorical_crossentropy", y_true, y_pred, axis=1))


def test_probabilities_of_0_and_1_are_clipped_as_keras_clips_them():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    for y_true in (certain, certain[::-1].copy()):
        assert_same(both("categorical_crossentropy", y_true, certain))
        assert_same(both("binary_crossentropy", y_true, certain))


@pytest.mark.parametrize(
    ("true", "pred"), [((ROWS,), (ROWS, 1)), ((ROWS, 1), (ROWS,)), ((ROWS, 3, 1), (ROWS, 3))]
)
@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_a_last_axis_of_one_is_added_or_dropped_as_in_keras(name, true, pred):
    rng = np.random.default_rng(4)
    assert_same(both(name, numbers(rng, *true), numbers(rng, *pred)))


def test_arrays_and_integer_targets_are_taken():
    values = losses.mean_squared_error(np.array([[1, 2]]), np.array([[1.0, 4.0]], "float32"))
    assert values.tolist() == [2.0]


WHOLE = [
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error", "huber", "log_cosh", "hinge", "squared_hinge",
    "categorical_hinge", "poisson", "kl_divergence", "binary_crossentropy",
]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_for_predictions_are_taken_as_floats(name):
    true, pred = [[0.5, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1, 1, 0], [0, 1, 1]]
    ours = getattr(losses, name)(true, pred)
    theirs = getattr(keras.losses, name)(np.float32(true), np.float32(pred))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"y_true of shape \(4, 3\) and y_pred of shape \(4, 2\)"):
        losses.mean_squared_error(torch.zeros(4, 3), torch.zeros(4, 2))
    assert losses.mean_squared_error(torch.zeros(3), torch.ones(4, 3)).tolist() == [1, 1, 1, 1]
