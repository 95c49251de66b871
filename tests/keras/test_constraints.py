"""Constraints: values and configs against Keras 3."""

import inspect

import keras
import pytest
import torch
from keras.src.constraints import ALL_OBJECTS_DICT

from elephas_torch import constraints as ground
from elephas_torch.keras import constraints
from elephas_torch.keras.serialization import custom_object_scope

CASES = [
    ("Constraint", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("MaxNorm", {"axis": None}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": -1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "rate": 0.3, "axis": 1}),
]


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 2, 3, 2)], ids=str)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_values_are_keras_s(name, settings, shape):
    weight = 2 * torch.randn(shape)
    weight[0] = 0
    before = weight.clone()
    ours = getattr(constraints, name)(**settings)(weight)
    theirs = getattr(keras.constraints, name)(**settings)(weight)
    torch.testing.assert_close(ours, torch.as_tensor(theirs), rtol=1e-5, atol=1e-6)
    assert torch.equal(weight, before)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_configs_travel_both_ways(name, settings):
    ours, theirs = getattr(constraints, name), getattr(keras.constraints, name)
    if ours.__init__ is not object.__init__:
        parameters = [inspect.signature(cls).parameters for cls in (ours, theirs)]
        assert [(p.name, p.default) for p in parameters[0].values()] == [
            (p.name, p.default) for p in parameters[1].values()
        ]
    written = constraints.serialize(ours(**settings))
    assert written == keras.constraints.serialize(theirs(**settings))
    again = constraints.deserialize(written)
    assert type(again) is ours
    assert again.get_config() == written["config"]


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_keras_s_names_are_known(name):
    assert type(constraints.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("maxnorm", constraints.MaxNorm),
        ("nonneg", constraints.NonNeg),
        ("unitnorm", constraints.UnitNorm),
    ],
)
def test_keras_1_s_names_are_known(name, cls):
    assert type(constraints.get(name)) is cls


def test_objects_classes_and_functions_are_taken():
    own = constraints.MaxNorm(3)
    assert constraints.get(own) is own
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
    assert constraints.get(None) is None
    assert constraints.serialize(None) is None

    def halved(w):
        return w / 2

    assert constraints.get(halved) is halved
    with custom_object_scope({"halved": halved}):
        assert constraints.get(constraints.serialize(halved)) is halved


@pytest.mark.parametrize(("name", "settings"), CASES[1:])
def test_a_flat_vector_is_constrained_the_same_way(name, settings):
    constraint = getattr(constraints, name)(**settings)
    vector = 2 * torch.randn(15)
    expected = constraint(vector[2:14].view(4, 3))
    ground.project(vector, [constraints.spec(constraint, 2, (4, 3))])
    assert torch.equal(vector[2:14].view(4, 3), expected)


def test_only_our_own_constraints_can_be_described():
    class Mine(constraints.NonNeg):
        pass

    for own in (Mine(), constraints.Constraint(), lambda w: w):
        assert constraints.spec(own, 0, (2,)) is None


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: constraints.MaxNorm(-1), ValueError, "MaxNorm: `max_value` .*max_value=-1"),
        (lambda: constraints.MaxNorm("2"), ValueError, "max_value='2'"),
        (lambda: constraints.MinMaxNorm(rate=1.5), ValueError, "from 0 to 1. Received: rate=1.5"),
        (lambda: constraints.get("max_nrm"), ValueError, "Did you mean 'max_norm'"),
        (lambda: constraints.get(3), TypeError, "A constraint must be .* Received: 3"),
    ],
)
def test_what_is_wrong_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
