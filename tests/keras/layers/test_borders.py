import itertools

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
SHAPES = {1: (2, 5, 3), 2: (2, 5, 6, 3), 3: (2, 5, 6, 4, 2)}
BORDERS = {
    1: [0, 1, (0, 2), (2, 1)],
    2: [0, 2, (1, 2), ((1, 0), (0, 2)), ((0, 2), (2, 0))],
    3: [0, 1, (1, 2, 0), ((1, 0), (0, 2), (2, 1))],
}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


CASES = [
    *[
        (f"{kind}{axes}D", {}, SHAPES[axes])
        for kind, axes in itertools.product(["ZeroPadding", "Cropping"], SHAPES)
    ],
    *[
        (
            f"{kind}{axes}D",
            {argument: border, "data_format": data_format},
            channels(SHAPES[axes], data_format),
        )
        for (kind, argument), axes, data_format in itertools.product(
            [("ZeroPadding", "padding"), ("Cropping", "cropping")], SHAPES, FORMATS
        )
        if (kind, axes) != ("Cropping", 1)
        for border in BORDERS[axes]
    ],
    *[("Cropping1D", {"cropping": border}, SHAPES[1]) for border in BORDERS[1]],
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


def test_cropping_undoes_padding():
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def check(data):
        axes = data.draw(st.integers(2, 3))
        data_format = data.draw(st.sampled_from(FORMATS))
        sides = st.tuples(st.integers(0, 3), st.integers(0, 3))
        border = data.draw(st.tuples(*[sides] * axes))
        x = torch.randn(2, *data.draw(st.tuples(*[st.integers(1, 4)] * (axes + 1))))
        padded = getattr(layers, f"ZeroPadding{axes}D")(border, data_format)(x)
        cropping = getattr(layers, f"Cropping{axes}D")(border, data_format)
        assert torch.equal(cropping(padded), x)
        assert padded.count_nonzero() == x.count_nonzero()

    check()


def test_other_dtypes_are_taken():
    x = torch.arange(6).view(1, 3, 2)
    y = layers.ZeroPadding1D((1, 0))(x)
    assert y.dtype == torch.int64
    assert torch.equal(layers.Cropping1D((1, 0))(y), x)


def test_cropping_copies_nothing():
    x = torch.randn(2, 5, 5, 3)
    assert layers.Cropping2D(1)(x).data_ptr() == x[:, 1:, 1:].data_ptr()


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("ZeroPadding1D", {"padding": -1}, "ZeroPadding1D: `padding` .* Received: padding=-1"),
        ("ZeroPadding1D", {"padding": (1, 2, 3)}, r"or two of them. .*padding=\(1, 2, 3\)"),
        ("ZeroPadding1D", {"padding": ((1, 2),)}, r"padding=\(\(1, 2\),\)"),
        ("ZeroPadding2D", {"padding": (1,)}, r"or 2 of them, each .*padding=\(1,\)"),
        ("ZeroPadding2D", {"padding": ((1, 2), (3,))}, "padding="),
        ("ZeroPadding2D", {"padding": 1.5}, "padding=1.5"),
        ("ZeroPadding2D", {"data_format": "last"}, "Unknown data_format: 'last'"),
        ("ZeroPadding3D", {"padding": "111"}, "padding='111'"),
        ("Cropping1D", {"cropping": None}, "Cropping1D: `cropping` .*cropping=None"),
        ("Cropping2D", {"cropping": ((1, -1), 0)}, "cropping="),
        ("Cropping3D", {"cropping": (1, 1)}, r"or 3 of them, .*cropping=\(1, 1\)"),
    ],
)
def test_bad_arguments_are_named(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**kwargs)


def test_crops_that_leave_nothing_name_the_layer():
    crop = layers.Cropping2D(((1, 2), 0), name="c")
    with pytest.raises(ValueError, match=r"'c' \(Cropping2D\): cropping=.*\(None, 3, 8, 1\)"):
        crop.build((None, 3, 8, 1))
    crop.build((None, None, 8, 1))
    with pytest.raises(ValueError, match=r"leaves nothing of the inputs.*\(2, 3, 8, 1\)"):
        crop(torch.ones(2, 3, 8, 1))


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_inputs_of_other_ranks_are_refused(name):
    layer = getattr(layers, name)(name="b")
    axes = len(layer.input_spec)
    with pytest.raises(ValueError, match=rf"'b' \({name}\) expects inputs of shape"):
        layer.build((None,) * (axes - 1))
    layer.build((None,) * axes)
    for shape in ([4] * (axes - 1), [4] * (axes + 1)):
        with pytest.raises(ValueError, match="expects inputs of shape"):
            layer(torch.ones(shape))
