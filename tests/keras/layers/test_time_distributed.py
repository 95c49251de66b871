import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, Sequential, layers

#: Layer, its arguments, the shape of inputs: what is held beside Keras.
CASES = [
    ("Dense", {"units": 3}, (2, 4, 5)),
    ("Dense", {"units": 3, "activation": "relu"}, (2, 4, 5, 2)),
    ("Conv2D", {"filters": 2, "kernel_size": 2}, (2, 3, 4, 5, 2)),
    ("Flatten", {}, (2, 3, 4, 5)),
    ("LSTM", {"units": 3}, (2, 3, 4, 5)),
    ("LSTM", {"units": 3, "return_sequences": True}, (2, 3, 4, 5)),
    ("BatchNormalization", {}, (4, 3, 5)),
    ("Activation", {"activation": "softmax"}, (2, 3, 4)),
]


def both(name, kwargs):
    return tuple(
        room.TimeDistributed(getattr(room, name)(**kwargs, name="inner"))
        for room in (layers, keras.layers)
    )


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
@pytest.mark.parametrize("training", [False, True])
def test_steps_are_keras_s(beside, same_config, close_to, name, kwargs, shape, training):
    ours, theirs = both(name, kwargs)
    beside(ours, theirs, torch.randn(shape), training=training)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close_to(a, b)
    unknown = (None, None, *shape[2:])
    assert ours.compute_output_shape(unknown) == theirs.compute_output_shape(unknown)
    same_config(ours, theirs)


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES[:2])
def test_masks_go_on(beside, name, kwargs, shape):
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1]]).bool()
    beside(*both(name, kwargs), torch.randn(shape), masks=[mask])


def test_layers_that_take_masks_have_each_step_s(beside):
    mask = torch.rand(2, 3, 4) < 0.5
    beside(*both("LSTM", {"units": 3}), torch.randn(2, 3, 4, 5), mask=mask)


def test_models_are_applied_to_each_step():
    inner = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)])
    layer = layers.TimeDistributed(inner)
    x = torch.randn(2, 5, 4)
    outputs = layer(x)
    assert outputs.shape == (2, 5, 2)
    assert torch.allclose(outputs[:, 3], inner(x[:, 3]), atol=1e-6)
    assert layer._at_once()
    assert not torch.equal(layer(x, training=True), outputs)
    inputs = layers.Input((None, 4))
    model = Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, 2)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3, 4)), np.ones((4, 3, 2)), verbose=0)


class Centred(layers.Layer):
    def call(self, inputs):
        return inputs - inputs.mean(0, keepdim=True)


def test_layers_that_may_look_at_other_rows_see_a_step_at_a_time():
    x = torch.randn(3, 4, 2)
    layer = layers.TimeDistributed(Centred())
    assert torch.allclose(layer(x), x - x.mean(0, keepdim=True))
    assert not layer._at_once()
    norm = layers.TimeDistributed(layers.BatchNormalization())
    norm(x)
    assert norm._at_once()
    assert not norm.train()._at_once()


def test_indices_reach_embeddings_whole():
    layer = layers.TimeDistributed(layers.Embedding(5, 2))
    assert layer.input_dtype == torch.int64
    assert layer(torch.ones(2, 3, 4, dtype=torch.int64)).shape == (2, 3, 4, 2)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="TimeDistributed: `layer` must be a layer"):
        layers.TimeDistributed(3)
    layer = layers.TimeDistributed(layers.Dense(3), name="t")
    with pytest.raises(ValueError, match=r"'t' \(TimeDistributed\).*Received: .*\(None, 4\)"):
        layer(torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"steps, \(2, 4\). Received: a mask of shape \(2, 3\)"):
        layer(torch.ones(2, 4, 5), mask=torch.ones(2, 3))
