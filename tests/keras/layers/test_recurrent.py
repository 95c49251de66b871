import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

SHAPE = (3, 5, 4)
KINDS = ["LSTM", "GRU"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_outputs_are_keras_s(same, kind, return_sequences, return_state, go_backwards, activation):
    same(
        kind,
        6,
        activation,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        shape=SHAPE,
    )


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("recurrent_activation", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("LSTM", {}),
        ("LSTM", {"unit_forget_bias": False}),
        ("GRU", {}),
        ("GRU", {"reset_after": False}),
    ],
)
def test_arguments_are_keras_s(same, use_bias, recurrent_activation, kind, kwargs):
    kwargs = {"use_bias": use_bias, "recurrent_activation": recurrent_activation, **kwargs}
    same(kind, 4, shape=SHAPE, training=True, **kwargs)
    same(kind, 1, shape=(1, 1, 1), **kwargs)


@pytest.mark.parametrize(
    ("kind", "kwargs"), [("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})]
)
@pytest.mark.parametrize(
    "rates",
    [{"dropout": 0.4}, {"recurrent_dropout": 0.3}, {"dropout": 0.4, "recurrent_dropout": 0.3}],
)
def test_dropout_draws_as_keras_does(kind, kwargs, rates):
    kwargs = {**kwargs, **rates, "return_sequences": True}
    ours, theirs = getattr(layers, kind)(6, **kwargs), getattr(keras.layers, kind)(6, **kwargs)
    x = torch.randn(SHAPE)
    ours.build((None, *SHAPE[1:]))
    theirs.build(SHAPE)
    theirs.set_weights(ours.get_weights())
    torch.manual_seed(3)
    mine = ours(x, training=True)
    torch.manual_seed(3)
    other = theirs(x, training=True)
    np.testing.assert_allclose(mine.detach(), other.detach(), rtol=1e-5, atol=1e-6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert not torch.allclose(mine, ours(x))


def test_dropout_with_a_seed_is_its_own_generator():
    x = torch.randn(SHAPE)
    first, second = (layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5, seed=4) for _ in range(2))
    first.build(SHAPE)
    second.build(SHAPE)
    second.set_weights(first.get_weights())
    state = torch.get_rng_state()
    assert torch.equal(first(x, training=True), second(x, training=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_first_states_may_be_given(kind, activation):
    kwargs = {"activation": activation, "return_state": True}
    ours, theirs = getattr(layers, kind)(6, **kwargs), getattr(keras.layers, kind)(6, **kwargs)
    ours.build((None, *SHAPE[1:]))
    theirs.build(SHAPE)
    theirs.set_weights(ours.get_weights())
    x = torch.randn(SHAPE)
    states = [torch.randn(3, 6) for _ in range(ours.state_count)]
    mine, other = ours(x, initial_state=states), theirs(x, initial_state=states)
    for a, b in zip(mine, other, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    with pytest.raises(ValueError, match=f"must hold {ours.state_count} tensors"):
        ours(x, initial_state=[*states, states[0]])
    with pytest.raises(ValueError, match=r"of shape \(3, 6\). Received: .*\(3, 5\)"):
        ours(x, initial_state=[torch.ones(3, 5)] * len(states))


def test_the_fused_kernels_and_the_loop_agree():
    x = torch.randn(SHAPE)
    for kind in ("LSTM", "GRU"):
        fused = getattr(layers, kind)(6, return_sequences=True)
        looped = getattr(layers, kind)(6, torch.tanh, torch.sigmoid, return_sequences=True)
        fused.build(SHAPE)
        looped.build(SHAPE)
        looped.set_weights(fused.get_weights())
        assert fused.cell.can_fuse()
        assert not looped.cell.can_fuse()
        assert torch.allclose(fused(x), looped(x), atol=1e-6)


def test_weights_have_keras_s_names_shapes_and_first_values():
    lstm, gru = layers.LSTM(4), layers.GRU(4)
    lstm.build((None, None, 3))
    gru.build((None, None, 3))
    assert {n: tuple(w.shape) for n, w in lstm.named_parameters()} == {
        "cell.kernel": (3, 16),
        "cell.recurrent_kernel": (4, 16),
        "cell.bias": (16,),
    }
    assert lstm.bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    product = lstm.recurrent_kernel @ lstm.recurrent_kernel.T
    assert torch.allclose(product, torch.eye(4), atol=1e-5)
    assert {n: tuple(w.shape) for n, w in gru.named_parameters()} == {
        "cell.kernel": (3, 12),
        "cell.recurrent_kernel": (4, 12),
        "cell.bias": (2, 12),
    }


def test_they_follow_weights_that_move():
    for kind in KINDS:
        layer = getattr(layers, kind)(2)
        layer.build(SHAPE)
        before = layer(torch.ones(SHAPE))
        for weight in layer.weights:
            weight.data = weight.detach().clone()
        assert torch.equal(layer(torch.ones(SHAPE)), before)
        for weight in layer.weights:
            weight.data = torch.zeros(weight.shape)
        assert layer(torch.ones(SHAPE)).abs().max() == 0


def test_unknown_lengths_stay_unknown():
    layer = layers.LSTM(4, return_sequences=True)
    assert layer.compute_output_shape((None, None, 3)) == (None, None, 4)
    layer.build((None, None, 3))
    assert layer(torch.ones(2, 9, 3)).shape == (2, 9, 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"units": -3}, "Received: units=-3"),
        ({"activation": "tan"}, "Did you mean 'tanh'"),
        ({"dropout": -0.1}, "Received: dropout=-0.1"),
        ({"recurrent_dropout": 2}, "Received: recurrent_dropout=2"),
        ({"recurrent_regularizer": "l3"}, "Did you mean 'l2'"),
        ({"bias_constraint": "max_nrm"}, "Did you mean 'max_norm'"),
    ],
)
def test_bad_arguments_are_named(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, kind)(**{"units": 3, **kwargs})


def test_what_keras_2_wrote_is_taken():
    layers.LSTM(3, implementation=1, unroll=True, use_cudnn=False, time_major=False)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_that_do_not_fit_name_the_layer(kind):
    layer = getattr(layers, kind)(3, name="r")
    with pytest.raises(ValueError, match=rf"'r' \({kind}\) expects .*Received: .*\(None, 4\)"):
        layer.build((None, 4))
    layer.build((None, 5, 4))
    with pytest.raises(ValueError, match=r"\(None, None, 4\). Received: .*\(2, 5, 3\)"):
        layer(torch.ones(2, 5, 3))
    with pytest.raises(ValueError, match=r"Received: inputs of shape \(2, 4\)"):
        layer(torch.ones(2, 4))
