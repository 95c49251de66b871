"""Keras's optimizers: its defaults, and 50 steps of each with each option, against Keras 3."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import torch
from keras.src.optimizers import ALL_OBJECTS_DICT

from elephas_torch import optimizers as elephas
from elephas_torch.keras import optimizers
from elephas_torch.keras.serialization import custom_object_scope

NAMES = [name for name in optimizers.KERAS_SLOTS if name != "LossScaleOptimizer"]
NAMED = {"kernel": (4, 3), "bias": (3,), "embeddings": (3, 2), "beta": (2,), "filters": (2, 3, 2)}
SHAPES = list(NAMED.values())
SIZES = [12, 3, 6, 2, 12]
schedules = keras.optimizers.schedules

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
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.5, "amsgrad": True, "learning_rate": 0.01}),
    ("Adamax", {}),
    ("Adamax", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2, "learning_rate": 0.05}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2, "learning_rate": 0.05}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.9, "learning_rate": 0.01}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.3, "beta": 0.2}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.5,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.01,
        },
    ),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.5, "clip_threshold": 0.5, "beta_2_decay": -0.5}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.05, "nesterov": False, "rms_rate": None, "momentum": 0.5}),
    ("Muon", {"exclude_layers": ["kern"], "exclude_embeddings": False, "adam_lr_ratio": 0.1}),
    ("Muon", {"weight_decay": None, "adam_weight_decay": 0.1, "ns_steps": 2}),
]
SCHEDULE_FREE = [
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"warmup_steps": 10, "beta_1": 0.5, "learning_rate": 0.05}),
]
# Keras 3.15 on torch takes the new momentum for the old one in ScheduleFreeAdamW.
STEPPED = [name for name in NAMES if name != "ScheduleFreeAdamW"]
CLIPPING = [{"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.7}]
COMMON = [
    *CLIPPING,
    {"weight_decay": 0.1},
    {"use_ema": True},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 4, "clipnorm": 0.2, "weight_decay": 0.1},
    {"gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 5},
    {"learning_rate": schedules.CosineDecay(0.001, 40, 0.1, warmup_target=0.02, warmup_steps=5)},
    {
        "learning_rate": schedules.InverseTimeDecay(0.02, 5, 0.5),
        "gradient_accumulation_steps": 4,
        "weight_decay": 0.1,
    },
]


def weights_and_gradients(steps):
    rng = np.random.default_rng(7)
    weights = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    gradients = [
        [rng.normal(size=shape).astype("float32") for shape in SHAPES] for _ in range(steps)
    ]
    return weights, gradients


def flat(arrays):
    return torch.tensor(np.concatenate([a.ravel() for a in arrays]))


def ours_of(optimizer):
    """The optimizer of ours that a config of Keras's describes."""
    return optimizers.get(keras.optimizers.serialize(optimizer))


def described(optimizer):
    optimizer.describe(list(NAMED), SHAPES)
    return optimizer


def keras_weights(optimizer, weights, gradients):
    variables = [keras.Variable(w, name=name) for w, name in zip(weights, NAMED, strict=True)]
    for step in gradients:
        optimizer.apply([torch.tensor(g) for g in step], variables)
    optimizer.finalize_variable_values(variables)
    return flat([v.value.detach().numpy() for v in variables])


def our_weights(optimizer, weights, gradients):
    w = flat(weights)
    for step in gradients:
        optimizer.step(w, flat(step), SIZES)
    optimizer.finalize_variable_values(w)
    return w


def check_steps(name, options, steps=50):
    weights, gradients = weights_and_gradients(steps)
    keras_s = getattr(keras.optimizers, name)(**options)
    ours = our_weights(described(ours_of(keras_s)), weights, gradients)
    theirs = keras_weights(keras_s, weights, gradients)
    assert torch.linalg.vector_norm(ours - theirs) <= 1e-5 * torch.linalg.vector_norm(theirs)
    # Ten orthogonal iterations a step leave a few roundings more.
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-6 if name == "Muon" else 1e-6)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_fifty_steps_are_keras_s(name, options):
    check_steps(name, options)


@pytest.mark.parametrize("common", COMMON, ids=lambda common: "-".join(common))
@pytest.mark.parametrize("name", STEPPED)
def test_fifty_steps_with_each_common_argument_are_keras_s(name, common):
    check_steps(name, common)


def schedule_free(w, gradients, learning_rate=0.0025, beta_1=0.9, warmup_steps=0):
    """Defazio et al., 2024, algorithm 1, in float64, with beta_2 = 0.999."""
    x, z, v = w.copy(), w.copy(), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        rate = learning_rate * min(1.0, t / warmup_steps) if warmup_steps else learning_rate
        v = 0.999 * v + 0.001 * g**2
        z = z - rate * g / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        x = (1 - 1 / t) * x + z / t
    return (1 - beta_1) * z + beta_1 * x


@pytest.mark.parametrize("settings", [options for _, options in SCHEDULE_FREE])
def test_fifty_steps_of_schedule_free_adam_are_the_paper_s(settings):
    weights, gradients = weights_and_gradients(50)
    ours = our_weights(optimizers.ScheduleFreeAdamW(**settings), weights, gradients)
    gradients = [flat(step).double().numpy() for step in gradients]
    expected = schedule_free(flat(weights).double().numpy(), gradients, **settings)
    torch.testing.assert_close(ours.double(), torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Muon"])
def test_weights_left_out_of_weight_decay_are_keras_s(name):
    weights, gradients = weights_and_gradients(20)
    keras_s = getattr(keras.optimizers, name)(weight_decay=0.5)
    ours = ours_of(keras_s)
    for one in (keras_s, ours):
        one.exclude_from_weight_decay(var_names=["bias", "^be"])
    stepped = our_weights(described(ours), weights, gradients)
    theirs = keras_weights(keras_s, weights, gradients)
    torch.testing.assert_close(stepped, theirs, rtol=1e-5, atol=1e-6)
    # What the server makes of the data leaves out the same.
    again = optimizers.get(optimizers.serialize(ours))
    assert type(again) is type(ours)
    torch.testing.assert_close(our_weights(described(again), weights, gradients), stepped)


def signature_of(cls):
    return inspect.signature(cls).parameters


@pytest.mark.parametrize("name", optimizers.KERAS_SLOTS)
def test_arguments_and_defaults_are_keras_s(name):
    ours, theirs = (signature_of(getattr(m, name)) for m in (optimizers, keras.optimizers))
    common = set(signature_of(optimizers.Optimizer)) - {"decay"}
    own = [one for one in ours if one != "kwargs"]
    assert own == [one for one in theirs if one in own]
    assert set(theirs) - {"kwargs"} <= {*own, *common}
    for argument in set(theirs) - {"kwargs"}:
        known = ours if argument in own else signature_of(optimizers.Optimizer)
        assert known[argument].default == theirs[argument].default, argument


@pytest.mark.parametrize(("name", "options"), [*OPTIONS, *SCHEDULE_FREE])
def test_configs_travel_to_keras_and_back(name, options):
    settings = {"learning_rate": 0.25, "clipnorm": 1.5, "use_ema": True, "name": "mine"}
    ours = getattr(optimizers, name)(**{**options, **settings})
    # keras.optimizers.deserialize gives back the name for Lamb.
    there = keras.saving.deserialize_keras_object(optimizers.serialize(ours))
    assert type(there).__name__ == name
    assert there.get_config() == ours.get_config()
    back = ours_of(there)
    assert type(back) is type(ours)
    assert back.get_config() == ours.get_config()


RATES = [
    schedules.ExponentialDecay(0.1, 10, 0.9, staircase=True),
    schedules.PiecewiseConstantDecay([2, 5], [0.3, 0.2, 0.1]),
    schedules.PolynomialDecay(0.1, 10),
    schedules.CosineDecayRestarts(0.1, 10),
]


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: type(rate).__name__)
def test_a_schedule_travels_within_the_config(rate):
    config = keras.optimizers.serialize(keras.optimizers.Adam(rate))
    ours = optimizers.get(config)
    assert ours.learning_rate == pytest.approx(float(rate(0)))
    assert ours.get_config()["learning_rate"] == config["config"]["learning_rate"]
    there = keras.optimizers.deserialize(optimizers.serialize(ours))
    assert there.get_config() == ours.get_config()


def test_a_loss_scale_optimizer_travels_with_the_one_inside():
    theirs = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), 8.0, 3)
    ours = ours_of(theirs)
    assert type(ours.inner_optimizer) is optimizers.SGD
    assert (ours.initial_scale, ours.dynamic_growth_steps, ours.learning_rate) == (8.0, 3, 0.5)
    back = keras.optimizers.deserialize(optimizers.serialize(ours))
    assert back.inner_optimizer.get_config() == ours.inner_optimizer.get_config()


def test_a_loss_scale_optimizer_steps_as_keras_s():
    weights, gradients = weights_and_gradients(20)
    gradients[7][1][0] = np.inf
    gradients[15][2][0, 1] = np.nan
    theirs = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), 4.0, 3)
    ours = ours_of(theirs)
    stepped = our_weights(ours, weights, gradients)
    expected = keras_weights(theirs, weights, gradients)
    torch.testing.assert_close(stepped, expected, rtol=1e-5, atol=1e-6)
    assert ours.dynamic_scale == float(theirs.dynamic_scale.value)
    assert ours.scale_loss(2.0) == 2 * ours.dynamic_scale
    assert ours.step_counter == int(theirs.step_counter.value)
    assert ours.iterations == int(theirs.iterations.value) == 18


def test_the_loss_is_scaled():
    assert optimizers.SGD(loss_scale_factor=4.0).scale_loss(2.0) == 8.0
    assert optimizers.SGD().scale_loss(2.0) == 2.0


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


def test_keras_s_aliases_are_known():
    names = set(ALL_OBJECTS_DICT) - {"optimizer", "multioptimizer", "optimizermap"}
    assert names <= set(optimizers.CLASSES)
    for name in ("MultiOptimizer", "OptimizerMap"):
        with pytest.raises(ValueError, match=f"{name} isn't here: .* Use Muon"):
            optimizers.get(name)
        with pytest.raises(AttributeError, match=f"{name} isn't here"):
            getattr(optimizers, name)


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
        "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "decay",
        "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
        "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", "name", "lr",
    ]  # fmt: skip


def test_the_rate_can_be_assigned_to():
    import copy

    from elephas_torch.keras import backend

    optimizer = optimizers.get("adam")
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == optimizer.lr == 0.25
    backend.set_value(optimizer.lr, 0.5)
    assert float(optimizer.learning_rate.numpy()) == optimizer.learning_rate.value == 0.5
    assert backend.get_value(optimizer.learning_rate) == 0.5
    assert type(copy.deepcopy(optimizer.learning_rate)) is float
    assert type(copy.deepcopy(optimizer).get_config()["learning_rate"]) is not None
