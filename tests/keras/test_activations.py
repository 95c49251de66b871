"""Every activation against Keras 3's on torch: values and gradients."""

import inspect

import keras
import pytest
import torch
from keras.src.activations import ALL_OBJECTS_DICT

from elephas_torch.keras import activations, backend
from elephas_torch.keras import layers as keras_layers
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable

OPTIONS = [
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 1.0}),
    ("relu", {"max_value": 6}),
    ("relu", {"threshold": 0.5}),
    ("relu", {"threshold": -0.5, "negative_slope": 0.1}),
    ("relu", {"threshold": 0.5, "negative_slope": 0.1, "max_value": 1.5}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": 1}),
    ("log_softmax", {"axis": 1}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 1}),
    ("squareplus", {"b": 1}),
    ("soft_shrink", {"threshold": 0.2}),
    ("hard_shrink", {"threshold": 0.2}),
    ("threshold", {"threshold": 0.3, "default_value": -2.0}),
]
# Keras 3.15's sparsemax doesn't sum to one where more than one class is kept: not an oracle.
NAMES = sorted(set(ALL_OBJECTS_DICT) - {"threshold", "sparsemax"})


def value_and_gradient(function, x, **options):
    x = x.clone().requires_grad_()
    y = function(x, **options)
    (y * torch.linspace(0.5, 2.0, y.numel()).reshape(y.shape)).sum().backward()
    return y.detach(), x.grad


@pytest.mark.parametrize(("name", "options"), [*((n, {}) for n in NAMES), *OPTIONS])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_values_and_gradients_are_keras_s(name, options, scale):
    x = torch.randn(5, 4, 6) * scale
    ours = value_and_gradient(activations.get(name), x, **options)
    theirs = value_and_gradient(keras.activations.get(name), x, **options)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_arguments_and_defaults_are_keras_s(name):
    ours = inspect.signature(activations.get(name)).parameters.values()
    theirs = inspect.signature(ALL_OBJECTS_DICT[name]).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_names_are_found_again_by_us_and_by_keras(name):
    function = activations.get(name)
    written = activations.serialize(function)
    assert activations.get(written) is function
    assert keras.activations.serialize(ALL_OBJECTS_DICT[name]) == written
    assert keras.activations.get(written) is ALL_OBJECTS_DICT[name]


def nearest_probabilities(x):
    """The nearest point to x with sum 1 and nothing negative: x - tau cut at 0, by bisection."""
    low, high = x.min(-1, keepdim=True).values - 1, x.max(-1, keepdim=True).values
    for _ in range(60):
        tau = (low + high) / 2
        above = torch.relu(x - tau).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, tau, low), torch.where(above, high, tau)
    return torch.relu(x - tau)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_sparsemax_is_the_nearest_point_of_probabilities(scale):
    x = (torch.randn(20, 7) * scale).double()
    torch.testing.assert_close(activations.sparsemax(x), nearest_probabilities(x))
    torch.testing.assert_close(activations.sparsemax(x.T, axis=0).T, nearest_probabilities(x))
    assert torch.autograd.gradcheck(activations.sparsemax, x[:3].requires_grad_())


def test_none_is_linear_and_functions_are_kept():
    assert activations.get(None) is activations.linear
    assert activations.get(torch.sin) is torch.sin
    x = torch.ones(2)
    assert activations.linear(x) is x


def test_a_function_of_one_s_own_is_found_by_its_name():
    def doubled(x):
        return 2 * x

    assert activations.serialize(doubled) == "doubled"
    with custom_object_scope({"doubled": doubled}):
        assert activations.get("doubled") is doubled


def test_a_registered_function_is_found_by_its_registered_name():
    @register_keras_serializable(package="tests_activations")
    def halved(x):
        return x / 2

    written = activations.serialize(halved)
    assert written == "tests_activations>halved"
    assert activations.get(written) is halved


def test_configs_are_read():
    function = {"module": "builtins", "class_name": "function", "config": "gelu"}
    assert activations.deserialize(function) is activations.get(function) is activations.gelu
    assert activations.deserialize("relu") is activations.relu

    def tripled(x):
        return 3 * x

    assert activations.deserialize("tripled", {"tripled": tripled}) is tripled


def test_layers_as_activations_have_configs():
    config = activations.serialize(keras_layers.Dropout(0.25, name="d"))
    assert config["class_name"] == "Dropout"
    assert activations.get(config).rate == 0.25


def test_every_name_of_keras_is_there():
    assert {n for n in dir(keras.activations) if n[0] != "_"} <= set(dir(activations))


def test_keras_1_s_hard_sigmoid_is_another():
    x = torch.tensor([-2.7, 0.0, 1.0, 2.6])
    ours = activations.hard_sigmoid(x)
    torch.testing.assert_close(ours, torch.nn.functional.relu6(x + 3) / 6)
    assert (backend.hard_sigmoid(x) - ours).abs().max() > 0.01


@pytest.mark.parametrize(
    ("identifier", "error", "says"),
    [
        ("rleu", ValueError, "Unknown activation: 'rleu'. Did you mean 'relu'"),
        (3, TypeError, "Received: activation=3"),
    ],
)
def test_what_is_no_activation_is_refused(identifier, error, says):
    with pytest.raises(error, match=says):
        activations.get(identifier)
