"""The update rules with elephas's defaults, against Keras 0.3's equations written in NumPy."""

import copy

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
