import copy

import keras
import pytest
import torch

from elephas_torch.keras import layers

SPATIAL = [
    ("SpatialDropout1D", {}, (4, 5, 6), (4, 1, 6)),
    ("SpatialDropout2D", {"data_format": "channels_last"}, (4, 3, 3, 6), (4, 1, 1, 6)),
    ("SpatialDropout2D", {"data_format": "channels_first"}, (4, 6, 3, 3), (4, 6, 1, 1)),
    ("SpatialDropout3D", {"data_format": "channels_last"}, (4, 2, 3, 2, 6), (4, 1, 1, 1, 6)),
    ("SpatialDropout3D", {"data_format": "channels_first"}, (4, 6, 2, 3, 2), (4, 6, 1, 1, 1)),
]
CASES = [
    ("Dropout", {"rate": 0.5}, (3, 4)),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1), "seed": 3}, (3, 4)),
    *((name, {"rate": 0.5, **kwargs}, shape) for name, kwargs, shape, _ in SPATIAL),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_at_rest_it_is_keras_s(same, name, kwargs, shape):
    found = same(name, shape=shape, **kwargs)
    assert found.outputs is found.x


def test_without_a_rate_it_hands_its_inputs_on():
    x = torch.ones(3)
    assert layers.Dropout(0)(x, training=True) is x


def test_it_draws_as_keras_does():
    x = torch.randn(4, 5, 6)
    torch.manual_seed(7)
    ours = layers.Dropout(0.4)(x, training=True)
    torch.manual_seed(7)
    theirs = keras.layers.Dropout(0.4)(x, training=True)
    assert torch.equal(ours, theirs)


def test_it_keeps_the_mean_and_drops_the_share():
    y = layers.Dropout(0.25, seed=1)(torch.ones(100_000), training=True)
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert layers.Dropout(1.0)(torch.ones(5), training=True).tolist() == [0.0] * 5


def test_seeded_it_is_its_own_generator():
    x = torch.ones(1000)
    first, second = layers.Dropout(0.5, seed=3), layers.Dropout(0.5, seed=3)
    state = torch.get_rng_state()
    masks = [first(x, training=True) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(masks[0], second(x, training=True))
    assert not torch.equal(masks[0], masks[1])
    copied = copy.deepcopy(first)
    assert torch.equal(copied(x, training=True), first(x, training=True))


@pytest.mark.parametrize("seed", [None, 5])
def test_noise_shape_drops_whole_axes(seed):
    y = layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=seed)(torch.ones(8, 5, 6), training=True)
    assert torch.equal(y, y[:, :1].expand(8, 5, 6))
    assert {0.0, 2.0} == set(y.unique().tolist())


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize(("name", "kwargs", "shape", "drawn"), SPATIAL)
def test_spatial_dropout_drops_whole_channels(name, kwargs, shape, drawn, seed):
    layer = getattr(layers, name)(0.5, seed=seed, **kwargs)
    y = layer(torch.ones(shape), training=True)
    whole = y.amax([n for n, length in enumerate(drawn) if length == 1], keepdim=True)
    assert whole.shape == drawn
    assert torch.equal(y, whole.expand(shape))
    assert {0.0, 2.0} == set(y.unique().tolist())


def test_spatial_dropout_takes_its_format_from_the_setting():
    assert layers.SpatialDropout2D(0.5).data_format == "channels_last"


def test_masks_go_on():
    masked = layers.Masking()(torch.ones(2, 3, 4))
    for layer in (layers.Dropout(0.5), layers.SpatialDropout1D(0.5)):
        outputs = layer(masked, training=True)
        assert torch.equal(outputs._keras_mask, masked._keras_mask)


def test_it_takes_part_in_gradients():
    x = torch.ones(50, requires_grad=True)
    y = layers.Dropout(0.5, seed=0)(x, training=True)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dropout(1.5), "Dropout: `rate` .* Received: rate=1.5"),
        (lambda: layers.Dropout("half"), "Received: rate='half'"),
        (lambda: layers.Dropout(0.5, seed="x"), "Dropout: `seed` .* Received: seed='x'"),
        (lambda: layers.Dropout(0.5, noise_shape=(0, 1)), r"noise_shape=\(0, 1\)"),
        (lambda: layers.Dropout(0.5, noise_shape="all"), "noise_shape='all'"),
        (lambda: layers.SpatialDropout1D(-1), "SpatialDropout1D: `rate` .* rate=-1"),
        (lambda: layers.SpatialDropout2D(0.5, "last"), "'last'"),
        (
            lambda: layers.SpatialDropout1D(0.5, name="s")(torch.ones(2, 3), training=True),
            r"'s' \(SpatialDropout1D\) expects inputs of shape \(None, None, None\).*\(None, 3\)",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
