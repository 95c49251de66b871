import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, layers

#: Arguments beside num_heads=2 and key_dim=3, shapes of query, value and key: beside Keras.
CASES = [
    ({}, [(3, 4, 5), (3, 6, 5)]),
    ({}, [(3, 4, 5), (3, 6, 2), (3, 6, 7)]),
    ({"value_dim": 4, "use_bias": False}, [(3, 4, 5), (3, 6, 5)]),
    ({"output_shape": 7}, [(3, 4, 5), (3, 6, 5)]),
    ({"output_shape": (2, 3)}, [(3, 4, 5), (3, 6, 5)]),
    ({"sliding_window": 2}, [(3, 4, 5), (3, 6, 5)]),
    ({"use_gate": True, "value_dim": 2}, [(3, 4, 5), (3, 6, 5)]),
    ({"attention_axes": (1,)}, [(3, 4, 5), (3, 6, 5)]),
]
#: The same with inputs of more axes.
DEEP = [
    ({}, [(2, 3, 4, 5), (2, 3, 2, 5)]),
    ({"attention_axes": (2,)}, [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ({"attention_axes": (1, 2)}, [(2, 3, 4, 5), (2, 3, 4, 5)]),
    ({"attention_axes": -2}, [(2, 3, 4, 5), (2, 3, 2, 5)]),
    ({"attention_axes": 1, "output_shape": 2}, [(2, 3, 4, 5), (2, 2, 4, 5)]),
]
#: Rows padded right, left, and left out as a whole.
QUERY_MASK = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()
VALUE_MASK = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()


def both(**kwargs):
    return (
        layers.MultiHeadAttention(2, 3, **kwargs),
        keras.layers.MultiHeadAttention(2, 3, **kwargs),
    )


@pytest.mark.parametrize(("kwargs", "shapes"), CASES)
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_heads_are_keras_s(beside, same_config, kwargs, shapes, scores, causal):
    ours, theirs = both(**kwargs)
    x = [torch.randn(shape) for shape in shapes]
    call = {"return_attention_scores": scores, "use_causal_mask": causal}
    beside(ours, theirs, *x, **call)
    beside(ours, theirs, *x, masks=[QUERY_MASK, VALUE_MASK, VALUE_MASK][: len(x)], **call)
    same_config(ours, theirs)
    known = [(None, *shape[1:]) for shape in shapes]
    assert ours.compute_output_shape(*known) == theirs.compute_output_shape(*known)


@pytest.mark.parametrize(("kwargs", "shapes"), DEEP)
@pytest.mark.parametrize("scores", [False, True])
def test_more_axes_are_keras_s(beside, same_config, kwargs, shapes, scores):
    ours, theirs = both(**kwargs)
    # Keras's softmax over several axes rounds more than over one.
    x = [0.3 * torch.randn(shape) for shape in shapes]
    beside(ours, theirs, *x, return_attention_scores=scores)
    same_config(ours, theirs)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("masks", [[None, None], [QUERY_MASK, None], [None, VALUE_MASK]])
def test_dropout_and_masks_are_keras_s(beside, dropout, training, masks):
    ours, theirs = both(dropout=dropout)
    seen = torch.rand(3, 4, 6) < 0.5
    x = [torch.randn(3, 4, 5), torch.randn(3, 6, 5)]
    beside(ours, theirs, *x, masks=masks, training=training)
    beside(ours, theirs, *x, masks=masks, training=training, attention_mask=seen)
    beside(ours, theirs, *x, masks=masks, attention_mask=seen, use_causal_mask=True)
    beside(ours, theirs, *x, attention_mask=seen[:1, :1], return_attention_scores=True)
    beside(ours, theirs, *x, value_mask=VALUE_MASK, key_mask=VALUE_MASK.flip(1))


def test_a_query_s_mask_may_be_given():
    # Keras takes the argument and makes nothing of it.
    layer = layers.MultiHeadAttention(2, 3)
    x, marked = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    marked.copy_(x)
    marked._keras_mask = QUERY_MASK
    given = layer(x, x, query_mask=QUERY_MASK)
    assert torch.equal(given, layer(marked, x))
    assert given._keras_mask is QUERY_MASK
    assert marked._keras_mask is QUERY_MASK


def test_weights_are_keras_s_in_order_and_shape():
    ours, theirs = both(value_dim=4, use_gate=True)
    x = torch.ones(2, 3, 5)
    ours(x, x)
    theirs(x, x)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [name for name, _ in ours.named_children()] == [
        "_query_dense", "_key_dense", "_gate_dense", "_value_dense", "_output_dense",
    ]  # fmt: skip


def test_regularizers_count_for_each_projection(close_to):
    rules = {
        "kernel_regularizer": "l2",
        "bias_regularizer": "l2",
        "activity_regularizer": "l2",
        "kernel_constraint": "max_norm",
        "bias_initializer": "ones",
    }
    ours, theirs = both(**rules)
    x = torch.randn(3, 4, 5)
    ours(x, x)
    theirs(x, x)
    theirs.set_weights(ours.get_weights())
    ours(x, x)
    theirs(x, x)
    assert len(ours.losses) == len(theirs.losses) == 12
    close_to(sum(ours.losses).detach(), sum(theirs.losses).detach())
    assert len(ours.constrained_weights()) == 4


def test_frozen_heads_have_no_trainable_weights():
    layer = layers.MultiHeadAttention(2, 3, trainable=False)
    layer(torch.ones(2, 3, 4), torch.ones(2, 3, 4))
    assert layer.trainable_weights == []
    assert len(layer.weights) == 8


def test_it_is_part_of_functional_models():
    query, value = layers.Input((4, 5)), layers.Input((6, 5))
    layer = layers.MultiHeadAttention(2, 3)
    outputs, scores = layer(query, value, return_attention_scores=True)
    assert outputs.shape == (None, 4, 5)
    assert scores.shape == (None, 2, 4, 6)
    model = Model([query, value], [outputs, scores])
    found = model([torch.randn(3, 4, 5), torch.randn(3, 6, 5)])
    assert [tuple(one.shape) for one in found] == [(3, 4, 5), (3, 2, 4, 6)]


def test_a_block_of_a_transformer_is_keras_s():
    ids = np.array([[1, 2, 3, 0], [3, 0, 0, 0]])
    ours, theirs = (
        block(room, model) for room, model in ((layers, Model), (keras.layers, keras.Model))
    )
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(
        ours.predict(ids, verbose=0), theirs.predict(ids, verbose=0), rtol=1e-5, atol=1e-6
    )


def block(room, model):
    ids = room.Input((4,), dtype="int32")
    x = room.Embedding(5, 6, mask_zero=True)(ids)
    x = room.Add()([x, room.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)])
    return model(ids, room.Dense(2)(room.LSTM(3)(x)))


#: Arguments and shapes that are held beside Keras's.
GROUPED = [
    ({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, 2),
    ({"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 2, "use_bias": False}, 3),
    ({"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 1, "use_gate": True}, 2),
    ({"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 1, "sliding_window": 2}, 2),
    ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.3}, 2),
]


@pytest.mark.parametrize(("kwargs", "count"), GROUPED)
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore:Layer '(query|key|value|gate)' .*passed an input with a mask")
def test_grouped_heads_are_keras_s(beside, same_config, kwargs, count, scores, causal, masked):
    ours = layers.GroupQueryAttention(**kwargs)
    theirs = keras.layers.GroupQueryAttention(**kwargs)
    x = [torch.randn(3, 4, 5), torch.randn(3, 6, 5), torch.randn(3, 6, 5)][:count]
    masks = [QUERY_MASK, VALUE_MASK, VALUE_MASK][:count] if masked else None
    call = {"return_attention_scores": scores, "use_causal_mask": causal}
    beside(ours, theirs, *x, masks=masks, training=not masked, **call)
    same_config(ours, theirs)


def test_grouped_heads_are_part_of_functional_models():
    query, value = layers.Input((4, 5)), layers.Input((6, 5))
    layer = layers.GroupQueryAttention(2, 4, 2)
    outputs, scores = layer(query, value, return_attention_scores=True)
    assert outputs.shape == layer(query, value).shape == (None, 4, 5)
    assert scores.shape == (None, 4, 4, 6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_heads": 0}, "MultiHeadAttention: .*Received: num_heads=0"),
        ({"key_dim": 1.5}, r"Received: key_dim=1\.5"),
        ({"value_dim": -1}, "Received: value_dim=-1"),
        ({"dropout": 3}, "Received: dropout=3"),
        ({"sliding_window": 0}, "Received: sliding_window=0"),
        ({"attention_axes": "1"}, "Received: attention_axes='1'"),
        ({"output_shape": 1.5}, r"Received: output_shape=1\.5"),
        ({"flash_attention": True, "dropout": 0.1}, "knows no dropout"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.MultiHeadAttention(**{"num_heads": 2, "key_dim": 3, **kwargs})


def test_inputs_that_do_not_fit_are_named():
    layer = layers.MultiHeadAttention(2, 3, name="m", flash_attention=True)
    x = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match=r"'m' .*value of shape \(None, 3, 4\), key of shape"):
        layer(x, x, torch.ones(2, 5, 4))
    with pytest.raises(ValueError, match="as many axes"):
        layer(x, torch.ones(2, 3, 3, 4))
    layer(x, x)
    with pytest.raises(ValueError, match=r"'m' .* lengths \(4, 4, 4\)\. .*\(2, 3, 5\)"):
        layer(torch.ones(2, 3, 5), x)
    with pytest.raises(ValueError, match="gives no scores"):
        layer(x, x, return_attention_scores=True)
    with pytest.raises(ValueError, match=r"masks must broadcast .*\(2, 1, 5\)"):
        layer(
            x,
            x,
            value_mask=torch.ones(2, 5),
            query_mask=torch.ones(2, 3),
            key_mask=torch.ones(2, 3),
        )
    with pytest.raises(ValueError, match="Received: num_query_heads=3, num_key_value_heads=2"):
        layers.GroupQueryAttention(2, 3, 2)
    with pytest.raises(ValueError, match="of 3 axes"):
        layers.GroupQueryAttention(2, 4, 2)(torch.ones(2, 3), torch.ones(2, 3))
