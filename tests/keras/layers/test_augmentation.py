import copy
import itertools

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.keras import layers

FILLS = ["reflect", "wrap", "constant", "nearest"]
# With both bounds the same nothing is random.
CASES = [
    *(
        (name, {**kwargs, "fill_mode": fill, "interpolation": interpolation}, (2, 5, 8, 3))
        for (name, kwargs), fill, interpolation in itertools.product(
            [
                ("RandomRotation", {"factor": (0.09, 0.09)}),
                ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.4, -0.4)}),
                ("RandomTranslation", {"height_factor": (0.3, 0.3), "width_factor": (-0.7, -0.7)}),
            ],
            FILLS,
            ["bilinear", "nearest"],
        )
    ),
    (
        "RandomRotation",
        {"factor": (-0.3, -0.3), "fill_mode": "constant", "fill_value": 0.5},
        (1, 6, 6, 1),
    ),
    ("RandomZoom", {"height_factor": (0.5, 0.5)}, (2, 6, 5, 1)),
    ("RandomTranslation", {"height_factor": (1, 1), "width_factor": (0.25, 0.25)}, (2, 4, 4, 1)),
    ("RandomRotation", {"factor": (0.1, 0.1), "data_format": "channels_first"}, (2, 3, 5, 8)),
    ("RandomZoom", {"height_factor": (0.2, 0.2), "data_format": "channels_first"}, (2, 3, 5, 8)),
    ("RandomBrightness", {"factor": (0.25, 0.25), "value_range": (0, 1)}, (2, 5, 4, 3)),
    ("RandomBrightness", {"factor": (-0.5, -0.5), "value_range": [1, -1]}, (2, 5, 4, 3)),
    ("RandomContrast", {"factor": 0, "value_range": (0.2, 0.7)}, (2, 5, 4, 3)),
]
RANDOM = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomRotation", {"factor": 0.1}),
    ("RandomZoom", {"height_factor": 0.2, "width_factor": 0.1}),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": (-0.1, 0.3)}),
    ("RandomContrast", {"factor": 0.5}),
    ("RandomContrast", {"factor": (0.2, 0.5), "value_range": (0, 1)}),
    ("RandomBrightness", {"factor": 0.5}),
]


def images(shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).random(shape), dtype=torch.float32)


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_what_it_does_is_keras_s(name, kwargs, shape, close_to, same_config):
    mine, other = (getattr(of, name)(**kwargs) for of in (layers, keras.layers))
    x = images(shape)
    close_to(mine(x, training=True), other(x.clone(), training=True))
    close_to(mine(x[0], training=True), other(x[0].clone(), training=True))
    assert torch.equal(mine(x, training=False), x)
    assert mine.compute_output_shape((None, *shape[1:])) == (None, *shape[1:])
    same_config(mine, other)


@pytest.mark.parametrize(("name", "kwargs"), RANDOM)
def test_configs_travel_both_ways(name, kwargs, same_config):
    same_config(*(getattr(of, name)(**kwargs, seed=3) for of in (layers, keras.layers)))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", [2]), ("vertical", [1]), ("horizontal_and_vertical", [1, 2])]
)
def test_half_of_the_images_are_mirrored(mode, axes, data_format):
    x = images((60, 3, 4, 2))
    axis = 0 if data_format == "channels_last" else 1
    y = layers.RandomFlip(mode, seed=1, data_format=data_format)(x)
    flipped = x.flip([n + axis for n in axes])
    mirrored = (y == flipped).flatten(1).all(1)
    assert torch.equal(y[~mirrored], x[~mirrored])
    assert 15 < mirrored.sum() < 45


def test_contrast_is_within_its_bounds():
    x = images((40, 3, 4, 2))
    y = layers.RandomContrast((0.25, 0.5), value_range=(-9, 9), seed=1)(x)
    mean = x.mean((1, 2), keepdim=True)
    factors = ((y - mean) / (x - mean)).flatten(1).median(1).values
    assert factors.min() >= 0.75 - 1e-4
    assert factors.max() <= 1.5 + 1e-4
    assert factors.std() > 0.1
    assert torch.allclose(y, (x - mean) * factors.view(-1, 1, 1, 1) + mean, atol=1e-5)


@pytest.mark.parametrize(("name", "kwargs"), RANDOM)
def test_each_image_is_changed_on_its_own_by_a_generator_of_its_own(name, kwargs):
    x = images((1, 4, 5, 3)).expand(20, -1, -1, -1) * 100
    first, second = (getattr(layers, name)(**kwargs, seed=3) for _ in range(2))
    state = torch.get_rng_state()
    y = first(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(y, second(x))
    assert not torch.equal(y, first(x))
    assert not all(torch.equal(one, y[0]) for one in y)


def test_alone_it_changes_images_unless_it_is_told_that_it_is_no_training():
    x, flip = images((30, 3, 4, 2)), layers.RandomFlip(seed=1)
    for layer in (flip, copy.deepcopy(flip), ours.Sequential([layers.RandomFlip(seed=1)])):
        assert not torch.equal(layer(x), x)
        assert torch.equal(layer(x, training=False), x)
        assert not torch.equal(layer(x, training=True), x)
    flip.eval()
    assert torch.equal(flip(x), x)


def test_in_a_model_it_changes_images_in_training_alone():
    seen = []
    model = ours.Sequential(
        [
            layers.Input((3, 4, 2)),
            layers.RandomTranslation(0.5, 0.5),
            layers.Lambda(lambda x: seen.append(x.detach().clone()) or x),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    x = images((8, 3, 4, 2)).numpy()
    assert torch.equal(model(torch.tensor(x), training=False), model(x, training=False))
    model.compile("sgd", "mse")
    seen.clear()
    model.fit(x, np.zeros((8, 1)), shuffle=False, batch_size=8, verbose=0)
    assert not any(np.array_equal(one, x) for one in seen)
    seen.clear()
    model.evaluate(x, np.zeros((8, 1)), verbose=0)
    model.predict(x, verbose=0)
    assert all(np.array_equal(one, x) for one in seen)
    assert len(seen) == 2


def test_whole_numbers_become_floats():
    x = np.random.default_rng(0).integers(256, size=(2, 4, 4, 3)).astype("uint8")
    for layer in (layers.RandomFlip(), layers.RandomBrightness(0.5), layers.RandomRotation(0.2)):
        assert layer(x, training=True).dtype == torch.float32
        assert layer(x, training=False).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("left"), "Unknown mode: 'left'"),
        (lambda: layers.RandomFlip(seed="x"), "RandomFlip: `seed`"),
        (lambda: layers.RandomRotation(2), "RandomRotation: `factor` .* from -1 to 1.*factor=2"),
        (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), r"factor=\(0.1, 0.2, 0.3\)"),
        (lambda: layers.RandomRotation(0.1, "mirror"), "Unknown fill_mode: 'mirror'"),
        (lambda: layers.RandomRotation(0.1, "wrap", "cubic"), "Unknown interpolation: 'cubic'"),
        (lambda: layers.RandomZoom(-1), "RandomZoom: `height_factor` .*above -1"),
        (lambda: layers.RandomZoom(0.1, "x"), "width_factor='x'"),
        (lambda: layers.RandomTranslation(0.1, 1.5), "width_factor=1.5"),
        (lambda: layers.RandomContrast(-0.1), "RandomContrast: `factor` .* from 0 to 1"),
        (lambda: layers.RandomContrast(0.1, 255), "value_range=255"),
        (lambda: layers.RandomBrightness(0.1, (1, 2, 3)), r"value_range=\(1, 2, 3\)"),
        (lambda: layers.RandomFlip()(torch.ones(2, 3)), r"takes images .*\(2, 3\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
