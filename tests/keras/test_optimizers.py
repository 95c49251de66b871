"""Keras's optimizers: its defaults, and 50 steps of each with each option, against Keras 3."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import torch

from elephas_torch import optimizers as elephas
from elephas_torch.keras import optimizers
from elephas_torch.keras.serialization import custom_object_scope

NAMES = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam"]
SHAPES = [(4, 3), (3,), (3, 2), (2,)]
SIZES = [12, 3, 6, 2]

OPTIONS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "rho": 0.8}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "learning_rate": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.9}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
]
CLIPPING = [{}, {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.7}]


def weights_and_gradients(steps):
    rng = np.random.default_rng(7)
    weights = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    gradients = [
        [rng.normal(size=shape).astype("float32") for shape in SHAPES] for _ in range(steps)
    ]
    return weights, gradients


def flat(arrays):
    return torch.tensor(np.concatenate([a.ravel() for a in arrays]))


def keras_weights(name, options, weights, gradients):
    variables = [keras.Variable(w) for w in weights]
    optimizer = getattr(keras.optimizers, name)(**options)
    for step in gradients:
        optimizer.apply([torch.tensor(g) for g in step], variables)
    return flat([v.value.detach().numpy() for v in variables])


@pytest.mark.parametrize("clipping", CLIPPING, ids=str)
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_fifty_steps_are_keras_s(name, options, clipping):
    weights, gradients = weights_and_gradients(50)
    ours = flat(weights)
    optimizer = getattr(optimizers, name)(**options, **clipping)
    for step in gradients:
        optimizer.step(ours, flat(step), SIZES)
    theirs = keras_weights(name, {**options, **clipping}, weights, gradients)
    assert torch.linalg.vector_norm(ours - theirs) <= 1e-5 * torch.linalg.vector_norm(theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_keras_s(name):
    ours = inspect.signature(getattr(optimizers, name)).parameters
    theirs = inspect.signature(getattr(keras.optimizers, name)).parameters
    assert list(ours)[:-1] == list(theirs)[: len(ours) - 1]
    for argument in list(ours)[:-1]:
        assert ours[argument].default == theirs[argument].default


@pytest.mark.parametrize("name", NAMES)
def test_configs_travel_to_keras_and_back(name):
    ours = getattr(optimizers, name)(learning_rate=0.25, clipnorm=1.5)
    there = keras.optimizers.deserialize(optimizers.serialize(ours))
    assert (there.name, float(there.learning_rate.value), there.clipnorm) == (ours.name, 0.25, 1.5)
    back = optimizers.get(keras.optimizers.serialize(there))
    assert type(back) is type(ours)
    assert back.get_config() == ours.get_config()


@pytest.mark.parametrize("setting", [{"weight_decay": 0.1}, {"use_ema": True}])
def test_what_keras_has_and_is_not_here_is_refused(setting):
    config = keras.optimizers.serialize(keras.optimizers.Adam(**setting))
    with pytest.raises(ValueError, match=f"`{next(iter(setting))}` isn't supported"):
        optimizers.get(config)


@pytest.mark.parametrize("name", NAMES)
def test_lr_is_taken_with_a_warning_that_names_learning_rate(name):
    with pytest.warns(DeprecationWarning, match=r"use learning_rate=0\.5") as caught:
        optimizer = getattr(optimizers, name)(lr=0.5)
    assert optimizer.learning_rate == 0.5
    assert caught[0].filename == __file__


def test_learning_rate_and_elephas_s_lr_are_taken_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert optimizers.SGD(learning_rate=0.5).lr == 0.5
        assert elephas.SGD(lr=0.5).learning_rate == 0.5


def test_decay_slows_the_rate_as_keras_1_did():
    optimizer, w = optimizers.SGD(1.0, decay=1.0), torch.zeros(1)
    steps = []
    for _ in range(3):
        before = w.item()
        optimizer.step(w, torch.ones(1))
        steps.append(before - w.item())
    assert steps == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert optimizers.get(optimizers.serialize(optimizer)).decay == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_names_give_keras_s_defaults_in_any_case(name):
    for spelling in (name, name.lower(), name.upper()):
        assert type(optimizers.get(spelling)) is getattr(optimizers, name)
    assert type(optimizers.get(getattr(optimizers, name))) is getattr(optimizers, name)


def test_elephas_s_own_optimizers_pass_and_stay_what_they_are():
    adagrad = elephas.Adagrad()
    assert optimizers.get(adagrad) is adagrad
    again = optimizers.get(optimizers.serialize(adagrad))
    assert type(again) is elephas.Adagrad
    assert again.get_config() == adagrad.get_config()


def test_an_optimizer_of_one_s_own_is_found_among_the_custom_objects():
    class Sign(optimizers.Optimizer):
        def _rule(self, w, g, lr):
            w.add_(g.sign(), alpha=-lr)

    with custom_object_scope({"Sign": Sign}):
        again = optimizers.get(optimizers.serialize(Sign(0.5)))
        assert type(optimizers.get("Sign")) is Sign
    w = torch.zeros(2)
    again.step(w, torch.tensor([3.0, -2.0]))
    assert w.tolist() == [-0.5, 0.5]


@pytest.mark.parametrize(
    ("identifier", "error", "says"),
    [
        ("adm", ValueError, "Did you mean 'adam'"),
        ("diloco", ValueError, "Unknown optimizer"),
        (3, TypeError, "Received: 3"),
    ],
)
def test_what_is_no_optimizer_is_refused(identifier, error, says):
    with pytest.raises(error, match=says):
        optimizers.get(identifier)


def test_an_unknown_argument_is_named_with_all_that_are_taken():
    with pytest.raises(TypeError) as caught:
        optimizers.Adam(learnin_rate=1)
    message = str(caught.value)
    assert "'learnin_rate'. Did you mean 'learning_rate'?" in message
    taken = message.partition("It takes: ")[2].rstrip(".").split(", ")
    assert taken == [
        "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "name", "decay", "clipnorm",
        "clipvalue", "global_clipnorm", "lr",
    ]  # fmt: skip
