"""Inputs with an axis too few or too many: the message says what to do, and doing it helps."""

import re

import pytest
import torch

from elephas_torch.keras import Sequential, layers


@pytest.mark.parametrize(
    ("layer", "shape", "form"),
    [
        (layers.Conv1D(2, 1), (4, 5), "(batch, steps, channels)"),
        (layers.Conv2D(2, 1), (4, 5, 6), "(batch, height, width, channels)"),
        (layers.Conv3D(2, 1), (4, 5, 6, 3), "(batch, depth, height, width, channels)"),
        (layers.MaxPooling2D(), (4, 6, 6), "(batch, height, width, channels)"),
        (layers.GlobalAveragePooling1D(), (4, 6), "(batch, steps, channels)"),
        (layers.UpSampling2D(), (4, 6, 6), "(batch, height, width, channels)"),
        (layers.ZeroPadding2D(), (4, 6, 6), "(batch, height, width, channels)"),
        (layers.SpatialDropout1D(0.5), (4, 6), "(batch, steps, channels)"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_axis_of_channels_is_missing(layer, shape, form):
    x = torch.ones(shape)
    wanted = re.escape(f"It takes {form}. Add an axis of channels: x[..., None].")
    with pytest.raises(ValueError, match=wanted):
        layer(x)
    with pytest.raises(ValueError, match=wanted):
        layer(layers.Input(shape[1:]))
    assert len(layer(x[..., None])) == 4


def test_channels_first():
    layer, x = layers.Conv2D(2, 1, data_format="channels_first"), torch.ones(4, 5, 6)
    with pytest.raises(ValueError, match=r"\(batch, channels, height, width\)\..* x\[:, None\]\."):
        layer(x)
    assert layer(x[:, None]).shape == (4, 2, 5, 6)


def test_images_in_steps():
    x = torch.ones(2, 3, 5, 5, 1)
    with pytest.raises(ValueError, match="into a TimeDistributed"):
        layers.Conv2D(2, 1)(x)
    assert layers.TimeDistributed(layers.Conv2D(2, 1))(x).shape == (2, 3, 5, 5, 2)


def test_flat_images():
    x = torch.ones(2, 25)
    with pytest.raises(ValueError, match="Put a Reshape before it"):
        layers.Conv2D(2, 1)(x)
    assert layers.Conv2D(2, 1)(layers.Reshape((5, 5, 1))(x)).shape == (2, 5, 5, 2)


RECURRENT = [
    layers.LSTM(2), layers.GRU(2), layers.SimpleRNN(2), layers.Bidirectional(layers.LSTM(2)),
]  # fmt: skip


@pytest.mark.parametrize("layer", RECURRENT, ids=lambda one: type(one).__name__)
def test_sequences(layer):
    x = torch.ones(4, 5)
    with pytest.raises(ValueError, match=r"\(batch, steps, features\)\. x\[\.\.\., None\] makes"):
        layer(x)
    with pytest.raises(ValueError, match=r"Put a Reshape or a TimeDistributed\(Flatten\(\)\)"):
        layer(torch.ones(2, 3, 4, 5))
    assert len(layer(x[..., None])) == 4


def test_in_a_model_the_place_is_told_too():
    with pytest.raises(
        ValueError, match=r"(?s)x\[\.\.\., None\]\.\n  In layer 0 of the model, 'c'"
    ):
        Sequential([layers.Input((28, 28)), layers.Conv2D(2, 3, name="c")])


def test_another_length_gets_no_hint():
    for layer, shape in ((layers.LSTM(2), (2, 3, 4)), (layers.Conv1D(2, 1), (2, 3, 4))):
        layer.build(shape)
        with pytest.raises(ValueError, match=r"Received: inputs of shape \(2, 3, 5\)$"):
            layer(torch.ones(2, 3, 5))
