import json
import pickle
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.flat import Flat
from elephas_torch.keras import layers, models

DOCS = Path(__file__).parents[3] / "docs" / "layers.md"


def stack(of, start):
    return [
        start((12, 12, 1)),
        of.Conv2D(4, 3, activation="relu", padding="same"),
        of.BatchNormalization(),
        of.MaxPooling2D(),
        of.Dropout(0.2),
        of.Conv2D(5, 2, strides=2),
        of.GlobalAveragePooling2D(),
        of.Reshape((5, 1)),
        of.Conv1D(3, 2, padding="causal"),
        of.LSTM(3, return_sequences=True),
        of.GRU(4, return_sequences=True),
        of.AveragePooling1D(2),
        of.Flatten(),
        of.Dense(3),
        of.Activation("softmax"),
    ]


def test_a_model_of_all_kinds_travels_to_keras_and_back():
    ours = models.Sequential(stack(layers, models.Input))
    theirs = keras.models.model_from_json(ours.to_json())
    back = models.model_from_json(theirs.to_json())
    weights = [w + 0.1 for w in ours.get_weights()]
    for model in (ours, theirs, back):
        model.set_weights(weights)
    x = np.random.default_rng(0).normal(size=(3, 12, 12, 1)).astype("float32")
    expected = theirs(x, training=False).detach()
    for model in (ours, back):
        np.testing.assert_allclose(model(torch.tensor(x)).detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_model_of_all_kinds_computes_the_same_from_one_flat_vector():
    model = models.Sequential(stack(layers, models.Input))
    x = torch.randn(3, 12, 12, 1)
    torch.manual_seed(0)
    expected = model(x, training=True)
    expected.square().sum().backward()
    gradients = torch.cat([w.grad.flatten() for w in model.trainable_weights])
    state = [w.clone() for w in model.non_trainable_weights]
    flat = Flat(model)
    torch.manual_seed(0)
    result = model(x, training=True)
    result.square().sum().backward()
    assert torch.equal(result, expected)
    assert torch.allclose(flat.gradients, gradients, atol=1e-6)
    assert not torch.equal(flat.state, torch.cat(state))


def test_layers_can_be_pickled():
    for layer in stack(layers, models.Input)[1:]:
        assert json.dumps(pickle.loads(pickle.dumps(layer)).get_config()) == json.dumps(
            layer.get_config()
        )


def test_a_subclass_may_take_the_mode():
    class Doubled(layers.Dense):
        def call(self, inputs, training=None):
            return super().call(inputs) * (2 if training else 1)

    layer = Doubled(3)
    x = torch.ones(2, 4)
    assert torch.equal(layer(x, training=True), 2 * layer(x))


def test_layers_are_modules_in_any_torch_model():
    net = nn.Sequential(layers.Dense(8, "relu", input_dim=4), nn.Linear(8, 2))
    net[0].build((None, 4))
    assert net(torch.ones(3, 4)).shape == (3, 2)
    assert set(dict(net.named_parameters())) == {"0.kernel", "0.bias", "1.weight", "1.bias"}


def test_what_is_exported_is_what_the_docs_list():
    listed = set(re.findall(r"^\| `(\w+)", DOCS.read_text(), re.MULTILINE))
    classes = {getattr(layers, name).__name__ for name in layers.__all__}
    assert listed == classes - {"Layer"}
    for name in layers.__all__:
        assert name in DOCS.read_text()


@pytest.mark.parametrize("name", ["activity_regularizer", "kernel_regularizer", "bias_constraint"])
def test_regularizers_and_constraints_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"Received: {name}='l2'"):
        layers.Dense(3, **{name: "l2"})
    layers.Dense(3, **{name: None})
