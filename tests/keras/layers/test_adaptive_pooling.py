import itertools

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
SHAPES = {1: (2, 7, 3), 2: (2, 5, 6, 3), 3: (2, 3, 4, 5, 2)}
SIZES = {1: [1, 3, (7,), 9], 2: [1, 4, (2, 3), (7, 6)], 3: [1, 2, (3, 2, 4)]}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


CASES = [
    (
        f"Adaptive{kind}Pooling{axes}D",
        {"output_size": size, "data_format": data_format},
        channels(SHAPES[axes], data_format),
    )
    for kind, axes, data_format in itertools.product(["Average", "Max"], SHAPES, FORMATS)
    for size in SIZES[axes]
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_on_more_shapes(same):
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def check(data):
        axes = data.draw(st.integers(1, 3))
        kind = data.draw(st.sampled_from(["Average", "Max"]))
        data_format = data.draw(st.sampled_from(FORMATS))
        lengths, size = (data.draw(st.tuples(*[st.integers(1, 6)] * axes)) for _ in "12")
        shape = channels((2, *lengths, 2), data_format)
        same(f"Adaptive{kind}Pooling{axes}D", size, data_format, shape=shape)

    check()


def test_unknown_lengths_become_known():
    for name, kwargs, shape in CASES:
        axis = -1 if kwargs["data_format"] == "channels_last" else 1
        unknown = [None] * len(shape)
        unknown[axis] = shape[axis]
        ours, theirs = getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)
        told = ours.compute_output_shape(tuple(unknown))
        assert told == theirs.compute_output_shape(tuple(unknown))
        assert told.count(None) == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"output_size": 0}, "AdaptiveMaxPooling2D: `output_size` .* Received: output_size=0"),
        ({"output_size": (1, 2, 3)}, r"output_size=\(1, 2, 3\)"),
        ({"output_size": None}, "output_size=None"),
        ({"output_size": 1, "data_format": "last"}, "Unknown data_format: 'last'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.AdaptiveMaxPooling2D(**kwargs)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_inputs_of_other_ranks_are_refused(name):
    layer = getattr(layers, name)(2, "channels_first", name="a")
    axes = len(layer.input_spec)
    with pytest.raises(ValueError, match=rf"'a' \({name}\) expects inputs of shape"):
        layer.build((None,) * (axes - 1))
    layer.build((None,) * axes)
    with pytest.raises(ValueError, match="expects inputs of shape"):
        layer(torch.ones([2] * (axes - 1)))
