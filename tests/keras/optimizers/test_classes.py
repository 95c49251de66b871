"""What a training loop of one's own asks an optimizer, as in Keras."""

import keras
import numpy as np
import pytest
import torch

import elephas_torch.keras as facade

ROOMS = pytest.mark.parametrize("room", [facade, keras], ids=["ours", "theirs"])


def dense(room):
    layer = room.layers.Dense(2)
    layer.build((None, 3))
    return layer


@ROOMS
@pytest.mark.parametrize("name", ["SGD", "Adam", "LossScaleOptimizer"])
def test_built_once_the_weights_are_known(room, name):
    make = getattr(room.optimizers, name)
    optimizer = make(room.optimizers.SGD()) if name == "LossScaleOptimizer" else make()
    assert optimizer.built is False
    optimizer.build(dense(room).trainable_variables)
    assert optimizer.built is True


@ROOMS
def test_built_by_training(room):
    model = room.Sequential([room.layers.Input((3,)), room.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert not model.optimizer.built
    model.fit(np.ones((4, 3), "float32"), np.ones((4, 1), "float32"), verbose=0)
    assert model.optimizer.built


@ROOMS
def test_assigning(room):
    optimizer, weight = room.optimizers.SGD(), dense(room).kernel
    optimizer.assign(weight, np.full((3, 2), 2.0, "float32"))
    optimizer.assign_add(weight, np.full((3, 2), 3.0, "float32"))
    optimizer.assign_sub(weight, np.ones((3, 2), "float32"))
    assert np.array_equal(weight.numpy(), np.full((3, 2), 4.0))


def test_assigning_to_tensors_and_rates():
    optimizer, plain = facade.optimizers.SGD(0.5), torch.nn.Parameter(torch.zeros(2))
    optimizer.assign_add(plain, [1.0, 2.0])
    assert plain.tolist() == [1.0, 2.0]
    optimizer.assign_add(optimizer.learning_rate, 0.5)
    assert optimizer.learning_rate == 1.0
    optimizer.assign_sub(optimizer.learning_rate, 0.25)
    assert optimizer.learning_rate == 0.75
    with pytest.raises(TypeError, match=r"assigns to weights.*\(of type int\)"):
        optimizer.assign(optimizer.iterations, 3)


def test_the_optimizers_of_before_keep_their_place():
    with pytest.warns(DeprecationWarning, match=r"keras\.optimizers\.Adam now"):
        from elephas_torch.keras.optimizers.legacy import Adam
    with pytest.warns(DeprecationWarning, match=r"keras\.optimizers\.SGD now"):
        made = facade.optimizers.legacy.SGD(0.1, decay=1e-6, momentum=0.9, nesterov=True)
    assert Adam is facade.optimizers.Adam
    assert (made.learning_rate, made.decay, made.nesterov) == (0.1, 1e-6, True)
