import copy

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers
from elephas_torch.keras.layers import core


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 1, 3, 4)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
def test_dense_is_keras_s(same, shape, use_bias, activation):
    same("Dense", 3, activation, use_bias=use_bias, shape=shape)


def test_dense_on_more_shapes(same):
    @settings(max_examples=10, deadline=None)
    @given(
        st.lists(st.integers(1, 4), min_size=2, max_size=4),
        st.integers(1, 5),
        st.sampled_from(["tanh", "sigmoid", "gelu", "linear"]),
    )
    def check(shape, units, activation):
        same("Dense", units, activation=activation, shape=tuple(shape))

    check()


def test_dense_names_its_weights_and_starts_as_asked():
    dense = layers.Dense(3, kernel_initializer="ones", bias_initializer="ones", input_dim=2)
    dense.build((None, 2))
    assert [name for name, _ in dense.named_parameters()] == ["kernel", "bias"]
    assert dense(torch.ones(1, 2)).tolist() == [[3.0, 3.0, 3.0]]


def test_preactivation_is_what_the_activation_takes():
    dense = layers.Dense(3, "softmax")
    x = torch.randn(4, 2)
    y = dense(x)
    assert torch.equal(dense.activation(dense.preactivation(x)), y)
    activation = layers.Activation("sigmoid")
    assert activation.preactivation(x) is x
    assert torch.equal(activation(x), torch.sigmoid(x))


def test_dense_follows_weights_that_move():
    dense = layers.Dense(2)
    dense.build((None, 3))
    vector = torch.zeros(8)
    dense.kernel.data, dense.bias.data = vector[:6].view(3, 2), vector[6:]
    vector += 1
    assert dense(torch.ones(1, 3)).tolist() == [[4.0, 4.0]]


def test_keras_weights_and_ours_travel_both_ways():
    ours, theirs = layers.Dense(3), keras.layers.Dense(3)
    ours.build((None, 4))
    theirs.build((None, 4))
    theirs.set_weights(ours.get_weights())
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(theirs(x).detach(), ours(torch.tensor(x)).detach(), rtol=1e-6)


@pytest.mark.parametrize("name", ["relu", "softmax", "tanh"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_activation_is_keras_s(same, name, shape):
    same("Activation", name, shape=shape)


def test_dropout_at_rest_hands_its_inputs_on(same):
    same("Dropout", 0.5, shape=(3, 4))
    x = torch.ones(3)
    assert layers.Dropout(0.5)(x) is x
    assert layers.Dropout(0)(x, training=True) is x


def test_dropout_in_training_draws_as_keras_does():
    x = torch.randn(4, 5, 6)
    torch.manual_seed(7)
    ours = layers.Dropout(0.4)(x, training=True)
    torch.manual_seed(7)
    theirs = keras.layers.Dropout(0.4)(x, training=True)
    assert torch.equal(ours, theirs)


def test_dropout_keeps_the_mean_and_drops_the_share():
    y = layers.Dropout(0.25, seed=1)(torch.ones(100_000), training=True)
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert layers.Dropout(1.0)(torch.ones(5), training=True).tolist() == [0.0] * 5


def test_dropout_seeded_is_its_own_generator():
    x = torch.ones(1000)
    first, second = layers.Dropout(0.5, seed=3), layers.Dropout(0.5, seed=3)
    state = torch.get_rng_state()
    masks = [first(x, training=True) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(masks[0], second(x, training=True))
    assert not torch.equal(masks[0], masks[1])
    copied = copy.deepcopy(first)
    assert torch.equal(copied(x, training=True), first(x, training=True))


@pytest.mark.parametrize("seed", [None, 5])
def test_dropout_noise_shape_drops_whole_axes(seed):
    y = layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=seed)(torch.ones(8, 5, 6), training=True)
    assert torch.equal(y, y[:, :1].expand(8, 5, 6))
    assert {0.0, 2.0} == set(y.unique().tolist())


def test_dropout_takes_part_in_gradients():
    x = torch.ones(50, requires_grad=True)
    y = layers.Dropout(0.5, seed=0)(x, training=True)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("kwargs", [{"rate": 0.3}, {"rate": 0.3, "seed": 2, "noise_shape": (2, 1)}])
def test_dropout_config_is_keras_s(kwargs):
    ours, theirs = layers.Dropout(**kwargs, name="d"), keras.layers.Dropout(**kwargs, name="d")
    assert ours.get_config() == theirs.get_config()
    assert keras.layers.Dropout.from_config(ours.get_config()).get_config() == theirs.get_config()
    assert layers.Dropout.from_config(theirs.get_config()).get_config() == ours.get_config()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"shape": (3,)},
        {"shape": (None, 2), "batch_size": 4},
        {"batch_shape": (None, 5)},
        {"shape": (7,), "dtype": "int32", "name": "words"},
    ],
)
def test_input_layer_config_is_keras_s(kwargs):
    kwargs = {"name": "in", **kwargs}
    ours, theirs = layers.InputLayer(**kwargs), keras.layers.InputLayer(**kwargs)
    assert ours.get_config() == theirs.get_config()
    assert keras.layers.InputLayer.from_config(ours.get_config()).get_config() == ours.get_config()
    assert layers.InputLayer.from_config(theirs.get_config()).get_config() == ours.get_config()


def test_input_layer_hands_on_and_declares():
    layer = layers.InputLayer((3,))
    x = torch.ones(2, 3)
    assert layer(x) is x
    assert layer.built
    assert layer.declared_shape == (None, 3)
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    assert layer.input_dtype is torch.float32
    assert layers.InputLayer((3,), dtype="int32").input_dtype is torch.int32
    assert layers.InputLayer(input_shape=(3,)).batch_shape == (None, 3)


def test_older_keras_found_the_reshaping_layers_here():
    assert core.Flatten is layers.Flatten
    assert core.Reshape is layers.Reshape
    assert {"Dense", "Dropout", "Activation"} <= set(core.__all__)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Dense(0),
            "Dense: `units` must be a positive whole number. Received: units=0",
        ),
        (lambda: layers.Dense(2.5), "Received: units=2.5"),
        (lambda: layers.Dense(True), "Received: units=True"),
        (lambda: layers.Dense("8"), "Received: units='8'"),
        (lambda: layers.Dense(2, "rellu"), "Did you mean 'relu'"),
        (lambda: layers.Dense(2, kernel_initializer="zeroes"), "Did you mean 'zeros'"),
        (lambda: layers.Dense(2, kernel_regularizer="l2"), "kernel_regularizer='l2'"),
        (lambda: layers.Dense(2, activity_regularizer="l2"), "activity_regularizer='l2'"),
        (lambda: layers.Dropout(1.5), "Received: rate=1.5"),
        (lambda: layers.Dropout("half"), "Received: rate='half'"),
        (lambda: layers.Dropout(0.5, noise_shape=(0, 1)), r"noise_shape=\(0, 1\)"),
        (lambda: layers.Dropout(0.5, noise_shape="all"), "noise_shape='all'"),
        (lambda: layers.InputLayer(), "either `shape` or `batch_shape`"),
        (lambda: layers.InputLayer((2,), batch_shape=(None, 2)), "either `shape` or `batch_shape`"),
        (lambda: layers.InputLayer((2,), dtype="float1"), "Unknown dtype: 'float1'"),
        (lambda: layers.InputLayer((2,), sparse=True), "sparse=True"),
        (lambda: layers.InputLayer((2,), batch_size=0), "batch_size=0"),
        (lambda: layers.InputLayer((-2,)), r"Received: \(-2,\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_argument_that_nobody_knows_is_an_error():
    with pytest.raises(TypeError, match=r"'unit'\. Did you mean 'units'"):
        layers.Dense(3, unit=4)


def test_shapes_that_do_not_fit_name_the_layer():
    dense = layers.Dense(3, name="first")
    with pytest.raises(ValueError, match=r"Layer 'first' \(Dense\) expects .*\(None, …, None\)"):
        dense.build((3,))
    with pytest.raises(ValueError, match="must know the length of axis -1"):
        dense.build((None, None))
    dense.build((None, 4))
    with pytest.raises(ValueError, match=r"\(None, …, 4\). Received: inputs of shape \(2, 5\)"):
        dense(torch.ones(2, 5))
    with pytest.raises(ValueError, match=r"inputs of shape \(2, 6, 5\)"):
        dense(torch.ones(2, 6, 5))
    with pytest.raises(ValueError, match=r"\(None, …, 4\)"):
        dense.compute_output_shape((None, 7))


def test_errors_that_are_not_about_shapes_stay_as_they_are():
    def broken(x):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        layers.Activation(broken)(torch.ones(2))
