import copy
import pickle

import numpy as np
import pytest
import torch

from elephas_torch import keras
from elephas_torch.keras import layers
from elephas_torch.keras.variables import State, Variable


class Counts(layers.Layer):
    def build(self, input_shape):
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False, name="total")
        self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="kernel")

    def call(self, inputs):
        self.total.assign_add(inputs.detach().sum())
        return inputs * self.kernel


def test_weights_can_be_assigned_to():
    layer = Counts()
    layer(torch.ones(2, 3))
    layer(torch.ones(2, 3))
    assert float(layer.total) == 12 and layer.get_weights()[1] == 12
    assert layer.kernel.assign([1, 2, 3]) is layer.kernel
    layer.kernel.assign_sub(1.0)
    assert layer.kernel.numpy().tolist() == [0, 1, 2]
    assert layer.kernel.value is layer.kernel
    assert layer.kernel.path == f"{layer.name}/kernel"
    assert layer.kernel.trainable and not layer.total.trainable


def test_numpy_is_a_copy():
    layer = Counts()
    layer.build((None, 3))
    layer.kernel.numpy()[0] = 7
    assert layer.kernel[0] == 1


@pytest.mark.parametrize("kind", [Variable, State])
def test_what_is_computed_is_a_plain_tensor(kind):
    weight = kind(torch.ones(3))
    assert type(weight * 2) is torch.Tensor
    assert isinstance(weight, torch.Tensor)


@pytest.mark.parametrize("kind", [Variable, State])
def test_copies_are_of_the_same_kind(kind):
    weight = kind(torch.arange(3.0))
    weight.path = "a/b"
    for again in (copy.deepcopy(weight), pickle.loads(pickle.dumps(weight))):
        assert type(again) is kind and again.path == "a/b"
        assert torch.equal(again, weight) and again.data_ptr() != weight.data_ptr()
        assert again.requires_grad == weight.requires_grad


def test_a_weight_in_two_places_is_one_after_a_copy():
    weight = Variable(torch.ones(2))
    first, second = copy.deepcopy([weight, weight])
    assert first is second


def test_what_does_not_fit_is_refused():
    with pytest.raises(RuntimeError):
        Variable(torch.ones(2)).assign(np.ones(3))


def test_keras_s_variable_makes_weights_of_a_layer():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.total = keras.Variable(0.0, trainable=False)
            self.scale = keras.Variable("ones", shape=(3,), name="scale")

        def call(self, inputs):
            self.total.assign_add(inputs.detach().sum())
            return inputs * self.scale

    layer = Own()
    layer(torch.ones(2, 3))
    assert [w.shape for w in layer.trainable_weights] == [(3,)]
    assert [float(w) for w in layer.non_trainable_weights] == [6.0]
    assert layer.scale.path == "scale"
    with pytest.raises(ValueError, match="needs `shape`"):
        keras.Variable("zeros")
    with pytest.raises(TypeError, match="shap"):
        keras.Variable(1.0, shap=(3,))


def test_names_that_keras_has_at_the_top():
    for name in keras.__all__:
        assert getattr(keras, name) is not None
    assert set(dir(keras)) == set(keras.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'modles'. Did you mean 'models'"):
        keras.modles  # noqa: B018
    with pytest.raises(AttributeError, match=r"no layer 'Dens'. Did you mean 'Dense'"):
        layers.Dens  # noqa: B018


def test_names_are_the_ends_of_paths():
    layer = Counts()
    layer.build((None, 3))
    assert [weight.name for weight in layer.weights] == ["kernel", "total"]
    assert copy.deepcopy(layer).kernel.name == "kernel"
