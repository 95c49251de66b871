import itertools

import keras
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
LENGTHS = {"DepthwiseConv1D": 1, "DepthwiseConv2D": 2, "SeparableConv1D": 1, "SeparableConv2D": 2}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


def cases(name, shape, variants):
    """(layer, arguments, input shape) for each variant with each padding and format."""
    filters = {"filters": 5} if name.startswith("Separable") else {}
    return [
        (
            name,
            {**filters, "padding": padding, "data_format": data_format, **variant},
            channels(shape, data_format),
        )
        for padding, data_format, variant in itertools.product(["valid", "same"], FORMATS, variants)
    ]


ONE_AXIS = [
    {"kernel_size": 3},
    {"kernel_size": (4,), "strides": 2},
    {"kernel_size": 2, "dilation_rate": 3, "activation": "relu"},
    {"kernel_size": 2, "depth_multiplier": 3},
    {"kernel_size": 1, "use_bias": False},
]
TWO_AXES = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "strides": 2},
    {"kernel_size": 2, "strides": (1, 3)},
    {"kernel_size": 2, "dilation_rate": (2, 3)},
    {"kernel_size": (1, 4), "depth_multiplier": 2, "activation": "tanh"},
    {"kernel_size": 3, "strides": 2, "dilation_rate": 2},
    {"kernel_size": 3, "use_bias": False},
]
CASES = [
    *cases("DepthwiseConv1D", (2, 9, 3), ONE_AXIS),
    *cases("SeparableConv1D", (2, 9, 3), ONE_AXIS),
    *cases("DepthwiseConv2D", (2, 7, 8, 3), TWO_AXES),
    *cases("SeparableConv2D", (2, 7, 8, 3), TWO_AXES),
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


def test_on_more_shapes(same):
    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def check(data):
        name = data.draw(st.sampled_from(list(LENGTHS)))
        axes = LENGTHS[name]
        several = st.tuples(*[st.integers(1, 3)] * axes)
        lengths = data.draw(st.tuples(*[st.integers(1, 7)] * axes))
        kernel_size, steps = data.draw(several), data.draw(several)
        kind = data.draw(st.sampled_from(["strides", "dilation_rate"]))
        dilation = steps if kind == "dilation_rate" else (1,) * axes
        reach = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
        padding = data.draw(st.sampled_from(["valid", "same"]))
        fits = all(r <= n for r, n in zip(reach, lengths, strict=True))
        assume(padding == "same" or fits)
        data_format = data.draw(st.sampled_from(FORMATS))
        filters = {"filters": 2} if name.startswith("Separable") else {}
        same(
            name,
            **filters,
            kernel_size=kernel_size,
            padding=padding,
            data_format=data_format,
            depth_multiplier=data.draw(st.integers(1, 2)),
            shape=channels((2, *lengths, data.draw(st.integers(1, 3))), data_format),
            **{kind: steps},
        )

    check()


# Keras 3 has no "causal" here, and Keras 2 had: it is held against zeros put before.
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    ("name", "kwargs"), [("DepthwiseConv1D", {}), ("SeparableConv1D", {"filters": 4})]
)
def test_causal_is_valid_on_zeros_before(close_to, name, kwargs, data_format):
    kwargs = {**kwargs, "kernel_size": 3, "dilation_rate": 2, "data_format": data_format}
    x = torch.randn(channels((2, 8, 3), data_format))
    causal = getattr(layers, name)(padding="causal", **kwargs)
    valid = getattr(layers, name)(**kwargs)
    causal.build((None, *x.shape[1:]))
    valid.build((None, *x.shape[1:]))
    valid.set_weights(causal.get_weights())
    padded = layers.ZeroPadding1D((4, 0), data_format)(x)
    close_to(causal(x).detach(), valid(padded).detach())
    assert causal.compute_output_shape(tuple(x.shape)) == tuple(causal(x).shape)


def test_weights_have_keras_s_names_and_shapes():
    depthwise = layers.DepthwiseConv2D((3, 2), depth_multiplier=2)
    depthwise.build((None, 8, 8, 4))
    assert {n: tuple(w.shape) for n, w in depthwise.named_parameters()} == {
        "kernel": (3, 2, 4, 2),
        "bias": (8,),
    }
    separable = layers.SeparableConv2D(5, (3, 2), depth_multiplier=2)
    separable.build((None, 8, 8, 4))
    assert {n: tuple(w.shape) for n, w in separable.named_parameters()} == {
        "depthwise_kernel": (3, 2, 4, 2),
        "pointwise_kernel": (1, 1, 8, 5),
        "bias": (5,),
    }


@pytest.mark.parametrize("name", LENGTHS)
def test_regularizers_and_constraints_travel(same, name):
    separable = name.startswith("Separable")
    filters = {"filters": 2, "pointwise_constraint": "max_norm"} if separable else {}
    found = same(
        name,
        **filters,
        kernel_size=2,
        depthwise_regularizer="l2",
        depthwise_constraint="non_neg",
        bias_regularizer="l2",
        activity_regularizer="l2",
        shape=(2, *[3] * LENGTHS[name], 2),
    )
    assert len(found.ours.regularized_weights()) == 2
    assert len(found.ours.constrained_weights()) == 1 + separable


@pytest.mark.parametrize("name", LENGTHS)
def test_channels_last_copies_nothing(name):
    filters = {"filters": 4} if name.startswith("Separable") else {}
    layer = getattr(layers, name)(kernel_size=3, **filters)
    assert layer(torch.ones(2, *[8] * LENGTHS[name], 3)).is_contiguous()


@pytest.mark.parametrize("name", LENGTHS)
def test_configs_of_keras_2_are_read(name):
    """They have what these layers had from Conv, and real Keras 3 refuses that."""
    filters = {"filters": 4} if name.startswith("Separable") else {}
    config = getattr(layers, name)(kernel_size=3, **filters).get_config()
    glorot = {"class_name": "GlorotUniform", "config": {"seed": None}}
    of_conv = {"groups": 1, "kernel_initializer": glorot, "kernel_regularizer": None}
    again = getattr(layers, name).from_config({**config, **of_conv, "kernel_constraint": None})
    assert again.get_config() == config


def test_other_names_are_the_same_classes():
    assert layers.SeparableConvolution1D is layers.SeparableConv1D
    assert type(layers.SeparableConvolution2D(2, (3, 3))) is layers.SeparableConv2D


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "SeparableConv2D: `filters` .* Received: filters=0"),
        ({"depth_multiplier": 0}, "depth_multiplier=0"),
        ({"kernel_size": (3,)}, r"kernel_size=\(3,\)"),
        ({"padding": "causal"}, "Unknown padding: 'causal'"),
        ({"data_format": "first"}, "Unknown data_format: 'first'"),
        ({"depthwise_constraint": "max_nrom"}, "max_nrom"),
        ({"kernel_regularizer": "l2"}, "kernel_regularizer"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        layers.SeparableConv2D(**{"filters": 4, "kernel_size": 3, **kwargs})


def test_shapes_that_do_not_fit_name_the_layer():
    layer = layers.DepthwiseConv2D(3, name="d")
    with pytest.raises(ValueError, match=r"'d' \(DepthwiseConv2D\) expects inputs of shape"):
        layer.build((None, 8, 8))
    with pytest.raises(ValueError, match="must know the length of axis -1"):
        layer.build((None, 8, 8, None))
    with pytest.raises(ValueError, match=r"a window of 3 x 3 doesn't fit .*\(None, 2, 8, 1\)"):
        layer.build((None, 2, 8, 1))
    layer.build((None, 8, 8, 2))
    with pytest.raises(ValueError, match=r"\(None, None, None, 2\). Received: .*\(1, 8, 8, 4\)"):
        layer(torch.ones(1, 8, 8, 4))
