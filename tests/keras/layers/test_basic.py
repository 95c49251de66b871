import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

CASES = [
    *(
        ("Dense", {"units": 3, "activation": activation, "use_bias": use_bias}, shape)
        for activation in (None, "relu", "softmax")
        for use_bias in (True, False)
        for shape in ((5, 4), (2, 3, 4), (2, 1, 3, 4))
    ),
    *(
        ("Activation", {"activation": name}, shape)
        for name in ("relu", "softmax", "tanh")
        for shape in ((3, 4), (2, 3, 4))
    ),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


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


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4)])
def test_identity_is_keras_s(same, shape):
    found = same("Identity", shape=shape)
    assert found.outputs is found.x


def test_identity_hands_any_tree_on():
    tree = {"a": torch.ones(2, 3), "b": [torch.zeros(2, 1)]}
    assert layers.Identity()(tree) == tree
    inputs = [layers.Input((3,)), layers.Input((2,), dtype="int32")]
    told = layers.Identity()(inputs)
    assert [(one.shape, one.dtype) for one in told] == [
        ((None, 3), "float32"),
        ((None, 2), "int32"),
    ]


RULES = {
    "kernel_regularizer": "l2",
    "bias_regularizer": {"class_name": "L1L2", "config": {"l1": 0.25, "l2": 0.5}},
    "activity_regularizer": "l2",
    "kernel_constraint": "max_norm",
    "bias_constraint": "non_neg",
}


def test_dense_with_rules_is_keras_s(same, close_to):
    found = same("Dense", 3, "tanh", shape=(5, 4), **RULES)
    mine = sorted(one.item() for one in found.ours.losses)
    assert len(mine) == 3
    close_to(mine, sorted(one.item() for one in found.theirs.losses))


@pytest.mark.parametrize("layer", [lambda: layers.Dense(3), lambda: layers.Activation("relu")])
def test_masks_go_on(layer):
    masked = layers.Masking()(torch.ones(2, 3, 4))
    assert torch.equal(layer()(masked)._keras_mask, masked._keras_mask)


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
        (lambda: layers.Dense(2, kernel_regularizer="l3"), "Unknown regularizer: 'l3'"),
        (lambda: layers.Dense(2, bias_constraint="max"), "Unknown constraint: 'max'"),
        (lambda: layers.Dense(2, activity_regularizer="l4"), "Unknown regularizer: 'l4'"),
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
