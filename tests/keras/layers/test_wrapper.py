import keras
import pytest
import torch

from elephas_torch.keras import layers


class Twice(layers.Wrapper):
    def call(self, inputs):
        return 2 * self.layer(inputs)


class KerasTwice(keras.layers.Wrapper):
    def call(self, inputs):
        return 2 * self.layer(inputs)


def test_a_wrapper_has_the_weights_of_its_layer(close_to):
    ours, theirs = Twice(layers.Dense(3)), KerasTwice(keras.layers.Dense(3))
    for layer in (ours, theirs):
        layer.build((None, 4))
    ours.set_weights(theirs.get_weights())
    x = torch.randn(2, 4)
    close_to(ours(x).detach(), theirs(x).detach())
    assert len(ours.trainable_weights) == 2
    ours.trainable = False
    assert not ours.layer.kernel.requires_grad
    assert ours.compute_output_shape((None, 4)) == (None, 3)


def test_configs_travel_both_ways(same_config):
    same_config(
        layers.Wrapper(layers.Dense(3, name="d")),
        keras.layers.Wrapper(keras.layers.Dense(3, name="d")),
    )


def test_what_is_no_layer_is_an_error():
    with pytest.raises(ValueError, match="Twice: `layer` must be a layer"):
        Twice("Dense")
