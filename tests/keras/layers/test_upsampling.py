import itertools

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
SHAPES = {2: (2, 3, 4, 2), 3: (2, 2, 3, 2, 2)}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


CASES = [
    *[("UpSampling1D", {"size": size}, (2, 3, 4)) for size in (1, 2, 3)],
    *[
        (
            "UpSampling2D",
            {"size": size, "data_format": data_format, "interpolation": how},
            channels(SHAPES[2], data_format),
        )
        for size, data_format, how in itertools.product(
            [1, 2, (3, 1), (2, 5)], FORMATS, ["nearest", "bilinear", "bicubic"]
        )
    ],
    *[
        (
            "UpSampling3D",
            {"size": size, "data_format": data_format},
            channels(SHAPES[3], data_format),
        )
        for size, data_format in itertools.product([1, 2, (1, 3, 2)], FORMATS)
    ],
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_unknown_lengths_stay_unknown():
    for name, kwargs, shape in CASES:
        unknown = (None,) * len(shape)
        ours, theirs = getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)
        assert ours.compute_output_shape(unknown) == unknown
        assert tuple(theirs.compute_output_shape(unknown)) == unknown


@pytest.mark.parametrize("name", ["UpSampling1D", "UpSampling2D", "UpSampling3D"])
def test_size_is_two_unless_told(same, name):
    same(name, shape=(2, *[3] * int(name[-2]), 2))


def test_on_more_shapes(same):
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def check(data):
        axes = data.draw(st.integers(2, 3))
        size = data.draw(st.tuples(*[st.integers(1, 3)] * axes))
        lengths = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
        data_format = data.draw(st.sampled_from(FORMATS))
        kinds = st.sampled_from(["nearest", "bilinear", "bicubic"])
        how = {"interpolation": data.draw(kinds)} if axes == 2 else {}
        shape = channels((2, *lengths, data.draw(st.integers(1, 3))), data_format)
        same(f"UpSampling{axes}D", size=size, data_format=data_format, shape=shape, **how)

    check()


def test_whole_numbers_are_repeated_too():
    x = torch.arange(4).view(1, 2, 2)
    y = layers.UpSampling1D(2)(x)
    assert y.tolist() == [[[0, 1], [0, 1], [2, 3], [2, 3]]]


def test_mean_pooling_undoes_it(close_to):
    x = torch.randn(2, 3, 4, 2)
    y = layers.UpSampling2D((2, 3))(x)
    close_to(layers.AveragePooling2D((2, 3))(y), x)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("UpSampling1D", {"size": 0}, "UpSampling1D: `size` .* Received: size=0"),
        ("UpSampling1D", {"size": 1.5}, "size=1.5"),
        ("UpSampling2D", {"size": (2, 2, 2)}, r"size=\(2, 2, 2\)"),
        ("UpSampling2D", {"interpolation": "lanczos3"}, "no Lanczos.*Use 'bicubic'"),
        ("UpSampling2D", {"interpolation": "bilinaer"}, "Did you mean 'bilinear'"),
        ("UpSampling2D", {"data_format": "last"}, "Unknown data_format: 'last'"),
        ("UpSampling3D", {"size": (2, 2)}, r"size=\(2, 2\)"),
        ("UpSampling3D", {"interpolation": "nearest"}, "interpolation"),
    ],
)
def test_bad_arguments_are_named(name, kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(layers, name)(**kwargs)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_inputs_of_other_ranks_are_refused(interpolation):
    layer = layers.UpSampling2D(2, "channels_first", interpolation, name="u")
    with pytest.raises(ValueError, match=r"'u' \(UpSampling2D\) expects inputs of shape"):
        layer.build((None, 3, 4))
    layer.build((None, 3, 4, 4))
    for shape in ((3, 4, 4), (2, 3, 4, 4, 4)):
        with pytest.raises(ValueError, match="expects inputs of shape"):
            layer(torch.ones(shape))
