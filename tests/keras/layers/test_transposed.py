import itertools

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]
LENGTHS = {"Conv1DTranspose": 1, "Conv2DTranspose": 2, "Conv3DTranspose": 3}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


def cases(name, shape, variants):
    """(layer, arguments, input shape) for each variant with each padding and format."""
    return [
        (
            name,
            {"filters": 3, "padding": padding, "data_format": data_format, **variant},
            channels(shape, data_format),
        )
        for padding, data_format, variant in itertools.product(["valid", "same"], FORMATS, variants)
    ]


CASES = [
    *cases(
        "Conv1DTranspose",
        (2, 5, 4),
        [
            {"kernel_size": 3},
            {"kernel_size": (4,), "strides": 2},
            {"kernel_size": 3, "strides": 2, "activation": "relu"},
            {"kernel_size": 2, "strides": 5},
            {"kernel_size": 1, "strides": 4},
            {"kernel_size": 3, "dilation_rate": 2},
            {"kernel_size": 4, "strides": 3, "output_padding": 2},
            {"kernel_size": 5, "strides": 2, "output_padding": 0},
            {"kernel_size": 3, "use_bias": False},
        ],
    ),
    *cases(
        "Conv2DTranspose",
        (2, 4, 3, 2),
        [
            {"kernel_size": 3},
            {"kernel_size": (2, 5), "strides": 2},
            {"kernel_size": 3, "strides": (2, 3)},
            {"kernel_size": (1, 4), "strides": (3, 2)},
            {"kernel_size": (3, 2), "dilation_rate": (1, 3)},
            {"kernel_size": 3, "strides": 2, "output_padding": 1},
            {"kernel_size": (4, 3), "strides": (3, 2), "output_padding": (2, 0)},
            {"kernel_size": 3, "use_bias": False, "activation": "tanh"},
        ],
    ),
    *cases(
        "Conv3DTranspose",
        (2, 3, 2, 2, 2),
        [
            {"kernel_size": 2},
            {"kernel_size": 3, "strides": 2},
            {"kernel_size": (1, 2, 4), "strides": (2, 3, 2)},
            {"kernel_size": 2, "dilation_rate": 2},
            {"kernel_size": 3, "strides": 2, "output_padding": (1, 0, 1)},
        ],
    ),
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
    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def check(data):
        name = data.draw(st.sampled_from(list(LENGTHS)))
        axes = LENGTHS[name]
        several = st.tuples(*[st.integers(1, 4)] * axes)
        lengths = data.draw(st.tuples(*[st.integers(2, 4)] * axes))
        kind = data.draw(st.sampled_from(["strides", "dilation_rate"]))
        steps = data.draw(several)
        added = None
        if kind == "strides" and data.draw(st.booleans()):
            added = data.draw(st.tuples(*[st.integers(0, n - 1) for n in steps]))
        data_format = data.draw(st.sampled_from(FORMATS))
        same(
            name,
            filters=2,
            kernel_size=data.draw(several),
            padding=data.draw(st.sampled_from(["valid", "same"])),
            output_padding=added,
            data_format=data_format,
            shape=channels((1, *lengths, 2), data_format),
            **{kind: steps},
        )

    check()


def test_it_is_the_gradient_of_a_convolution():
    conv, back = layers.Conv2D(3, 3, strides=2), layers.Conv2DTranspose(2, 3, strides=2)
    x, y = torch.randn(1, 7, 7, 2), torch.randn(1, 3, 3, 3)
    conv.build((None, 7, 7, 2))
    back.build((None, 3, 3, 3))
    back.set_weights([conv.get_weights()[0], [0.0, 0.0]])
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(conv(x), x, y)
    assert torch.allclose(back(y), gradient, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "shape", "kernel"),
    [
        ("Conv1DTranspose", 3, (None, 8, 4), (3, 6, 4)),
        ("Conv2DTranspose", (3, 2), (None, 8, 8, 4), (3, 2, 6, 4)),
        ("Conv3DTranspose", (3, 2, 1), (None, 8, 8, 8, 4), (3, 2, 1, 6, 4)),
    ],
)
def test_weights_have_keras_s_names_and_shapes(name, size, shape, kernel):
    conv = getattr(layers, name)(6, size)
    conv.build(shape)
    weights = {n: tuple(w.shape) for n, w in conv.named_parameters()}
    assert weights == {"kernel": kernel, "bias": (6,)}
    assert conv.kernel_size == kernel[:-2]


def test_arguments_are_in_keras_s_order():
    flat = layers.Conv2DTranspose(3, 3, 2, "same", 1, "channels_first")
    deep = layers.Conv3DTranspose(3, 3, 2, "same", "channels_first", 1, 1, "relu")
    for layer in (flat, deep):
        assert layer.output_padding == (1,) * layer.axes
        assert layer.data_format == "channels_first"
    assert deep.get_config()["activation"] == "relu"


@pytest.mark.parametrize("name", LENGTHS)
def test_regularizers_and_constraints_travel(same, name):
    found = same(
        name,
        2,
        2,
        kernel_regularizer="l2",
        bias_constraint="non_neg",
        activity_regularizer="l2",
        shape=(2, *[3] * LENGTHS[name], 2),
    )
    assert len(found.ours.regularized_weights()) == 1
    assert len(found.ours.constrained_weights()) == 1


@pytest.mark.parametrize("name", LENGTHS)
def test_configs_of_keras_2_are_read(name):
    """They have `groups`, which real Keras 3 refuses."""
    config = getattr(layers, name)(4, 3).get_config()
    assert getattr(layers, name).from_config({**config, "groups": 1}).get_config() == config


def test_other_names_are_the_same_classes():
    for axes in (1, 2, 3):
        conv = getattr(layers, f"Conv{axes}DTranspose")
        assert getattr(layers, f"Convolution{axes}DTranspose") is conv


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "Conv2DTranspose: `filters` .* Received: filters=0"),
        ({"kernel_size": (1, 2, 3)}, r"kernel_size=\(1, 2, 3\)"),
        ({"padding": "causal"}, "Unknown padding: 'causal'"),
        ({"output_padding": 1}, r"less than `strides`. Received: output_padding=1, strides=\(1"),
        ({"strides": 2, "output_padding": -1}, "output_padding=-1"),
        ({"strides": 2, "output_padding": (1, 1, 1)}, r"output_padding=\(1, 1, 1\)"),
        ({"strides": 2, "output_padding": "1"}, "output_padding='1'"),
        ({"strides": 2, "dilation_rate": 2}, "one of `strides` and `dilation_rate` must be 1"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Conv2DTranspose(**{"filters": 4, "kernel_size": 3, **kwargs})


def test_shapes_that_do_not_fit_name_the_layer():
    conv = layers.Conv2DTranspose(4, 2, 2, "same", output_padding=0, name="c")
    with pytest.raises(ValueError, match=r"'c' \(Conv2DTranspose\) expects inputs of shape"):
        conv.build((None, 28, 28))
    with pytest.raises(ValueError, match=r"leave nothing of the inputs.*\(None, 1, 5, 3\)"):
        conv.build((None, 1, 5, 3))
    conv.build((None, 4, 5, 3))
    with pytest.raises(ValueError, match=r"\(None, None, None, 3\). Received: .*\(2, 4, 5, 2\)"):
        conv(torch.ones(2, 4, 5, 2))
