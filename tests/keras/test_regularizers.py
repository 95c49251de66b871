"""Regularizers: values, gradients and configs against Keras 3."""

import inspect

import keras
import pytest
import torch
from keras.src.regularizers import ALL_OBJECTS_DICT

from elephas_torch.keras import regularizers
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.2}),
    ("L1L2", {"l1": 0.2, "l2": 0.3}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]


def value_and_gradient(regularizer, weight):
    weight = weight.clone().requires_grad_()
    value = regularizer(weight)
    if value.requires_grad:
        value.backward()
    return value.detach(), weight.grad


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 2)])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_values_and_gradients_are_keras_s(name, settings, shape):
    weight = torch.randn(shape)
    ours = value_and_gradient(getattr(regularizers, name)(**settings), weight)
    theirs = value_and_gradient(getattr(keras.regularizers, name)(**settings), weight)
    assert ours[0].shape == ()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), CASES[:7])
def test_every_shape_is_taken(name, settings):
    for shape in ((), (5,), (2, 3, 4)):
        weight = torch.randn(shape)
        ours = getattr(regularizers, name)(**settings)(weight)
        theirs = getattr(keras.regularizers, name)(**settings)(weight)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_dtype_is_kept(name, settings, dtype):
    assert getattr(regularizers, name)(**settings)(torch.ones(2, 2, dtype=dtype)).dtype is dtype


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_configs_travel_both_ways(name, settings):
    ours, theirs = getattr(regularizers, name), getattr(keras.regularizers, name)
    assert inspect.signature(ours).parameters.keys() == inspect.signature(theirs).parameters.keys()
    written = regularizers.serialize(ours(**settings))
    back = keras.regularizers.serialize(keras.regularizers.deserialize(written))
    # Keras keeps some factors in float32.
    for key, value in written["config"].items():
        known = value if isinstance(value, str) else pytest.approx(value, rel=1e-6)
        assert back["config"].pop(key) == known
    assert back == {**written, "config": {}}
    again = regularizers.deserialize(written)
    assert type(again) is ours
    assert again.get_config() == ours(**settings).get_config()


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_keras_s_names_are_known(name):
    assert type(regularizers.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__


def test_the_base_class_has_no_penalty():
    assert regularizers.Regularizer()(torch.ones(3)) == 0


def test_aliases():
    assert regularizers.l1 is regularizers.L1
    assert regularizers.l1_l2(l2=0.5).get_config() == {"l1": 0.0, "l2": 0.5}
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}


def test_objects_classes_and_functions_are_taken():
    own = regularizers.L2(0.5)
    assert regularizers.get(own) is own
    assert isinstance(regularizers.get(regularizers.L2), regularizers.L2)
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None

    def largest(x):
        return x.abs().max()

    assert regularizers.get(largest) is largest
    described = {"class_name": "function", "config": "largest", "registered_name": "largest"}
    with custom_object_scope({"largest": largest}):
        assert regularizers.get(regularizers.serialize(largest)) is largest
        assert regularizers.get(described) is largest


def test_a_class_of_one_s_own_is_found_again():
    class Cubes(regularizers.Regularizer):
        def __init__(self, by=1.0):
            self.by = by

        def __call__(self, x):
            return self.by * x.pow(3).sum()

        def get_config(self):
            return {"by": self.by}

    written = regularizers.serialize(Cubes(2.0))
    assert regularizers.deserialize(written, {"Cubes": Cubes})(torch.ones(3)) == 6
    with pytest.raises(ValueError, match="Unknown regularizer: 'Cubes'"):
        regularizers.deserialize(written)
    register_keras_serializable("tests_regularizers")(Cubes)
    assert regularizers.get(regularizers.serialize(Cubes(2.0)))(torch.ones(3)) == 6


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: regularizers.L1(-1), ValueError, "L1: `l1` .* Received: l1=-1"),
        (lambda: regularizers.L2(float("nan")), ValueError, "Received: l2=nan"),
        (lambda: regularizers.L1L2(l2="much"), ValueError, "Received: l2='much'"),
        (lambda: regularizers.L2(True), ValueError, "Received: l2=True"),
        (lambda: regularizers.OrthogonalRegularizer(mode="x"), ValueError, "mode='x'"),
        (lambda: regularizers.OrthogonalRegularizer()(torch.ones(3)), ValueError, r"shape \(3,\)"),
        (lambda: regularizers.get("l12"), ValueError, "Did you mean 'l"),
        (lambda: regularizers.get(3), TypeError, "A regularizer must be .* Received: 3"),
    ],
)
def test_what_is_wrong_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
