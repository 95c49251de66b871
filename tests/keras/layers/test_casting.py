"""Floats come into layers in the dtype that they compute in, as in Keras 3."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, Sequential, layers, masks, mixed_precision
from elephas_torch.keras.layers import casting

#: Name -> (how to make the layer, shapes of its inputs).
LAYERS = {
    "Dense": (lambda k: k.Dense(2), [(2, 3)]),
    "LSTM": (lambda k: k.LSTM(2), [(2, 3, 4)]),
    "Conv2D": (lambda k: k.Conv2D(2, 2), [(2, 4, 4, 1)]),
    "BatchNormalization": (lambda k: k.BatchNormalization(), [(2, 3)]),
    "ReLU": (lambda k: k.ReLU(), [(2, 3)]),
    "Add": (lambda k: k.Add(), [(2, 3), (2, 3)]),
}


def called(room, name, dtype):
    make, shapes = LAYERS[name]
    tensors = [torch.ones(shape, dtype=dtype) for shape in shapes]
    return make(room)(tensors if len(tensors) > 1 else tensors[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_floats_are_cast(name, dtype):
    assert called(layers, name, dtype).dtype is torch.float32
    assert called(keras.layers, name, dtype).dtype is torch.float32


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
@pytest.mark.parametrize("name", ["Dense", "LSTM"])
def test_products_of_whole_numbers_are_floats(name, dtype):
    assert called(layers, name, dtype).dtype is torch.float32
    assert called(keras.layers, name, dtype).dtype is torch.float32


@pytest.mark.parametrize("name", ["ReLU", "Add"])
def test_whole_numbers_stay_where_nothing_is_weighed(name):
    assert called(layers, name, torch.int64).dtype is torch.int64
    assert called(keras.layers, name, torch.int64).dtype is torch.int64


def test_a_misfit_is_told_also_of_whole_numbers():
    layer = layers.Dense(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"'dense\w*' \(Dense\) expects .* \(None, …, 3\)"):
        layer(torch.ones(2, 4, dtype=torch.int64))


def test_a_built_layer_computes_the_same_of_both():
    layer = layers.Dense(2)
    x = torch.randn(4, 3)
    assert torch.equal(layer(x), layer(x.double()))


def test_models_take_float64():
    inputs = layers.Input((3,))
    graph = Model(inputs, layers.Dense(2)(layers.ReLU()(inputs)))
    stack = Sequential([layers.Input((3,)), layers.Flatten(), layers.Dense(2)])
    for model in (graph, stack):
        x = torch.randn(4, 3)
        assert torch.equal(model(x), model(x.double()))
        assert model(x.double()).dtype is torch.float32


def test_tensors_by_keyword_are_cast_too():
    layer = layers.LSTM(2)
    x, state = torch.randn(2, 3, 4), [torch.randn(2, 2, dtype=torch.float64) for _ in range(2)]
    outputs = layer(x, initial_state=state)
    assert torch.equal(outputs, layer(x, initial_state=[one.float() for one in state]))


def test_gradients_come_back_in_the_dtype_of_the_inputs():
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    layers.Dense(1)(x).sum().backward()
    assert x.grad.dtype is torch.float64


def test_masks_go_along():
    x = torch.ones(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    masks.put(x, mask)
    layer = layers.LSTM(2, return_sequences=True)
    outputs = layer(x)
    assert masks.get(outputs) is mask
    assert torch.equal(outputs[0, 1], outputs[0, 2])


def test_a_layer_made_double_computes_in_float64():
    model = Sequential([layers.Input((3,)), layers.ReLU(), layers.Dense(2)]).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    assert model(x).dtype is torch.float64
    expected = x.relu() @ model.layers[1].kernel + model.layers[1].bias
    torch.testing.assert_close(model(x), expected)


def test_nothing_is_cast_where_torch_does_it():
    layer, x = layers.Dense(2), torch.ones(2, 3, dtype=torch.bfloat16)
    layer.build((None, 3))
    assert casting.as_float32(layer, True, x).dtype is torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert casting.as_float32(layer, True, x) is x


def test_mixed_layers_cast_to_their_own():
    policy = mixed_precision.Policy("mixed_bfloat16")
    x = np.ones((2, 3))
    assert layers.Dense(2, dtype=policy)(torch.as_tensor(x)).dtype is torch.bfloat16
    assert layers.Dense(2)(torch.as_tensor(x)).dtype is torch.float32
