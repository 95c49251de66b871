import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers, models

SIZES = {"height": 4, "width": 6}
CASES = [
    ("Resizing", SIZES, (2, 7, 5, 3)),
    ("Resizing", {**SIZES, "interpolation": "nearest"}, (2, 7, 9, 3)),
    ("Resizing", {**SIZES, "interpolation": "bicubic"}, (2, 7, 9, 3)),
    ("Resizing", {**SIZES, "antialias": True}, (2, 9, 13, 3)),
    ("Resizing", {**SIZES, "crop_to_aspect_ratio": True}, (2, 9, 5, 3)),
    ("Resizing", {**SIZES, "pad_to_aspect_ratio": True, "fill_value": 0.5}, (2, 8, 6, 3)),
    ("Resizing", {**SIZES, "data_format": "channels_first"}, (2, 3, 7, 5)),
    ("CenterCrop", SIZES, (2, 7, 9, 3)),
    ("CenterCrop", SIZES, (2, 4, 6, 3)),
    ("CenterCrop", SIZES, (2, 3, 9, 2)),
    ("CenterCrop", {**SIZES, "data_format": "channels_first"}, (2, 3, 7, 9)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


@pytest.mark.parametrize("name", ["Resizing", "CenterCrop"])
def test_one_image_without_a_batch(name, close_to):
    image = np.random.default_rng(0).random((7, 9, 3)).astype("float32")
    mine, other = (getattr(of, name)(4, 6) for of in (layers, keras.layers))
    close_to(mine(image), other(image))
    assert mine.compute_output_shape((7, 9, 3)) == tuple(other.compute_output_shape((7, 9, 3)))


def test_whole_numbers_stay_whole():
    images = np.random.default_rng(0).integers(256, size=(2, 7, 9, 3)).astype("uint8")
    mine, other = layers.Resizing(4, 6)(images), keras.layers.Resizing(4, 6)(images)
    assert mine.dtype == other.dtype == torch.uint8
    assert torch.equal(mine, other)
    assert layers.CenterCrop(4, 6)(images).dtype == torch.float32


def test_in_a_functional_model_any_size_comes_in():
    inputs = layers.Input((None, None, 3))
    outputs = layers.CenterCrop(2, 2)(layers.Resizing(4, 5)(inputs))
    assert outputs.shape == (None, 2, 2, 3)
    assert models.Model(inputs, outputs)(torch.ones(2, 9, 7, 3)).shape == (2, 2, 2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Resizing(0, 3), "Resizing: `height`"),
        (lambda: layers.Resizing(3, 3, "cubic"), "Unknown interpolation: 'cubic'"),
        (lambda: layers.Resizing(3, 3, fill_mode="wrap"), "Unknown fill_mode: 'wrap'"),
        (
            lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            "only one of `crop_to_aspect_ratio`",
        ),
        (lambda: layers.CenterCrop(3, "3"), "CenterCrop: `width`"),
        (lambda: layers.CenterCrop(3, 3)(torch.ones(2, 3)), "takes images .*inputs of 2 axes"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
