import keras
import numpy as np
import pytest
import torch

import elephas_torch.keras
from elephas_torch.keras import Model, Sequential, layers
from elephas_torch.keras.serialization import register_keras_serializable

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


#: What of recurrent layers is held beside Keras under masks: name, arguments.
LAYERS = [
    ("LSTM", {}),
    ("LSTM", {"activation": "relu"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "relu"}),
    ("SimpleRNN", {"activation": "sigmoid"}),
]
#: Rows with all steps, padded right, padded left, with holes, with one step, with none.
MASK = torch.tensor(
    [
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1],
        [0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ],
    dtype=torch.bool,
)


def both(name, *args, **kwargs):
    return getattr(layers, name)(*args, **kwargs), getattr(keras.layers, name)(*args, **kwargs)


@pytest.mark.parametrize(("kind", "kwargs"), LAYERS)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_masked_steps_are_keras_s(
    beside, kind, kwargs, return_sequences, return_state, zero_output_for_mask
):
    flags = {
        "return_sequences": return_sequences,
        "return_state": return_state,
        "go_backwards": return_sequences != return_state,
        "zero_output_for_mask": zero_output_for_mask,
    }
    ours, theirs = both(kind, 3, **kwargs, **flags)
    beside(ours, theirs, torch.randn(6, 5, 2), masks=[MASK])
    states = [torch.randn(6, 3) for _ in range(2 if kind == "LSTM" else 1)]
    beside(ours, theirs, torch.randn(6, 5, 2), mask=MASK, initial_state=states)


@pytest.mark.parametrize(("kind", "kwargs"), LAYERS)
@pytest.mark.parametrize(
    "rates", [{"dropout": 0.4}, {"dropout": 0.2, "recurrent_dropout": 0.3}, {"dropout": 1.0}]
)
def test_dropout_under_masks_is_keras_s(beside, kind, kwargs, rates):
    ours, theirs = both(kind, 3, **kwargs, **rates, return_sequences=True)
    beside(ours, theirs, torch.randn(6, 5, 2), masks=[MASK], training=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "kwargs"), LAYERS)
def test_any_mask_is_keras_s(beside, kind, kwargs, seed):
    torch.manual_seed(seed)
    mask = torch.rand(4, 6) < torch.rand(4, 1)
    ours, theirs = both(kind, 2, **kwargs, return_sequences=True, return_state=True)
    beside(ours, theirs, torch.randn(4, 6, 3), mask=mask)


def test_masks_go_on_with_sequences_alone():
    x = torch.randn(6, 5, 2)
    x._keras_mask = MASK
    assert layers.GRU(3, return_sequences=True)(x)._keras_mask is MASK
    assert not hasattr(layers.GRU(3)(x), "_keras_mask")
    outputs, state = layers.GRU(3, return_sequences=True, return_state=True)(x)
    assert outputs._keras_mask is MASK
    assert not hasattr(state, "_keras_mask")


def test_masks_of_inputs_count_for_nothing_beside_first_states(beside):
    # A mask has to be given by hand there, as in Keras.
    ours, theirs = both("GRU", 3, return_sequences=True)
    beside(ours, theirs, torch.randn(6, 5, 2), masks=[MASK], initial_state=torch.randn(6, 3))


def test_a_mask_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"'m' \(LSTM\).* \(2, 5\). Received: .* \(2, 4\)"):
        layers.LSTM(3, name="m")(torch.ones(2, 5, 3), mask=torch.ones(2, 4))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("masked", [False, True])
def test_stateful_layers_go_on_where_they_stopped(close_to, kind, masked):
    ours, theirs = both(kind, 3, stateful=True, return_sequences=True)
    first, second = torch.randn(6, 5, 2), torch.randn(6, 5, 2)
    call = {"mask": MASK} if masked else {}
    theirs(first)
    theirs.reset_state()
    ours.build((None, 5, 2))
    ours.set_weights(theirs.get_weights())
    assert ours.states is None
    assert len(ours.weights) == len(theirs.weights) == 3
    for x in (first, second):
        close_to(ours(x, **call).detach(), theirs(x, **call).detach())
        for a, b in zip(ours.states, theirs.states, strict=True):
            close_to(a.numpy(), b.numpy())
    ours.reset_state()
    theirs.reset_states()
    assert all(not one.any() for one in ours.states)
    close_to(ours(first).detach(), theirs(first).detach())
    with pytest.raises(ValueError, match=r"as the first one, 6\. Received: .*4, 5, 2"):
        ours(torch.ones(4, 5, 2))


def test_states_may_be_set_and_are_of_use_after_inference():
    layer = layers.LSTM(3, stateful=True)
    layer.build((None, 4, 1))
    with torch.inference_mode():
        layer(torch.ones(2, 4, 1))
    layer(torch.ones(2, 4, 1)).sum().backward()
    layer.reset_states([torch.zeros(2, 3), torch.ones(2, 3)])
    assert [one.sum() for one in layer.states] == [0, 6]
    assert not any(one.requires_grad for one in layer.states)


def test_batches_of_a_stateful_model_follow_each_other():
    model = Sequential([layers.Input((4, 1)), layers.LSTM(3, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4, 1)).astype("float32")
    whole = layers.LSTM(3)
    whole.build((None, 8, 1))
    whole.set_weights(model.layers[0].get_weights())
    model.predict(x, batch_size=4)
    end = whole(torch.tensor(np.concatenate([x[:4], x[4:]], axis=1)))
    assert torch.allclose(model.layers[0].states[0], end, atol=1e-6)
    model.layers[0].reset_states()
    model.fit(x, np.ones((8, 1)), batch_size=4, epochs=2, shuffle=False, verbose=0)


RULES = {
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l2",
    "bias_regularizer": "l2",
    "kernel_constraint": "max_norm",
    "recurrent_constraint": "non_neg",
    "bias_constraint": "unit_norm",
}


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_regularizers_and_constraints_are_keras_s(same_config, close_to, kind):
    # Keras takes SimpleRNN's activity_regularizer and makes nothing of it.
    activity = {} if kind == "SimpleRNN" else {"activity_regularizer": "l2"}
    ours, theirs = both(kind, 3, **RULES, **activity, bias_initializer="ones")
    x = torch.randn(SHAPE)
    ours(x)
    theirs(x)
    theirs.set_weights(ours.get_weights())
    ours(x)
    theirs(x)
    mine, other = ours.losses, theirs.losses
    assert len(mine) == len(other) == 3 + len(activity)
    close_to(sum(mine).detach(), sum(other).detach())
    found = [type(rule).__name__ for _, rule in ours.constrained_weights()]
    assert found == ["MaxNorm", "NonNeg", "UnitNorm"]
    same_config(ours, theirs)


def test_what_simple_rnn_s_activity_costs_is_added():
    layer = layers.SimpleRNN(3, activity_regularizer="l2")
    outputs = layer(torch.randn(SHAPE))
    assert layer.losses[0].item() == pytest.approx(0.01 * outputs.square().sum().item() / 3)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_frozen_layers_have_no_trainable_weights(kind):
    layer = getattr(layers, kind)(3, trainable=False)
    layer(torch.ones(SHAPE))
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 3
    assert layer.units == layer.cell.units == 3
    assert layer.kernel is layer.cell.kernel
    with pytest.raises(AttributeError, match="no attribute 'unts'"):
        _ = layer.unts


def test_the_old_names_for_gpus_are_the_layers_themselves():
    assert layers.CuDNNLSTM is layers.LSTM
    assert layers.CuDNNGRU is layers.GRU


CELLS = [
    ("LSTMCell", {}),
    ("LSTMCell", {"activation": "relu", "use_bias": False}),
    ("GRUCell", {}),
    ("GRUCell", {"reset_after": False}),
    ("SimpleRNNCell", {}),
]


@pytest.mark.parametrize(("kind", "kwargs"), CELLS)
@pytest.mark.parametrize(
    "rates", [{}, {"dropout": 0.3}, {"dropout": 0.3, "recurrent_dropout": 0.2}]
)
def test_cells_are_keras_s(beside, same_config, kind, kwargs, rates):
    ours, theirs = both(kind, 4, **kwargs, **rates)
    states = [torch.randn(2, 4) for _ in range(ours.state_count)]
    beside(ours, theirs, torch.randn(2, 3), states, training=not rates)
    same_config(ours, theirs)
    assert ours.state_size == theirs.state_size
    made = ours.get_initial_state(batch_size=5)
    assert [tuple(one.shape) for one in made] == [(5, 4)] * ours.state_count


@pytest.mark.parametrize(("kind", "kwargs"), CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_rnn_of_a_cell_is_keras_s(beside, same_config, kind, kwargs, masked):
    rate = {"dropout": 0.3, "recurrent_dropout": 0.2}
    (cell, other) = both(kind, 4, **kwargs, **rate)
    flags = {"return_sequences": True, "return_state": True, "go_backwards": True}
    ours, theirs = layers.RNN(cell, **flags), keras.layers.RNN(other, **flags)
    mask = [MASK] if masked else None
    beside(ours, theirs, torch.randn(6, 5, 2), masks=mask, training=True)
    beside(ours, theirs, torch.randn(6, 5, 2), masks=mask)


def stack(room, rate=0.0):
    return [
        room.LSTMCell(4, dropout=rate),
        room.SimpleRNNCell(2, dropout=rate),
        room.GRUCell(3, dropout=rate, recurrent_dropout=rate),
    ]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_stacked_cells_are_keras_s(beside, masked, rate):
    flags = {"return_sequences": True, "return_state": True}
    ours = layers.RNN(stack(layers, rate), **flags)
    theirs = keras.layers.RNN(stack(keras.layers, rate), **flags)
    mask = [MASK] if masked else None
    beside(ours, theirs, torch.randn(6, 5, 2), masks=mask, training=rate > 0)
    assert ours.compute_output_shape((None, 5, 2)) == theirs.compute_output_shape((None, 5, 2))
    again = layers.RNN.from_config(ours.get_config())
    again.build((None, 5, 2))
    again.set_weights(ours.get_weights())
    x = torch.randn(2, 5, 2)
    assert torch.equal(again(x)[0], ours(x)[0])
    assert again.cell.output_size == 3
    assert again.cell.state_size == theirs.cell.state_size


def test_stacked_cells_keep_their_states():
    layer = layers.RNN(stack(layers), stateful=True)
    x = torch.randn(2, 5, 2)
    first = layer(x)
    assert not torch.allclose(layer(x), first)
    layer.reset_state()
    assert torch.allclose(layer(x), first)


@register_keras_serializable("tests")
class Minimal(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.inner = self.add_weight(shape=(self.units, self.units), name="inner")

    def call(self, inputs, states):
        output = inputs @ self.kernel + states[0] @ self.inner
        return output, [output]


def test_cells_of_one_s_own_are_gone_through():
    layer = layers.RNN(Minimal(3), return_sequences=True)
    x = torch.randn(2, 4, 5)
    outputs = layer(x)
    kernel, inner = layer.get_weights()
    last = np.zeros((2, 3))
    for step in range(4):
        last = x[:, step].numpy() @ kernel + last @ inner
        np.testing.assert_allclose(outputs[:, step].detach(), last, atol=1e-5)
    again = layers.RNN.from_config(layer.get_config())
    assert isinstance(again.cell, Minimal)
    assert again.compute_output_shape((None, 4, 5)) == (None, 4, 3)
    stacked = layers.RNN([Minimal(3), Minimal(2)], return_state=True)
    assert [tuple(one.shape) for one in stacked(x)] == [(2, 2), (2, 3), (2, 2)]


def test_what_is_no_cell_is_named():
    with pytest.raises(ValueError, match=r"`state_size`.*Received: cell=Dense"):
        layers.RNN(layers.Dense(3))
    with pytest.raises(ValueError, match=r"Received: cells\[1\]=3"):
        layers.StackedRNNCells([layers.LSTMCell(3), 3])
    with pytest.raises(ValueError, match="`cells` is empty"):
        layers.StackedRNNCells([])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_encoders_hand_their_states_to_decoders(kind):
    source, target = layers.Input((None, 3)), layers.Input((None, 2))
    _, *states = getattr(layers, kind)(4, return_state=True)(source)
    decoder = getattr(layers, kind)(4, return_sequences=True, return_state=True)
    outputs, *_ = decoder(target, initial_state=states)
    assert outputs.shape == (None, None, 4)
    model = Model([source, target], layers.Dense(2)(outputs))
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(6, 5, 3)), rng.normal(size=(6, 4, 2))]
    model.fit(x, x[1], epochs=1, batch_size=3, verbose=0)
    twin = keras_seq2seq(kind)
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model.predict(x, verbose=0), twin.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def keras_seq2seq(kind):
    source, target = keras.Input((None, 3)), keras.Input((None, 2))
    layer = getattr(keras.layers, kind)
    _, *states = layer(4, return_state=True)(source)
    outputs, *_ = layer(4, return_sequences=True, return_state=True)(target, initial_state=states)
    return keras.Model([source, target], keras.layers.Dense(2)(outputs))


def test_embeddings_masks_reach_recurrent_layers():
    ids = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])
    model = Sequential(
        [layers.Input((None,)), layers.Embedding(4, 3, mask_zero=True), layers.LSTM(2)]
    )
    short = model.predict(ids[:1, :2], verbose=0)
    np.testing.assert_allclose(model.predict(ids, verbose=0)[:1], short, atol=1e-6)


def test_a_stateful_model_of_a_fixed_batch_trains_and_starts_anew():
    def made(of):
        return of.Sequential(
            [
                of.Input(batch_shape=(4, 3, 2)),
                of.layers.LSTM(3, stateful=True),
                of.layers.Dense(1),
            ]
        )

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3, 2)).astype("float32"), rng.normal(size=(8, 1))
    ours, theirs = made(elephas_torch.keras), made(keras)
    theirs.set_weights(ours.get_weights())
    first = ours.predict(x, batch_size=4, verbose=0)
    np.testing.assert_allclose(first, theirs.predict(x, batch_size=4, verbose=0), rtol=1e-5)
    assert not np.allclose(ours.predict(x, batch_size=4, verbose=0), first)
    ours.reset_states()
    np.testing.assert_array_equal(ours.predict(x, batch_size=4, verbose=0), first)
    ours.compile("sgd", "mse")
    ours.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert np.isfinite(ours.evaluate(x, y, batch_size=4, verbose=0))


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_bad_arguments_are_those_of_the_layer_that_the_user_made(name):
    layer, cell = getattr(layers, name), getattr(layers, f"{name}Cell")
    for wrong in ({"units": 0}, {"units": 2, "dropout": 3}, {"units": 2, "recurrent_dropout": -1}):
        with pytest.raises(ValueError, match=f"^{name}: `"):
            layer(**wrong)
        with pytest.raises(ValueError, match=f"^{name}Cell: `"):
            cell(**wrong)
    with pytest.raises(ValueError, match=f"^{name}: `units`"):
        layers.Bidirectional(layer(-1))
    assert "_owner" not in layer(2).cell.get_config()
