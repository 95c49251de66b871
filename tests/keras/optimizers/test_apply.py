"""Optimizers on lists of weights, and their state in Keras's order, against Keras 3."""

import keras
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch import optimizers as ground
from elephas_torch.flat import Flat
from elephas_torch.keras import optimizers

SHAPES = [(4, 3), (3,), (2, 3, 2)]
SETTINGS = {
    "SGD": {"momentum": 0.9},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True},
    "ScheduleFreeAdamW": {"beta_1": 0.5},
}
NAMES = [name for name in optimizers.KERAS_SLOTS if name != "LossScaleOptimizer"]


def make(name, **settings):
    """One of ours, and the same of Keras's."""
    ours = getattr(optimizers, name)(**{**SETTINGS.get(name, {}), **settings})
    config = optimizers.serialize(ours)
    return ours, keras.saving.deserialize_keras_object(config)


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def keras_weights():
    return [keras.Variable(w.detach().numpy()) for w in weights()]


def gradients(steps):
    return [[w.detach() for w in weights(seed)] for seed in range(1, steps + 1)]


def check(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.detach(), other.value.detach(), rtol=1e-5, atol=2e-6)


def flattened(parameters):
    module = nn.Module()
    for number, parameter in enumerate(parameters):
        module.register_parameter(f"weight{number}", parameter)
    return Flat(module)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "ScheduleFreeAdamW"])
def test_apply_steps_as_keras_s(name, together):
    ours, theirs = make(name)
    mine, other = weights(), keras_weights()
    flat = flattened(mine) if together else None
    addresses = [w.data_ptr() for w in mine]
    for step in gradients(4):
        before = [g.clone() for g in step]
        ours.apply(step, mine)
        theirs.apply([g.clone() for g in step], other)
        assert all(torch.equal(g, b) for g, b in zip(step, before, strict=True))
    check(mine, other)
    assert [w.data_ptr() for w in mine] == addresses
    if flat is not None:
        assert torch.equal(flat.parameters, torch.cat([w.detach().reshape(-1) for w in mine]))
    assert (ours.iterations, ours.steps) == (4, 4)


def test_weights_that_lie_together_are_not_copied():
    optimizer, mine = optimizers.SGD(), weights()
    optimizer.build(mine)
    assert optimizer._variables.vector()[1]
    flat = flattened(mine)
    vector, copied = optimizer._variables.vector()
    assert not copied
    assert vector.data_ptr() == flat.parameters.data_ptr()
    # As many values, the other way round in memory.
    other = optimizers.SGD()
    other.build(mine[::-1])
    assert other._variables.vector()[1]


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor", "Muon"])
def test_a_weight_without_gradient_stays_as_it_is(name):
    ours, theirs = make(name, weight_decay=0.1)
    mine, other = weights(), keras_weights()
    steps = gradients(4)
    for number, step in enumerate(steps):
        if number == 1:
            step[0] = None
            with pytest.warns(UserWarning, match=r"no gradients for these weights.*: variable_0\."):
                ours.apply(step, mine)
            with pytest.warns(UserWarning, match="Gradients do not exist"):
                theirs.apply(step, other)
        elif number == 2:
            ours.apply(step[1:], mine[1:])
            theirs.apply(step[1:], other[1:])
        else:
            ours.apply_gradients(zip(step, mine, strict=True))
            theirs.apply_gradients(zip(step, other, strict=True))
    check(mine, other)


def test_the_warning_points_at_the_caller():
    optimizer, mine = optimizers.SGD(), weights()
    with pytest.warns(UserWarning) as caught:
        optimizer.apply([None, *gradients(1)[0][1:]], mine)
    assert caught[0].filename == __file__


def test_apply_without_weights_takes_those_of_build():
    optimizer, mine = optimizers.SGD(1.0), weights()
    before = [w.detach().clone() for w in mine]
    optimizer.build(mine)
    optimizer.apply([torch.ones(shape) for shape in SHAPES])
    for weight, old in zip(mine, before, strict=True):
        torch.testing.assert_close(weight.detach(), old - 1)
    assert optimizer.apply([]) is None
    assert optimizer.iterations == 1


def test_a_training_loop_of_one_s_own():
    layer = nn.Linear(3, 1)
    optimizer = ground.Adam(0.1)
    x = torch.randn(32, 3)
    y = x.sum(1, keepdim=True)
    for _ in range(150):
        loss = (layer(x) - y).square().mean()
        optimizer.apply(torch.autograd.grad(loss, list(layer.parameters())), layer.parameters())
    assert loss < 1e-3


def test_constraints_follow_a_step():
    weight = nn.Parameter(torch.tensor([0.5, 2.0]))
    weight.constraint = lambda w: w.clamp(min=0)
    optimizers.SGD(1.0).apply([torch.ones(2)], [weight])
    assert weight.tolist() == [0.0, 1.0]


def test_excluded_weights_do_not_decay():
    mine = weights()
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[mine[1]])
    before = [w.detach().clone() for w in mine]
    optimizer.apply([torch.zeros(shape) for shape in SHAPES], mine)
    kept = [(w.detach() / b).mean().item() for w, b in zip(mine, before, strict=True)]
    assert kept == pytest.approx([0.5, 1.0, 0.5])
    with pytest.raises(ValueError, match="must be called before"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


@pytest.mark.parametrize("together", [False, True])
def test_the_running_mean_comes_into_the_weights_at_the_end(together):
    ours, theirs = make("SGD", use_ema=True, ema_momentum=0.5)
    mine, other = weights(), keras_weights()
    if together:
        flattened(mine)
    for step in gradients(3):
        ours.apply(step, mine)
        theirs.apply(step, other)
    check(mine, other)
    ours.finalize_variable_values(mine)
    theirs.finalize_variable_values(other)
    check(mine, other)


def test_finalizing_without_a_running_mean_changes_nothing():
    mine = weights()
    for optimizer in (optimizers.SGD(), optimizers.SGD(use_ema=True)):
        optimizer.finalize_variable_values(mine)
        check(mine, keras_weights())


def state_of(optimizer):
    return [np.asarray(v.numpy(), "float64") for v in optimizer.variables]


COMMON = [{}, {"use_ema": True, "gradient_accumulation_steps": 2}]


@pytest.mark.parametrize("common", COMMON, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_variables_are_keras_s(name, common):
    ours, theirs = make(name, **common)
    mine, other = weights(), keras_weights()
    for step in gradients(3):
        ours.apply(step, mine)
        theirs.apply(step, other)
    found, expected = state_of(ours), state_of(theirs)
    assert [one.shape for one in found] == [one.shape for one in expected]
    assert found[0] == 3
    if name != "ScheduleFreeAdamW":
        for one, another in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, another, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("common", COMMON, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_keras_s_state_is_taken_and_goes_on(name, common):
    ours, theirs = make(name, learning_rate=0.05, **common)
    mine, other = weights(), keras_weights()
    steps = gradients(5)
    for step in steps[:3]:
        ours.apply(step, mine)
        theirs.apply(step, other)
    again = optimizers.get({**optimizers.serialize(ours), "weights": None})
    fresh = [nn.Parameter(w.detach().clone()) for w in mine]
    again.build(fresh)
    state = ours.variables if name == "ScheduleFreeAdamW" else state_of(theirs)
    assert again.load_keras_variables(state)
    assert (again.iterations, again.accumulated) == (ours.iterations, ours.accumulated)
    assert again.learning_rate == pytest.approx(0.05)
    for step in steps[3:]:
        ours.apply(step, mine)
        again.apply(step, fresh)
    for one, another in zip(mine, fresh, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-4, atol=1e-5)


def test_a_state_of_other_shapes_is_not_taken():
    optimizer = optimizers.Adam()
    optimizer.build(weights())
    state = [v.clone() for v in optimizer.variables]
    state[0] += 5
    assert not optimizer.load_keras_variables(state[:-1])
    assert not optimizer.load_keras_variables([*state[:-1], torch.zeros(99)])
    assert optimizer.iterations == 0
    assert optimizer.load_keras_variables(state)
    assert optimizer.iterations == 5


def test_the_weights_of_a_vector_may_be_in_another_order_in_keras():
    optimizer = optimizers.SGD(momentum=0.9)
    optimizer.describe(["a", "b"], [(2,), (3,)])
    optimizer.step(torch.zeros(5), torch.arange(5.0))
    first, second = optimizer.keras_variables([1, 0])[2:]
    assert (first.shape, second.shape) == ((3,), (2,))
    assert first.tolist() == pytest.approx([-0.02, -0.03, -0.04])


def test_a_loss_scale_optimizer_s_state_is_keras_s():
    ours, theirs = optimizers.LossScaleOptimizer(optimizers.Adam(), 8.0, 3), None
    theirs = keras.optimizers.deserialize(optimizers.serialize(ours))
    mine, other = weights(), keras_weights()
    for step in gradients(4):
        ours.apply([8 * g for g in step], mine)
        theirs.apply([8 * g for g in step], other)
    check(mine, other)
    for one, another in zip(state_of(ours), state_of(theirs), strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-4, atol=2e-6)
    again = optimizers.get(optimizers.serialize(ours))
    again.build(mine)
    assert again.load_keras_variables(state_of(theirs))
    assert (again.dynamic_scale, again.step_counter, again.iterations) == (16.0, 1, 4)


def test_variables_before_anything_is_known():
    assert [v.item() for v in optimizers.SGD(0.5).variables] == [0, 0.5]
    rate = optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    assert [v.item() for v in optimizers.SGD(rate).variables] == [0]


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda o, w: o.apply([torch.ones(2)]), r"SGD: apply\(\) needs the weights"),
        (lambda o, w: o.apply([None, None, None], w), "None of the weights has a gradient"),
        (lambda o, w: o.apply([torch.ones(2)], w), "1 gradients for 3 weights"),
        (lambda o, w: o.apply([torch.ones(2)] * 3, w), r"shape \(4, 3\).* of shape \(2,\)"),
        (
            lambda o, w: (o.build(w), o.apply([torch.ones(7)], [nn.Parameter(torch.ones(7))])),
            r"a weight of shape \(7,\) that it doesn't know",
        ),
        (lambda o, w: o.keras_variables(), r"SGD: the state in Keras's order needs .*describe"),
    ],
)
def test_what_is_wrong_is_refused(do, says):
    with pytest.raises(ValueError, match=says):
        do(optimizers.SGD(), weights())
