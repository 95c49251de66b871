import math

import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    ("GaussianNoise", {"stddev": 0.3}, (3, 4)),
    ("GaussianNoise", {"stddev": 0.3, "seed": 2}, (2, 3, 4)),
    ("GaussianDropout", {"rate": 0.3}, (3, 4)),
    ("GaussianDropout", {"rate": 0.3, "seed": 2}, (2, 3, 4)),
    ("AlphaDropout", {"rate": 0.3}, (3, 4)),
    ("AlphaDropout", {"rate": 0.3, "seed": 2, "noise_shape": (None, 1, 4)}, (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_at_rest_it_is_keras_s(same, name, kwargs, shape):
    found = same(name, shape=shape, **kwargs)
    assert found.outputs is found.x


@pytest.mark.parametrize("seed", [None, 4])
def test_gaussian_noise_adds_as_much_as_asked(seed):
    torch.manual_seed(1)
    y = layers.GaussianNoise(0.5, seed=seed)(torch.full((50_000,), 3.0), training=True)
    assert y.mean().item() == pytest.approx(3.0, abs=0.02)
    assert y.std().item() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("seed", [None, 4])
def test_gaussian_dropout_multiplies_by_noise_around_one(seed):
    torch.manual_seed(1)
    y = layers.GaussianDropout(0.2, seed=seed)(torch.full((50_000,), 2.0), training=True)
    assert y.mean().item() == pytest.approx(2.0, abs=0.02)
    assert y.std().item() == pytest.approx(2 * math.sqrt(0.2 / 0.8), rel=0.02)


@pytest.mark.parametrize("seed", [None, 4])
def test_alpha_dropout_keeps_mean_and_variance(seed):
    torch.manual_seed(1)
    x = torch.randn(200_000)
    y = layers.AlphaDropout(0.3, seed=seed)(x, training=True)
    assert y.mean().item() == pytest.approx(0.0, abs=0.02)
    assert y.std().item() == pytest.approx(1.0, rel=0.02)
    assert y.unique(return_counts=True)[1].max().item() / 200_000 == pytest.approx(0.3, abs=0.01)


def test_alpha_dropout_scales_as_keras_s_formula_says():
    layer = layers.AlphaDropout(0.4, noise_shape=(None, 1), seed=1)
    x = torch.randn(30, 5)
    y = layer(x, training=True)
    low = -1.6732632423543772 * 1.0507009873554805
    a = (0.6 * (1 + 0.4 * low**2)) ** -0.5
    kept, dropped = a * x - a * low * 0.4, torch.full((30, 5), a * low - a * low * 0.4)
    is_kept = torch.isclose(y, kept, atol=1e-5).all(1)
    assert torch.isclose(y[~is_kept], dropped[~is_kept]).all()
    assert 0 < is_kept.sum() < 30


@pytest.mark.parametrize("name", ["GaussianNoise", "GaussianDropout", "AlphaDropout"])
def test_seeded_it_is_its_own_generator(name):
    x = torch.ones(20)
    first, second = (getattr(layers, name)(0.5, seed=3) for _ in range(2))
    state = torch.get_rng_state()
    drawn = [first(x, training=True) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn[0], second(x, training=True))
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("name", ["GaussianNoise", "GaussianDropout", "AlphaDropout"])
def test_masks_go_on_and_a_rate_of_0_does_nothing(name):
    masked = layers.Masking()(torch.ones(2, 3, 4))
    outputs = getattr(layers, name)(0.5)(masked, training=True)
    assert torch.equal(outputs._keras_mask, masked._keras_mask)
    x = torch.ones(3)
    assert getattr(layers, name)(0)(x, training=True) is x


def test_noise_takes_part_in_gradients():
    x = torch.ones(50, requires_grad=True)
    y = layers.GaussianDropout(0.5, seed=0)(x, training=True)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, y.detach(), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.GaussianNoise(-0.1), "GaussianNoise: `stddev` .* stddev=-0.1"),
        (lambda: layers.GaussianNoise(None), "stddev=None"),
        (lambda: layers.GaussianDropout(1), "GaussianDropout: `rate` must be below 1"),
        (lambda: layers.GaussianDropout(-1), "rate=-1"),
        (lambda: layers.AlphaDropout(1.0), "AlphaDropout: `rate` must be below 1"),
        (lambda: layers.AlphaDropout(0.5, noise_shape=(-1,)), "AlphaDropout: `noise_shape`"),
        (lambda: layers.AlphaDropout(0.5, seed=1.5), "AlphaDropout: `seed` .* seed=1.5"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
