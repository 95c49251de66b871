import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, Sequential, layers

MERGES = ["concat", "sum", "mul", "ave", None]
#: Rows with all steps, padded right, padded left, with holes, with none.
MASK = torch.tensor(
    [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool
)


def both(kind="LSTM", units=3, merge_mode="concat", **kwargs):
    return tuple(
        room.Bidirectional(
            getattr(room, kind)(units, name="inner", **kwargs), merge_mode=merge_mode
        )
        for room in (layers, keras.layers)
    )


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
@pytest.mark.parametrize("merge_mode", MERGES)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
def test_outputs_are_keras_s(beside, same_config, kind, merge_mode, return_sequences, return_state):
    ours, theirs = both(
        kind,
        merge_mode=merge_mode,
        return_sequences=return_sequences,
        return_state=return_state,
    )
    x = torch.randn(5, 4, 2)
    beside(ours, theirs, x)
    if return_state:  # Keras fails to find the masks of states
        beside(ours, theirs, x, mask=MASK)
    else:
        beside(ours, theirs, x, masks=[MASK])
    told, known = (one.compute_output_shape((None, 4, 2)) for one in (ours, theirs))
    assert list(told) == list(known)
    same_config(ours, theirs)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_first_states_are_keras_s(beside, kind):
    ours, theirs = both(kind, return_state=True, return_sequences=True)
    states = [torch.randn(5, 3) for _ in range(4 if kind == "LSTM" else 2)]
    beside(ours, theirs, torch.randn(5, 4, 2), initial_state=states)


@pytest.mark.parametrize("rates", [{"dropout": 0.4}, {"dropout": 0.4, "recurrent_dropout": 0.2}])
def test_dropout_is_keras_s(beside, rates):
    beside(*both("GRU", **rates), torch.randn(5, 4, 2), training=True)


def test_a_backward_layer_may_be_given(beside, same_config):
    made = [
        room.Bidirectional(
            room.LSTM(3, return_sequences=True, name="a"),
            backward_layer=room.GRU(2, return_sequences=True, go_backwards=True, name="b"),
        )
        for room in (layers, keras.layers)
    ]
    beside(*made, torch.randn(5, 4, 2), masks=[MASK])
    same_config(*made)


def test_cells_may_be_gone_through_both_ways(beside):
    made = [
        room.Bidirectional(room.RNN([room.LSTMCell(3), room.GRUCell(2)]))
        for room in (layers, keras.layers)
    ]
    beside(*made, torch.randn(5, 4, 2), masks=[MASK])


@pytest.mark.parametrize("merge_mode", ["concat", None])
def test_masks_go_on_with_sequences_alone(merge_mode):
    x = torch.randn(5, 4, 2)
    x._keras_mask = MASK
    layer = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode)
    found = layer(x)
    for one in found if merge_mode is None else [found]:
        assert one._keras_mask is MASK
    several = layers.Bidirectional(
        layers.GRU(2, return_sequences=True, return_state=True), merge_mode
    )(x)
    masks = [getattr(one, "_keras_mask", None) for one in several]
    assert masks == ([MASK] if merge_mode else [MASK, MASK]) + [None, None]


def test_states_are_kept(close_to):
    ours, theirs = both("GRU", stateful=True)
    x = torch.randn(5, 4, 2)
    theirs(x)
    theirs.reset_state()
    ours.build((None, 4, 2))
    ours.set_weights(theirs.get_weights())
    assert ours.states is None
    for _ in range(2):
        close_to(ours(x).detach(), theirs(x).detach())
    assert len(ours.states) == len(theirs.states) == 2
    ours.reset_states()
    assert not any(one.any() for one in ours.states)


def test_the_layer_is_copied():
    layer = layers.LSTM(3, name="l")
    wrapped = layers.Bidirectional(layer)
    assert wrapped.forward_layer is not layer
    assert wrapped.forward_layer.name == "forward_l"
    assert wrapped.backward_layer.name == "backward_l"
    wrapped(torch.ones(2, 4, 2))
    assert not layer.built
    again = layers.Bidirectional(layers.LSTM(3), weights=wrapped.get_weights())
    x = torch.randn(2, 4, 2)
    assert torch.equal(again(x), wrapped(x))
    wrapped.trainable = False
    assert wrapped.trainable_weights == []


def test_it_is_part_of_models():
    inputs = layers.Input((None, 2))
    outputs, *states = layers.Bidirectional(layers.LSTM(3, return_state=True))(inputs)
    assert outputs.shape == (None, 6)
    assert [one.shape for one in states] == [(None, 3)] * 4
    model = Model(inputs, [outputs, *states])
    assert [tuple(one.shape) for one in model(torch.ones(2, 5, 2))] == [(2, 6)] + [(2, 3)] * 4
    model = Sequential(
        [
            layers.Input((None,)),
            layers.Embedding(5, 2, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    model.fit(ids, np.ones((2, 1)), verbose=0)
    found = model.predict(ids, verbose=0)[:1]
    np.testing.assert_allclose(model.predict(ids[:1, :2], verbose=0), found, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "kwargs", "message"),
    [
        (layers.Dense(3), {}, "must be a recurrent layer.*Received: layer=Dense"),
        (layers.LSTM(3), {"merge_mode": "avg"}, "Did you mean 'ave'"),
        (layers.LSTM(3), {"backward_layer": 3}, "Received: backward_layer=3"),
        (layers.LSTM(3), {"backward_layer": layers.LSTM(3)}, "go_backwards=False for both"),
        (
            layers.LSTM(3),
            {"backward_layer": layers.LSTM(3, go_backwards=True, return_state=True)},
            "same `return_state`",
        ),
    ],
)
def test_what_does_not_fit_is_named(layer, kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Bidirectional(layer, **kwargs)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"'b' \(Bidirectional\) .*Received: .*\(None, 4\)"):
        layers.Bidirectional(layers.LSTM(3), name="b").build((None, 4))
