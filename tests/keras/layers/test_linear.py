import copy
import pickle

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from elephas_torch import keras
from elephas_torch.flat import LARGE, Flat
from elephas_torch.keras import layers
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.layers import linear
from elephas_torch.stepping import step_of

INPUTS, UNITS = 1024, LARGE // 1024


class Tied(layers.Layer):
    """A kernel used by a product, and by another operation beside it."""

    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, inputs):
        return self.inner(inputs) + self.inner.kernel.sum(0).sin()


class Checkpointed(layers.Layer):
    def __init__(self, inner, reentrant):
        super().__init__()
        self.inner, self.reentrant = inner, reentrant

    def call(self, inputs):
        given = inputs.requires_grad_() if inputs.is_leaf else inputs
        return checkpoint(self.inner, given, use_reentrant=self.reentrant)


class Hooked(layers.Dense):
    def build(self, input_shape):
        super().build(input_shape)
        self.kernel.register_hook(lambda gradient: gradient * 2)


class Twice(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, inputs):
        return self.inner(self.inner(inputs))


class Penalized(layers.Layer):
    """A loss of the gradient with respect to its input, which is differentiated again."""

    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units, activation="tanh")

    def call(self, inputs):
        with torch.enable_grad():
            given = inputs.detach().requires_grad_()
            found = self.inner(given)
            (slope,) = torch.autograd.grad(found.sum(), given, create_graph=True)
        self.add_loss(slope.square().mean())
        return found


class Asking(layers.Layer):
    """Takes the kernel's gradient in its forward pass, as a number."""

    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, inputs):
        found = self.inner(inputs)
        if not torch.is_grad_enabled():
            return found
        (slope,) = torch.autograd.grad(found.square().mean(), self.inner.kernel, retain_graph=True)
        return found + slope.mean(0)


class Mapped(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, inputs):
        return torch.func.vmap(lambda row: linear.linear(row, self.inner.kernel, None))(inputs)

    def build(self, input_shape):
        self.inner.build(input_shape)


CASES = {
    "rows": lambda: [layers.Dense(UNITS, activation="relu")],
    "no bias": lambda: [layers.Dense(UNITS, use_bias=False)],
    "two": lambda: [layers.Dense(UNITS), layers.Dense(UNITS)],
    "steps": lambda: [layers.Reshape((2, INPUTS // 2)), layers.Dense(2 * UNITS)],
    "steps without bias": lambda: [
        layers.Reshape((2, INPUTS // 2)),
        layers.Dense(2 * UNITS, use_bias=False),
    ],
    "twice": lambda: [Twice(UNITS)],
    "tied": lambda: [Tied(UNITS)],
    "hook": lambda: [Hooked(UNITS)],
    "frozen bias": lambda: [layers.Dense(UNITS, kernel_regularizer="l2"), frozen()],
    "reentrant": lambda: [Checkpointed(layers.Dense(UNITS), True)],
    "checkpointed": lambda: [Checkpointed(layers.Dense(UNITS), False)],
    "checkpointed twice": lambda: 2 * [Checkpointed(layers.Dense(UNITS), True)],
    "penalty": lambda: [Penalized(UNITS)],
    "asking": lambda: [Asking(UNITS)],
    "vmap": lambda: [Mapped(UNITS)],
}


def frozen():
    layer = layers.Dense(UNITS)
    layer.trainable = False
    return layer


def step(make, **compiled):
    keras.utils.set_random_seed(0)
    given = found = keras.Input((INPUTS,))
    for layer in make():
        found = layer(found)
    model = keras.Model(given, found)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    model.train()
    return step_of(model)


def rows(outputs):
    torch.manual_seed(1)
    return Samples(torch.randn(4, INPUTS), torch.randn(4, *outputs))


def gradients(step, times=2):
    batch = rows(step.model.output_shape[1:])
    for _ in range(times):
        step.gradients(batch)
    return step.flat.gradients.clone()


@pytest.fixture
def without_places(monkeypatch):
    """Returns a function that makes a step as torch alone would go."""

    def made(*args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr("elephas_torch.flat.LARGE", 1 << 60)
            return step(*args, **kwargs)

    return made


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_torch(case, without_places):
    found, expected = gradients(step(CASES[case])), gradients(without_places(CASES[case]))
    assert expected.abs().max() > 0
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["mixed_bfloat16", "mixed_float16"])
def test_in_mixed_precision(kind, without_places):
    def make():
        return [layers.Dense(UNITS, dtype=kind), layers.Dense(8, dtype="float32")]

    found, expected = gradients(step(make)), gradients(without_places(make))
    assert expected.abs().max() > 0
    assert torch.allclose(found, expected, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("places", [True, False])
def test_no_gradient_lies_beside_the_vector(dtype, places, without_places):
    def make():
        return [layers.Dense(UNITS, dtype=dtype)]

    found = (step if places else without_places)(make)
    gradients(found, 1)
    batch = rows((UNITS,))
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        found.gradients(batch)
    most = max(event.self_cpu_memory_usage for event in profile.function_events)
    # Under a mixed policy its copy in the policy's dtype does, of half the width.
    assert (most < 4 * LARGE) == places


def test_weights_after_training_are_those_of_torch(without_places):
    batch = rows((UNITS,))
    weights = []
    for make in (step, without_places):
        one = make(lambda: [layers.Dense(INPUTS, activation="relu"), layers.Dense(UNITS)])
        for _ in range(3):
            one.train(batch)
        weights.append(one.flat.parameters)
    assert torch.allclose(*weights, rtol=1e-6, atol=1e-8)


def test_the_gradients_views_are_the_weights_own_again():
    one = step(CASES["two"])
    gradients(one)
    assert one.flat.holds(one.model)


def test_a_backward_pass_that_fails_leaves_all_as_it_was():
    class Failing(layers.Layer):
        def call(self, inputs):
            if inputs.requires_grad:
                inputs.register_hook(self.fail)
            return inputs

        def fail(self, gradient):
            raise ArithmeticError("no")

    one = step(lambda: [layers.Dense(UNITS), Failing()])
    with pytest.raises(ArithmeticError):
        gradients(one)
    assert one.flat.holds(one.model)
    assert one.model.layers[1].kernel.place.take() is None


def test_a_backward_pass_of_ones_own_takes_no_place():
    one = step(CASES["rows"])
    kernel = one.model.layers[1].kernel
    gradients(one)
    before = one.flat.gradients.clone()
    (found,) = torch.autograd.grad(one.model(rows((UNITS,)).x).sum(), kernel)
    assert found.data_ptr() != kernel.grad.data_ptr()
    assert torch.equal(one.flat.gradients, before)
    one.model(rows((UNITS,)).x).sum().backward()  # as torch does, it adds
    assert torch.allclose(kernel.grad, before[: kernel.numel()].view_as(kernel) + found, atol=1e-6)


def test_a_compiled_model_takes_no_place(monkeypatch):
    called, compiler = [], torch.compile
    monkeypatch.setattr(linear._Linear, "apply", lambda *args: called.append(args))
    monkeypatch.setattr(
        torch, "compile", lambda function, **_: compiler(function, backend="aot_eager")
    )
    one = step(CASES["rows"], jit_compile=True)
    gradients(one)
    assert one._forward._compiled is not None and not called


def test_copies_have_no_place():
    kernel = step(CASES["rows"]).model.layers[1].kernel
    assert kernel.place is not None
    assert copy.deepcopy(kernel).place is pickle.loads(pickle.dumps(kernel)).place is None


def test_small_weights_and_those_of_torch_have_none():
    small = layers.Dense(4)
    small.build((None, 4))
    Flat(small)
    assert small.kernel.place is None
    others = torch.nn.Linear(INPUTS, UNITS)
    Flat(others)
    assert not hasattr(others.weight, "place")
