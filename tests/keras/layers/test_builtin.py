import json
import pickle
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch import keras as ours
from elephas_torch.flat import Flat
from elephas_torch.keras import layers, legacy, models

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
    model = models.Sequential(stack(layers, models.Input))
    theirs = keras.models.model_from_json(model.to_json())
    back = models.model_from_json(theirs.to_json())
    weights = [w + 0.1 for w in model.get_weights()]
    for one in (model, theirs, back):
        one.set_weights(weights)
    x = np.random.default_rng(0).normal(size=(3, 12, 12, 1)).astype("float32")
    expected = theirs(x, training=False).detach()
    for one in (model, back):
        np.testing.assert_allclose(one(torch.tensor(x)).detach(), expected, rtol=1e-5, atol=1e-6)


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
    today = [name for name in layers.__all__ if name not in legacy.CLASSES]
    classes = {getattr(layers, name).__name__ for name in today}
    assert listed == classes - {"Layer"}
    for name in layers.__all__:
        assert name in DOCS.read_text()


RULES = [
    {"kernel_regularizer": "l2"},
    {"bias_regularizer": "l2", "kernel_constraint": "max_norm"},
    {"activity_regularizer": "l2", "bias_constraint": "non_neg"},
    {"kernel_regularizer": "l1", "activity_regularizer": "l1", "kernel_constraint": "unit_norm"},
]


def regression(of, rules):
    return of.Sequential(
        [
            of.layers.Input((4,)),
            of.layers.Dense(5, "tanh", **rules),
            of.layers.ActivityRegularization(0.25, 0.5),
            of.layers.BatchNormalization(gamma_regularizer=rules.get("kernel_regularizer")),
            of.layers.Dense(1),
        ]
    )


@pytest.mark.parametrize("rules", RULES)
def test_regularizers_and_constraints_train_as_in_keras(rules):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(24, n)).astype("float32") for n in (4, 1))
    pair = [regression(ours, rules), regression(keras, rules)]
    pair[1].set_weights(pair[0].get_weights())
    losses = []
    for model in pair:
        model.compile("sgd", "mse")
        fitted = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        losses.append(fitted.history["loss"] + [model.evaluate(x, y, verbose=0)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for mine, other in zip(*(model.get_weights() for model in pair), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_losses_are_those_of_the_last_call_and_of_the_weights():
    layer = layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")
    layer.activity_regularizer = lambda outputs: outputs.sum()
    for _ in range(2):
        layer(torch.ones(3, 2))
    assert [one.item() for one in layer.losses] == pytest.approx([2.0, 0.02])
