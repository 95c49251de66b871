import itertools

import keras
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
LENGTHS = {1: (8,), 2: (7, 8), 3: (5, 4, 6)}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


def cases(name, lengths, paddings, variants):
    """(layer, arguments, input shape) for each variant with each padding and format."""
    return [
        (
            name,
            {"padding": padding, "data_format": data_format, **variant},
            channels((2, *lengths, 3), data_format),
        )
        for padding, data_format, variant in itertools.product(paddings, FORMATS, variants)
    ]


ONE_AXIS = [
    {"pool_size": 2},
    {"pool_size": (3,)},
    {"pool_size": 2, "strides": 1},
    {"pool_size": 3, "strides": 2},
    {"pool_size": 2, "strides": 3},
]
TWO_AXES = [
    {"pool_size": 2},
    {"pool_size": 3},
    {"pool_size": (1, 3)},
    {"pool_size": 2, "strides": 1},
    {"pool_size": 3, "strides": (2, 3)},
    {"pool_size": (1, 3), "strides": (2, 3)},
]
THREE_AXES = [
    {"pool_size": 2},
    {"pool_size": (1, 3, 2)},
    {"pool_size": 2, "strides": 1},
    {"pool_size": 3, "strides": (2, 1, 3)},
]
BOTH = ["valid", "same"]
CASES = [
    *cases("MaxPooling1D", LENGTHS[1], BOTH, ONE_AXIS),
    *cases("MaxPooling2D", LENGTHS[2], BOTH, TWO_AXES),
    *cases("MaxPooling3D", LENGTHS[3], BOTH, THREE_AXES),
    *cases("AveragePooling1D", LENGTHS[1], ["valid"], ONE_AXIS),
    *cases("AveragePooling2D", LENGTHS[2], ["valid"], TWO_AXES),
    *cases("AveragePooling3D", LENGTHS[3], ["valid"], THREE_AXES),
    # With odd pads Keras's torch backend counts the padding in as copies of the edge, which
    # Keras with TensorFlow, and its documentation, don't: those are held against NumPy below.
    *[
        case
        for axes in (1, 2, 3)
        for size, pool in (
            (6, {"pool_size": 3, "strides": 1}),
            (8, {"pool_size": 2}),
            (7, {"pool_size": 3, "strides": 3}),
        )
        for case in cases(f"AveragePooling{axes}D", (size,) * axes, ["same"], [pool])
    ],
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_unknown_lengths_stay_unknown():
    for name, kwargs, shape in CASES:
        axis = -1 if kwargs["data_format"] == "channels_last" else 1
        unknown = [None] * len(shape)
        unknown[axis] = shape[axis]
        ours, theirs = getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)
        told = ours.compute_output_shape(tuple(unknown))
        assert told == tuple(theirs.compute_output_shape(tuple(unknown)))
        assert told.count(None) == len(shape) - 1


def test_some_unknown_lengths():
    assert layers.MaxPooling2D(2).compute_output_shape((None, None, 9, 2)) == (None, None, 4, 2)


def test_max_pooling_on_more_shapes(same):
    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def check(data):
        axes = data.draw(st.integers(1, 3))
        lengths = data.draw(st.tuples(*[st.integers(1, 8)] * axes))
        size = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
        padding = data.draw(st.sampled_from(BOTH))
        assume(padding == "same" or all(k <= n for k, n in zip(size, lengths, strict=True)))
        data_format = data.draw(st.sampled_from(FORMATS))
        shape = channels((2, *lengths, data.draw(st.integers(1, 3))), data_format)
        strides = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
        same(f"MaxPooling{axes}D", size, strides, padding, data_format, shape=shape)

    check()


def numpy_average(x, size, strides):
    """'same' average pooling over (batch, …, channels), from its definition."""
    settings_ = list(zip(x.shape[1:-1], size, strides, strict=True))
    outputs = [-(-n // s) for n, _, s in settings_]
    before = [
        max(0, (w - 1) * s + k - n) // 2 for w, (n, k, s) in zip(outputs, settings_, strict=True)
    ]
    result = np.empty((x.shape[0], *outputs, x.shape[-1]), x.dtype)
    for window in itertools.product(*map(range, outputs)):
        starts = [i * s - b for i, b, s in zip(window, before, strides, strict=True)]
        inside = tuple(slice(max(a, 0), a + k) for a, k in zip(starts, size, strict=True))
        part = x[(slice(None), *inside)]
        result[(slice(None), *window)] = part.mean(tuple(range(1, x.ndim - 1)))
    return result


def test_average_pooling_counts_no_padding(close_to):
    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def check(data):
        axes = data.draw(st.integers(1, 3))
        lengths = data.draw(st.tuples(*[st.integers(1, 7)] * axes))
        size, strides = (data.draw(st.tuples(*[st.integers(1, 4)] * axes)) for _ in "12")
        average = getattr(layers, f"AveragePooling{axes}D")
        x = torch.randn(2, *lengths, 3, dtype=torch.float32)
        y = average(size, strides, "same")(x)
        close_to(y, numpy_average(x.numpy(), size, strides))
        first = average(size, strides, "same", "channels_first")
        close_to(first(x.movedim(-1, 1)).movedim(1, -1), y)

    check()


@pytest.mark.parametrize(
    ("name", "size", "strides", "lengths"),
    [
        ("AveragePooling1D", 2, 1, (4,)),
        ("AveragePooling2D", (2, 3), (1, 2), (4, 6)),
        ("AveragePooling3D", (2, 1, 3), (1, 1, 2), (3, 2, 4)),
    ],
)
def test_average_pooling_with_odd_pads_has_right_gradients(name, size, strides, lengths):
    layer = getattr(layers, name)(size, strides, "same")
    x = torch.randn(1, *lengths, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer.call, (x,))


@pytest.mark.parametrize("axes", LENGTHS)
def test_channels_last_copies_nothing(axes):
    layer = getattr(layers, f"MaxPooling{axes}D")(2)
    assert layer(torch.ones(2, *LENGTHS[axes], 3)).is_contiguous()


def test_shorter_names_are_the_same_classes():
    for kind, short in (("Average", "Avg"), ("Max", "Max")):
        for axes in LENGTHS:
            long = getattr(layers, f"{kind}Pooling{axes}D")
            assert getattr(layers, f"{short}Pool{axes}D") is long


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"pool_size": 0}, "MaxPooling2D: `pool_size` .* Received: pool_size=0"),
        ({"pool_size": (2, 2, 2)}, r"pool_size=\(2, 2, 2\)"),
        ({"strides": 0}, "strides=0"),
        ({"padding": "vaild"}, "Did you mean 'valid'"),
        ({"padding": "causal"}, "Unknown padding: 'causal'"),
        ({"data_format": "last"}, "Unknown data_format: 'last'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.MaxPooling2D(**kwargs)


def test_shapes_that_do_not_fit_name_the_layer():
    with pytest.raises(
        ValueError, match=r"'p' \(MaxPooling2D\) expects .*Received: .*\(None, 4, 4\)"
    ):
        layers.MaxPooling2D(2, name="p").build((None, 4, 4))
    with pytest.raises(ValueError, match="a window of 3 x 3 doesn't fit"):
        layers.AveragePooling2D(3)(torch.ones(1, 2, 5, 1))


@pytest.mark.parametrize("axes", LENGTHS)
@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_inputs_without_a_batch_are_refused(kind, axes):
    layer = getattr(layers, f"{kind}Pooling{axes}D")(2, data_format="channels_first")
    layer.build((None, 3, *LENGTHS[axes]))
    with pytest.raises(ValueError, match=r"expects inputs of shape \(None, None, None"):
        layer(torch.ones(3, *LENGTHS[axes]))
