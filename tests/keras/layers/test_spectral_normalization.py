import keras
import numpy as np
import pytest
import torch

from elephas_torch.flat import Flat
from elephas_torch.keras import layers, models

CASES = [
    ("Dense", {"units": 3}, (5, 4)),
    ("Conv1D", {"filters": 3, "kernel_size": 2}, (2, 5, 4)),
    ("Embedding", {"input_dim": 5, "output_dim": 3}, (2, 4)),
]


def both(name, kwargs, shape, power_iterations=1):
    ours = layers.SpectralNormalization(getattr(layers, name)(**kwargs), power_iterations)
    theirs = keras.layers.SpectralNormalization(
        getattr(keras.layers, name)(**kwargs), power_iterations
    )
    ours.build((None, *shape[1:]))
    theirs.build((None, *shape[1:]))
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    ours.set_weights(theirs.get_weights())
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32")
    # Keras gives the outputs the inputs' dtype: integers would cut them off.
    return ours, theirs, rng.integers(5, size=shape).astype("float32") if name == "Embedding" else x


@pytest.mark.parametrize("power_iterations", [1, 3])
@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(name, kwargs, shape, power_iterations, close_to):
    ours, theirs, x = both(name, kwargs, shape, power_iterations)
    for training in (True, True, False):
        result = ours(torch.tensor(x), training=training)
        close_to(result.detach(), theirs(x, training=training).detach())
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close_to(mine, other)
    assert ours.compute_output_shape((None, *shape[1:])) == tuple(
        theirs.compute_output_shape((None, *shape[1:]))
    )


def test_its_kernel_comes_to_norm_one():
    layer = layers.SpectralNormalization(layers.Dense(3), power_iterations=20)
    layer(torch.ones(2, 4), training=True)
    assert torch.linalg.matrix_norm(layer.layer.kernel.detach(), 2).item() == pytest.approx(1, 1e-3)


def test_a_kernel_of_zeros_stays():
    layer = layers.SpectralNormalization(layers.Dense(3, kernel_initializer="zeros"))
    assert layer(torch.ones(2, 4), training=True).abs().max() == 0


def test_it_trains_on_one_flat_vector():
    model = models.Sequential([layers.SpectralNormalization(layers.Dense(3), input_shape=(4,))])
    flat = Flat(model)
    model(torch.randn(5, 4), training=True).square().sum().backward()
    assert flat.parameters.numel() == 15
    assert flat.gradients.abs().max() > 0
    assert torch.equal(model.layers[0].layer.kernel.flatten(), flat.parameters[:12])


def test_configs_travel_both_ways():
    ours, theirs, _ = both(*CASES[0], power_iterations=2)
    theirs = type(theirs).from_config(ours.get_config())
    back = layers.SpectralNormalization.from_config(theirs.get_config())
    assert back.get_config() == ours.get_config()
    assert back.power_iterations == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.SpectralNormalization(3), "SpectralNormalization: `layer` must be a layer"),
        (lambda: layers.SpectralNormalization(layers.Dense(2), 0), "power_iterations=0"),
        (
            lambda: layers.SpectralNormalization(layers.Dropout(0.5)).build((None, 3)),
            "must have a weight `kernel` or `embeddings`",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
