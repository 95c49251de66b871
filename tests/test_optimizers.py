"""The update rules with elephas's defaults, against Keras 0.3's equations written in NumPy."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from elephas_torch import optimizers

STEPS, LENGTH = 50, 64


# Keras 0.3's optimizers.py, line by line, in float64. Each takes the weights and the
# gradients of all steps, and gives the weights at the end.


def sgd(p, gradients, lr=0.01, momentum=0.0, decay=0.0, nesterov=False):
    m = np.zeros_like(p)
    for iterations, g in enumerate(gradients):
        rate = lr * (1.0 / (1.0 + decay * iterations))
        m = momentum * m - rate * g
        p = p + momentum * m - rate * g if nesterov else p + m
    return p


def rmsprop(p, gradients, lr=0.001, rho=0.9, epsilon=1e-6):
    a = np.zeros_like(p)
    for g in gradients:
        a = rho * a + (1 - rho) * np.square(g)
        p = p - lr * g / np.sqrt(a + epsilon)
    return p


def adagrad(p, gradients, lr=0.01, epsilon=1e-6):
    a = np.zeros_like(p)
    for g in gradients:
        a = a + np.square(g)
        p = p - lr * g / np.sqrt(a + epsilon)
    return p


def adadelta(p, gradients, lr=1.0, rho=0.95, epsilon=1e-6):
    a, d_a = np.zeros_like(p), np.zeros_like(p)
    for g in gradients:
        a = rho * a + (1 - rho) * np.square(g)
        update = g * np.sqrt(d_a + epsilon) / np.sqrt(a + epsilon)
        p = p - lr * update
        d_a = rho * d_a + (1 - rho) * np.square(update)
    return p


def adam(p, gradients, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        rate = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * np.square(g)
        p = p - rate * m / (np.sqrt(v) + epsilon)
    return p


CASES = [
    (optimizers.SGD, sgd, {}),
    (optimizers.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optimizers.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optimizers.SGD, sgd, {"decay": 0.1, "momentum": 0.5}),
    (optimizers.RMSprop, rmsprop, {}),
    (optimizers.RMSprop, rmsprop, {"lr": 0.01, "rho": 0.5}),
    (optimizers.Adagrad, adagrad, {}),
    (optimizers.Adadelta, adadelta, {}),
    (optimizers.Adadelta, adadelta, {"lr": 0.5, "rho": 0.8, "epsilon": 1e-4}),
    (optimizers.Adam, adam, {}),
    (optimizers.Adam, adam, {"lr": 0.1, "beta_1": 0.5, "beta_2": 0.9}),
]
ALL = [
    cls for cls in optimizers.lookup.CLASSES.values() if cls is not optimizers.LossScaleOptimizer
]


def weights_and_gradients(steps=STEPS, length=LENGTH):
    rng = np.random.default_rng(3)
    return rng.normal(size=length), rng.normal(size=(steps, length))


def run(optimizer, weights, gradients):
    w = torch.tensor(weights, dtype=torch.float32)
    if optimizer.by_weight:
        optimizer.describe(["w/kernel", "w/bias"], [(6, 8), (16,)])
    for g in gradients:
        optimizer.step(w, torch.tensor(g, dtype=torch.float32))
    return w


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("cls", "equations", "settings"), CASES)
def test_fifty_steps_follow_keras_0_3(cls, equations, settings, fused, monkeypatch):
    if not fused:
        monkeypatch.setattr(optimizers.rules, "_FUSED_ADAM", None)
    weights, gradients = weights_and_gradients()
    ours = run(cls(**settings), weights, gradients).double()
    theirs = torch.tensor(equations(weights, gradients, **settings))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_three_steps_by_hand():
    weights, gradients = np.array([1.0]), np.array([[1.0], [2.0], [2.0]])
    # 1 - 0.01 (1/1 + 2/sqrt(5) + 2/3)
    assert run(optimizers.Adagrad(), weights, gradients).item() == pytest.approx(0.974389, 1e-6)
    # Momentum: 0.1, then 0.05 + 0.2, then 0.125 + 0.2
    momentum = optimizers.SGD(0.1, momentum=0.5)
    assert run(momentum, weights, gradients).item() == pytest.approx(1 - 0.1 - 0.25 - 0.325)
    # DiLoCo: v = -0.7, w = 1 - 0.63 - 0.7
    assert run(optimizers.DiLoCo(), weights, gradients[:1]).item() == pytest.approx(-0.33)


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (lambda: optimizers.Adam(0.01), lambda p: torch.optim.Adam(p, 0.01, eps=1e-8)),
        (
            lambda: optimizers.Adam(0.01, epsilon=1e-8, amsgrad=True),
            lambda p: torch.optim.Adam(p, 0.01, eps=1e-8, amsgrad=True),
        ),
        (
            lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True),
        ),
    ],
)
def test_torch_s_own_optimizers_go_the_same_way(make, reference):
    weights, gradients = weights_and_gradients()
    parameter = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float32))
    theirs = reference([parameter])
    for g in gradients:
        parameter.grad = torch.tensor(g, dtype=torch.float32)
        theirs.step()
    ours = run(make(), weights, gradients)
    torch.testing.assert_close(ours, parameter.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 1e-8, 1e-3])
def test_the_fused_adam_is_the_plain_one(amsgrad, epsilon, monkeypatch):
    weights, gradients = weights_and_gradients()
    make = {"learning_rate": 0.01, "epsilon": epsilon, "amsgrad": amsgrad}
    used = []
    real = optimizers.rules._FUSED_ADAM
    monkeypatch.setattr(
        optimizers.rules, "_FUSED_ADAM", lambda *a, **k: (used.append(1), real(*a, **k))
    )
    fused = run(optimizers.Adam(**make), weights, gradients)
    monkeypatch.setattr(optimizers.rules, "_FUSED_ADAM", None)
    plain = run(optimizers.Adam(**make), weights, gradients)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    assert len(used) == STEPS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_steps_on_every_second_weight_too(dtype):
    memory = torch.ones(8, dtype=dtype)
    optimizers.Adam(0.1).step(memory[::2], torch.ones(8, dtype=dtype)[::2])
    torch.testing.assert_close(memory, torch.tensor([0.9, 1.0] * 4, dtype=dtype))


@pytest.mark.parametrize("cls", ALL)
def test_a_saved_optimizer_goes_on_where_it_was(cls):
    weights, gradients = weights_and_gradients()
    whole = run(cls(), weights, gradients)
    first = cls()
    half = run(first, weights, gradients[:20])
    state = copy.deepcopy(first.state_dict())
    second = optimizers.get(optimizers.serialize(first))
    second.load_state_dict(state)
    state.clear()
    torch.testing.assert_close(run(second, half.double().numpy(), gradients[20:]), whole)


def test_the_state_of_another_kind_of_optimizer_is_refused():
    sgd = optimizers.SGD(momentum=0.9)
    sgd.step(torch.zeros(2), torch.ones(2))
    adam = optimizers.Adam()
    with pytest.raises(ValueError, match="Adam keeps velocity, which the state doesn't have"):
        adam.load_state_dict(sgd.state_dict())
    assert adam.iterations == 0
    with pytest.raises(ValueError, match=r"SGD keeps iterations.*a state of nothing"):
        sgd.load_state_dict({})


@pytest.mark.parametrize("cls", ALL)
def test_serialize_and_get_give_the_same_optimizer(cls):
    optimizer = cls(learning_rate=0.25, decay=0.5, clipvalue=2.0, name="mine")
    again = optimizers.get(optimizers.serialize(optimizer))
    assert type(again) is cls
    assert again.get_config() == optimizer.get_config()
    assert type(optimizers.get(cls.__name__.upper())) is cls


def test_other_weights_start_anew():
    optimizer = optimizers.Adam()
    optimizer.step(torch.zeros(3), torch.ones(3))
    optimizer.step(torch.zeros(5), torch.ones(5))
    assert optimizer.iterations == 1
    assert optimizer.slots["momentum"].shape == (5,)


def test_gradients_are_clipped_by_weight_by_value_or_as_a_whole():
    gradient = torch.tensor([3.0, 4.0, 0.0, 1.0])

    def step(sizes=None, **clipping):
        w = torch.zeros(4)
        optimizers.SGD(1.0, **clipping).step(w, gradient.clone(), sizes)
        return (-w).tolist()

    assert step(clipvalue=2.0) == pytest.approx([2.0, 2.0, 0.0, 1.0])
    assert step([2, 2], clipnorm=1.0) == pytest.approx([0.6, 0.8, 0.0, 1.0])
    norm = 26**0.5
    assert step([2, 2], global_clipnorm=1.0) == pytest.approx([3 / norm, 4 / norm, 0, 1 / norm])
    assert step(clipnorm=1.0) == pytest.approx([3 / norm, 4 / norm, 0, 1 / norm])
    assert step([2, 2], clipnorm=9.0) == gradient.tolist()


def test_the_rate_can_be_set_between_steps():
    optimizer, w = optimizers.SGD(1.0), torch.zeros(1)
    optimizer.step(w, torch.ones(1))
    optimizer.lr = 0.5
    optimizer.step(w, torch.ones(1))
    assert w.item() == -1.5
    with pytest.raises(ValueError, match="Received: learning_rate=-1"):
        optimizer.learning_rate = -1


def test_a_step_leaves_no_trace_in_autograd():
    w = torch.ones(2, requires_grad=True)
    optimizers.Adam().step(w, torch.ones(2))
    assert w.is_leaf
    assert w.requires_grad
    assert w.grad_fn is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: optimizers.SGD(-0.1), "learning_rate=-0.1"),
        (lambda: optimizers.SGD(float("nan")), "learning_rate=nan"),
        (lambda: optimizers.SGD("fast"), "learning_rate='fast'"),
        (lambda: optimizers.SGD(momentum=1.5), "momentum=1.5"),
        (lambda: optimizers.SGD(decay=-1), "decay=-1"),
        (lambda: optimizers.RMSprop(rho=1.0), "rho=1.0"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), "accumulator_value=-1"),
        (lambda: optimizers.Adadelta(epsilon=0), "epsilon=0"),
        (lambda: optimizers.Adam(beta_2=2), "beta_2=2"),
        (lambda: optimizers.Adam(clipnorm=0), "clipnorm=0"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "takes one of"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("cls", ALL)
def test_an_unknown_argument_is_named_with_all_that_are_taken(cls):
    with pytest.raises(TypeError, match=r"'clip_norm'\. Did you mean 'clipnorm'") as caught:
        cls(clip_norm=1)
    for accepted in ("learning_rate", "lr", "decay", "clipvalue", "global_clipnorm", "name"):
        assert f" {accepted}" in str(caught.value)


@pytest.mark.parametrize(
    ("identifier", "error", "says"),
    [
        ("adagrd", ValueError, "Did you mean 'adagrad'"),
        ({"class_name": "Nothing", "module": "nowhere"}, ValueError, "Unknown optimizer"),
        ({"class_name": "OrderedDict", "module": "collections"}, ValueError, "Unknown optimizer"),
        (None, TypeError, "Received: None"),
    ],
)
def test_what_is_no_optimizer_is_refused(identifier, error, says):
    with pytest.raises(error, match=says):
        optimizers.get(identifier)


def test_a_rule_must_be_defined():
    with pytest.raises(TypeError, match="Empty has no update rule"):
        type("Empty", (optimizers.Optimizer,), {})().step(torch.zeros(1), torch.zeros(1))


# Options and the data that goes to the server.

LAYOUT = (["dense/kernel", "dense/bias", "embedding/embeddings"], [(6, 4), (4,), (6, 6)])


def test_a_step_with_options_is_undone_by_none_of_them():
    weights, gradients = weights_and_gradients()
    plain = run(optimizers.SGD(0.1), weights, gradients)
    rate = optimizers.schedules.PiecewiseConstantDecay([10], [0.1, 0.1])
    optimizer = optimizers.SGD(rate, loss_scale_factor=1.0, use_ema=True, weight_decay=0.0)
    torch.testing.assert_close(run(optimizer, weights, gradients), plain, rtol=0, atol=1e-7)


def test_decay_slows_weight_decay_too():
    optimizer, w = optimizers.SGD(0.5, decay=1.0, weight_decay=1.0), torch.ones(1)
    for _ in range(2):
        optimizer.step(w, torch.zeros(1))
    assert w.item() == pytest.approx(0.5 * 0.75)


def test_the_fused_adamw_is_the_plain_one(monkeypatch):
    weights, gradients = weights_and_gradients()
    used = []
    real = optimizers.rules._FUSED_ADAMW
    monkeypatch.setattr(
        optimizers.rules, "_FUSED_ADAMW", lambda *a, **k: (used.append(1), real(*a, **k))
    )
    fused = run(optimizers.AdamW(0.01, weight_decay=0.5), weights, gradients)
    assert len(used) == STEPS
    apart = run(optimizers.Adam(0.01, epsilon=1e-7, weight_decay=0.5), weights, gradients)
    assert len(used) == STEPS
    monkeypatch.setattr(optimizers.rules, "_FUSED_ADAM", None)
    plain = run(optimizers.AdamW(0.01, weight_decay=0.5), weights, gradients)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fused, apart, rtol=1e-5, atol=1e-6)


def test_adamw_without_its_weight_decay_is_adam():
    weights, gradients = weights_and_gradients()
    optimizer = optimizers.AdamW(0.01)
    optimizer.step(torch.zeros(LENGTH), torch.ones(LENGTH))
    optimizer.weight_decay = None
    optimizer.reset()
    adam = run(optimizers.Adam(0.01, epsilon=1e-7), weights, gradients)
    assert torch.equal(run(optimizer, weights, gradients), adam)


@pytest.mark.parametrize("cls", ALL)
def test_what_the_server_gets_steps_the_same(cls):
    weights, gradients = weights_and_gradients()
    settings = {} if cls is optimizers.Ftrl else {"gradient_accumulation_steps": 3}
    rate = optimizers.schedules.CosineDecay(0.05, STEPS, alpha=0.1)
    here = cls(rate, weight_decay=0.1, use_ema=True, **settings)
    here.exclude_from_weight_decay(var_names=["bias"])
    here.describe(*LAYOUT)
    there = optimizers.get(json.loads(json.dumps(optimizers.serialize(here))))
    assert there.get_config() == here.get_config()
    results = []
    for optimizer in (here, there):
        w = torch.tensor(weights, dtype=torch.float32)
        for g in gradients:
            optimizer.step(w, torch.tensor(g, dtype=torch.float32))
        results.append(w)
    assert torch.equal(*results)
    assert not torch.equal(results[0], torch.tensor(weights, dtype=torch.float32))


@pytest.mark.parametrize("cls", ALL)
def test_options_go_on_where_they_were(cls):
    weights, gradients = weights_and_gradients(11)
    settings = {"use_ema": True, "gradient_accumulation_steps": 3}
    first, second = cls(**settings), cls(**settings)
    whole, half = (torch.tensor(weights, dtype=torch.float32) for _ in range(2))
    for optimizer in (first, second):
        optimizer.describe(*LAYOUT)
    for g in gradients[:7]:
        first.step(whole, torch.tensor(g, dtype=torch.float32))
    half.copy_(whole)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert (second.iterations, second.accumulated, second.steps) == (2, 1, 7)
    for g in gradients[7:]:
        first.step(whole, torch.tensor(g, dtype=torch.float32))
        second.step(half, torch.tensor(g, dtype=torch.float32))
    assert torch.equal(whole, half)
    for optimizer, w in ((first, whole), (second, half)):
        optimizer.finalize_variable_values(w)
    assert torch.equal(whole, half)


def scaled(inner=None):
    return optimizers.LossScaleOptimizer(inner or optimizers.Adam(0.1), 8.0, 2)


def test_a_loss_scale_optimizer_leaves_out_what_is_not_finite():
    optimizer, w = scaled(optimizers.SGD(1.0)), torch.zeros(2)
    for bad in (float("inf"), float("nan"), float("-inf")):
        optimizer.step(w, torch.tensor([1.0, bad]))
    assert w.tolist() == [0, 0]
    assert (optimizer.dynamic_scale, optimizer.iterations) == (1.0, 0)
    for _ in range(3):
        optimizer.step(w, torch.tensor([optimizer.dynamic_scale, 0.0]))
    assert w.tolist() == [-3, 0]
    assert (optimizer.dynamic_scale, optimizer.step_counter) == (2.0, 1)
    # The largest float32 is finite, though its sum with another isn't.
    optimizer.step(w, torch.full((2,), torch.finfo(torch.float32).max))
    assert optimizer.iterations == 4


@pytest.mark.parametrize(
    "optimizer", [scaled(), optimizers.SGD(0.1), optimizers.SGD(0.1, loss_scale_factor=4.0)]
)
def test_gradients_are_unscaled_without_a_step(optimizer):
    loss, gradients = torch.tensor(2.0), torch.tensor([3.0, 5.0])
    assert optimizer.scales_loss == bool(optimizer.scale_loss(loss) != loss)
    scaled_up = optimizer.scale_loss(gradients).clone()
    assert optimizer.unscale(scaled_up)
    assert torch.equal(scaled_up, gradients)
    assert optimizer.iterations == 0


def test_gradients_that_overflow_halve_the_scale_and_stay():
    optimizer, gradients = scaled(), torch.tensor([float("inf"), 8.0])
    assert not optimizer.unscale(gradients)
    assert (optimizer.dynamic_scale, gradients[1]) == (4.0, 8.0)


def test_a_loss_scale_optimizer_is_saved_with_the_one_inside():
    first, w = scaled(), torch.zeros(3)
    for _ in range(3):
        first.step(w, torch.ones(3))
    second = optimizers.get(json.loads(json.dumps(optimizers.serialize(first))))
    assert type(second.inner_optimizer) is optimizers.Adam
    assert second.get_config() == first.get_config()
    second.load_state_dict(first.state_dict())
    assert (second.dynamic_scale, second.step_counter, second.iterations) == (16.0, 1, 3)
    assert torch.equal(second.slots["velocity"], first.slots["velocity"])
    third = pickle.loads(pickle.dumps(first))
    results = [w.clone() for _ in range(3)]
    for optimizer, result in zip((first, second, third), results, strict=True):
        optimizer.step(result, torch.ones(3))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    with pytest.raises(ValueError, match="keeps dynamic_scale, step_counter"):
        second.load_state_dict(first.inner_optimizer.state_dict())
    first.reset()
    assert (first.dynamic_scale, first.iterations, first.slots) == (8.0, 0, {})


def test_a_loss_scale_optimizer_hands_on_what_is_the_inner_one_s():
    optimizer = scaled(optimizers.SGD(0.5, weight_decay=0.5, use_ema=True, loss_scale_factor=4.0))
    assert optimizer.inner_optimizer.loss_scale_factor is None
    optimizer.lr = 1.0
    assert (optimizer.learning_rate, optimizer.inner_optimizer.learning_rate) == (1.0, 1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.describe(["kernel", "bias"], [(1,), (1,)])
    w = torch.ones(2)
    optimizer.step(w, torch.zeros(2))
    assert w.tolist() == [0.5, 1.0]
    w.zero_()
    optimizer.finalize_variable_values(w)
    assert w.tolist() == [0.5, 1.0]
    assert set(optimizer.slots) == {"ema"}
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = optimizer.nothing_of_this_name


def test_lamb_takes_the_vector_as_one_weight_unless_told():
    gradient = torch.tensor([1.0, 2.0, 3.0, 4.0])
    steps = {}
    for name, sizes in (("whole", None), ("halves", [2, 2])):
        w = torch.tensor([1.0, 1.0, 10.0, 10.0])
        before = w.clone()
        optimizers.Lamb(0.1).step(w, gradient.clone(), sizes)
        steps[name] = (before - w).tolist()
    # All elements of Adam's first step are 1: it becomes as long as the weight, times 0.1.
    assert steps["halves"] == pytest.approx([0.1, 0.1, 1.0, 1.0], rel=1e-4)
    assert steps["whole"] == pytest.approx([0.1 * (202 / 4) ** 0.5] * 4, rel=1e-4)


def test_muon_takes_orthogonal_steps():
    optimizer = optimizers.Muon(1.0, weight_decay=None, rms_rate=None, ns_steps=12)
    optimizer.describe(["kernel"], [(3, 5)])
    w = torch.zeros(15)
    optimizer.step(w, torch.randn(15))
    values = torch.linalg.svdvals(w.view(3, 5))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_options_show_where_they_are_set():
    assert repr(optimizers.SGD()) == "SGD(learning_rate=0.01, momentum=0.0, nesterov=False)"
    shown = repr(optimizers.Lion(use_ema=True, clipnorm=2.0))
    assert shown == "Lion(learning_rate=0.001, clipnorm=2.0, use_ema=True, beta_1=0.9, beta_2=0.99)"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: optimizers.SGD(weight_decay=-1), ValueError, "weight_decay=-1"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "weight_decay=None"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), ValueError, "ema_momentum=2"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=0), ValueError, "frequency=0"),
        (lambda: optimizers.SGD(loss_scale_factor=0), ValueError, "loss_scale_factor=0"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "steps=1"),
        (lambda: optimizers.Adamax(beta_1=1), ValueError, "Adamax: `beta_1` .*beta_1=1"),
        (lambda: optimizers.Nadam(epsilon=-1), ValueError, "Nadam: .*epsilon=-1"),
        (lambda: optimizers.Lion(beta_1=0), ValueError, "`beta_1` must be above 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=1), ValueError, "learning_rate_power=1"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1), ValueError, "strength=-1"),
        (lambda: optimizers.Ftrl(0.0).step(torch.zeros(1), torch.ones(1)), ValueError, "rate=0"),
        (lambda: optimizers.Adafactor(beta_2_decay=0.8), ValueError, "beta_2_decay=0.8"),
        (lambda: optimizers.Adafactor(clip_threshold=0), ValueError, "clip_threshold=0"),
        (lambda: optimizers.Muon(ns_steps=0), ValueError, "ns_steps=0"),
        (lambda: optimizers.Muon(adam_weight_decay=-1), ValueError, "adam_weight_decay=-1"),
        (lambda: optimizers.ScheduleFreeAdamW(warmup_steps=-1), ValueError, "warmup_steps=-1"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=0), ValueError, "`beta_1` must be above 0"),
        (lambda: optimizers.LossScaleOptimizer("adam"), TypeError, "inner_optimizer='adam'"),
        (lambda: scaled().__class__(optimizers.SGD(), 0), ValueError, "initial_scale=0"),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0),
            ValueError,
            "give it to the inner optimizer. Received: clipnorm=1.0",
        ),
    ],
)
def test_options_out_of_range_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("cls", [optimizers.Adafactor, optimizers.Muon])
def test_rules_of_single_weights_ask_for_their_shapes(cls):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: its rule needs the shapes.*describe"):
        cls().step(torch.zeros(4), torch.ones(4))


def test_names_are_asked_for_where_weights_are_left_out():
    optimizer = optimizers.SGD(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match=r"needs the names.* call describe\(names, shapes\)"):
        optimizer.step(torch.zeros(4), torch.ones(4))
    optimizer.reset()
    optimizer.exclude_from_weight_decay(var_list=[torch.zeros(4)])
    with pytest.raises(ValueError, match=r"describe\(\) needs `variables`"):
        optimizer.describe(["kernel"], [(4,)])


def test_what_is_left_out_late_counts():
    optimizer, w = optimizers.SGD(1.0, weight_decay=0.5), torch.ones(2)
    optimizer.describe(["kernel", "bias"], [(1,), (1,)])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.describe(["kernel", "bias"], [(1,), (1,)])
    optimizer.step(w, torch.zeros(2))
    assert w.tolist() == [0.5, 1.0]
