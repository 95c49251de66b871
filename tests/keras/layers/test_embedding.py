import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

SIZES = {"input_dim": 7, "output_dim": 5}
CASES = [
    ("Embedding", SIZES, (3,)),
    ("Embedding", SIZES, (3, 4)),
    ("Embedding", SIZES, (2, 3, 4)),
    ("Embedding", {**SIZES, "mask_zero": True}, (3, 4)),
    (
        "Embedding",
        {
            **SIZES,
            "embeddings_regularizer": "l2",
            "embeddings_constraint": "unit_norm",
            "activity_regularizer": "l2",
        },
        (3, 4),
    ),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, close_to, name, kwargs, shape):
    found = same(name, shape=shape, indices=7, **kwargs)
    losses = [[one.item() for one in layer.losses] for layer in (found.ours, found.theirs)]
    close_to(*losses)


def test_zero_is_masked_as_in_keras():
    x = torch.tensor([[0, 3, 0], [1, 2, 0]])
    ours, theirs = (of.Embedding(5, 2, mask_zero=True) for of in (layers, keras.layers))
    assert torch.equal(ours(x)._keras_mask, theirs(x)._keras_mask)
    assert ours.supports_masking
    assert not layers.Embedding(5, 2).supports_masking
    assert not hasattr(layers.Embedding(5, 2)(x), "_keras_mask")


def test_indices_of_other_types():
    layer = layers.Embedding(5, 2)
    expected = layer(torch.tensor([[0, 4]]))
    for dtype in (torch.int32, torch.uint8, torch.float32):
        assert torch.equal(layer(torch.tensor([[0, 4]], dtype=dtype)), expected)
    assert layer.input_dtype is torch.int64


def test_first_values_may_be_given():
    matrix = np.arange(6, dtype="float32").reshape(3, 2)
    for weights in (matrix, [matrix]):
        layer = layers.Embedding(3, 2, weights=weights)
        assert layer(torch.tensor([2])).tolist() == [[4.0, 5.0]]


def test_first_values_by_default_are_keras_s():
    layer = layers.Embedding(1000, 10)
    layer.build((None, 3))
    values = layer.embeddings
    assert list(layer.state_dict()) == ["embeddings"]
    assert -0.05 <= values.min() < -0.045
    assert 0.045 < values.max() <= 0.05


def test_shapes():
    layer = layers.Embedding(10, 4, input_length=6)
    assert layer.declared_shape == (None, 6)
    assert layer.compute_output_shape((None, 6)) == (None, 6, 4)
    assert layer.compute_output_shape((None, None)) == (None, None, 4)


def test_an_index_out_of_range_is_named():
    layer = layers.Embedding(5, 2, name="words")
    for bad in (5, -1):
        with pytest.raises(IndexError, match=r"'words' \(Embedding\) takes indices from 0 to 4"):
            layer(torch.tensor([[0, bad]]))
    with pytest.raises(IndexError, match="from 1 to 9"):
        layer(torch.tensor([[1, 9]]))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"input_dim": 0}, "Received: input_dim=0"),
        ({"output_dim": 2.5}, "Received: output_dim=2.5"),
        ({"embeddings_constraint": "unit"}, "Unknown constraint: 'unit'"),
        ({"weights": np.ones((2, 2))}, r"\(3, 2\).*shape \(2, 2\)"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Embedding(**{"input_dim": 3, "output_dim": 2, **kwargs})
