"""Learning-rate schedules: values, arguments and configs against Keras 3."""

import inspect
import json

import keras
import numpy as np
import pytest
import torch

from elephas_torch import optimizers as ground
from elephas_torch.keras import optimizers
from elephas_torch.keras.optimizers import schedules
from elephas_torch.keras.serialization import custom_object_scope

CASES = [
    ("ExponentialDecay", (0.1, 10, 0.9), {}),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 2.0), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10, 11], [1.0, 0.5, 0.25, 0.1]), {}),
    ("PiecewiseConstantDecay", ([5], [1.0, 0.5]), {}),
    ("PolynomialDecay", (0.1, 20), {}),
    ("PolynomialDecay", (0.1, 20), {"end_learning_rate": 0.01, "power": 2.0}),
    ("PolynomialDecay", (0.1, 7), {"end_learning_rate": 0.01, "power": 0.5, "cycle": True}),
    ("CosineDecay", (0.1, 20), {}),
    ("CosineDecay", (0.1, 20), {"alpha": 0.2}),
    ("CosineDecay", (0.01, 20, 0.1), {"warmup_target": 0.3, "warmup_steps": 7}),
    ("CosineDecay", (0.0, 20), {"warmup_target": 0.3}),
    ("CosineDecayRestarts", (0.1, 5), {}),
    ("CosineDecayRestarts", (0.1, 6), {"t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 5), {"t_mul": 1.5, "m_mul": 0.9}),
]
STEPS = [0, 1, 2, 3, 4, 5, 7, 10, 11, 13, 14, 16, 20, 21, 26, 27, 33, 50, 1000]


def pair(name, arguments, settings):
    return [
        getattr(module, name)(*arguments, **settings)
        for module in (schedules, keras.optimizers.schedules)
    ]


@pytest.mark.parametrize(("name", "arguments", "settings"), CASES)
def test_rates_are_keras_s(name, arguments, settings):
    ours, theirs = pair(name, arguments, settings)
    expected = [float(theirs(torch.tensor(step))) for step in STEPS]
    np.testing.assert_allclose([ours(step) for step in STEPS], expected, rtol=1e-5, atol=1e-7)
    assert all(type(ours(step)) is float for step in STEPS)


@pytest.mark.parametrize(("name", "arguments", "settings"), CASES)
def test_configs_travel_both_ways(name, arguments, settings):
    ours, theirs = pair(name, arguments, settings)
    signatures = [inspect.signature(type(one)).parameters.values() for one in (ours, theirs)]
    assert [(p.name, p.default) for p in signatures[0]] == [
        (p.name, p.default) for p in signatures[1]
    ]
    written = json.loads(json.dumps(schedules.serialize(ours)))
    assert written == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(written)
    assert type(again) is type(ours)
    assert again(9) == ours(9)


def test_a_restart_comes_at_its_step():
    # In float32, Keras may be a step late.
    rate = schedules.CosineDecayRestarts(0.1, 2, t_mul=3.0)
    starts = [2 * (3**n - 1) // 2 for n in range(9)]
    assert [rate(step) for step in starts] == pytest.approx([0.1] * 9)
    assert max(rate(step - 1) for step in starts[1:]) < 0.06


def test_waves_that_shrink_end():
    rate = schedules.CosineDecayRestarts(0.1, 4, t_mul=0.5)
    assert [rate(step) for step in (0, 4, 6)] == pytest.approx([0.1] * 3)
    assert 0 <= rate(100) <= 0.1


@pytest.mark.parametrize("room", [optimizers, ground])
def test_an_optimizer_follows_its_schedule(room):
    rate = schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25])
    optimizer, w = room.SGD(rate), torch.zeros(1)
    for step, expected in enumerate([1.0, 0.5, 0.25, 0.25]):
        assert optimizer.learning_rate == rate(step) == expected
        optimizer.step(w, torch.ones(1))
    assert w.item() == -2.0
    with pytest.raises(TypeError, match=r"can't be set.* Received: learning_rate=0\.5"):
        optimizer.learning_rate = 0.5
    optimizer.learning_rate = schedules.ExponentialDecay(0.1, 1, 0.1)
    assert optimizer.learning_rate == pytest.approx(0.1**5)


def test_a_function_may_decide_the_rate():
    rates = iter([1.0, 0.5])

    def next_rate():
        return next(rates)

    optimizer, w = optimizers.SGD(next_rate), torch.zeros(1)
    for _ in range(2):
        optimizer.step(w, torch.ones(1))
    assert w.item() == -1.5
    config = optimizers.serialize(optimizer)
    assert config["config"]["learning_rate"]["config"] == "next_rate"
    with custom_object_scope({"next_rate": next_rate}):
        assert optimizers.get(config)._learning_rate is next_rate
    with pytest.raises(ValueError, match="Unknown learning-rate schedule: 'next_rate'"):
        optimizers.get(config)
    optimizer.learning_rate = 0.25
    assert optimizer.learning_rate == 0.25


class Root(schedules.LearningRateSchedule):
    def __init__(self, first):
        self.first = first

    def __call__(self, step):
        return self.first / (step + 1) ** 0.5

    def get_config(self):
        return {"first": self.first}


def test_a_schedule_of_one_s_own_travels():
    config = json.loads(json.dumps(optimizers.serialize(optimizers.Adam(Root(0.5)))))
    assert config["config"]["learning_rate"]["class_name"] == "Root"
    with custom_object_scope({"Root": Root}):
        assert optimizers.get(config).learning_rate == 0.5
    again = schedules.deserialize(config["config"]["learning_rate"], {"Root": Root})
    assert again(3) == 0.25
    with pytest.raises(ValueError, match="Unknown learning-rate schedule: 'Root'"):
        optimizers.get(config)


def test_the_parameter_server_imports_schedules_where_it_may():
    config = ground.serialize(ground.SGD(Root(0.5)))
    config["config"]["learning_rate"]["module"] = "nowhere"
    with pytest.raises(ValueError, match="Unknown learning-rate schedule: 'Root'"):
        ground.get(config, importing=True)
    config["config"]["learning_rate"]["module"] = "elephas_torch.optimizers.schedules"
    config["config"]["learning_rate"]["class_name"] = "LearningRateSchedule"
    config["config"]["learning_rate"]["config"] = {}
    assert type(ground.get(config, importing=True)._learning_rate) is ground.LearningRateSchedule
    with pytest.raises(ValueError, match="Unknown learning-rate schedule"):
        ground.get(config)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps=0"),
        (lambda: schedules.InverseTimeDecay(0.1, -1, 1), ValueError, "InverseTimeDecay: .*=-1"),
        (lambda: schedules.PolynomialDecay(0.1, 0), ValueError, "decay_steps=0"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps=0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), ValueError, "first_decay_steps=0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 1, 0), ValueError, "t_mul=0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, r"values=\[1.0\]"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [3, 2, 1]), ValueError, r"=\[2, 1\]"),
        (lambda: schedules.deserialize({"class_name": "CosDecay"}), ValueError, "'CosineDecay'"),
        (lambda: schedules.LearningRateSchedule()(1), TypeError, "must define __call__"),
        (lambda: schedules.LearningRateSchedule().get_config(), TypeError, "define get_config"),
    ],
)
def test_what_is_wrong_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
