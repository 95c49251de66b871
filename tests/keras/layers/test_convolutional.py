import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers
from elephas_torch.keras.layers import convolutional


def channels(shape, data_format):
    """A shape with its channels moved to where the format has them."""
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"strides": 2},
        {"strides": (1, 3)},
        {"dilation_rate": 2},
        {"groups": 2},
        {"use_bias": False, "activation": "relu"},
    ],
)
def test_conv2d_is_keras_s(same, data_format, padding, kwargs):
    for kernel_size in (3, (2, 4), 1):
        shape = channels((2, 9, 8, 4), data_format)
        same(
            "Conv2D",
            6,
            kernel_size,
            padding=padding,
            data_format=data_format,
            shape=shape,
            **kwargs,
        )


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(
    "kwargs", [{}, {"strides": 2}, {"dilation_rate": 3}, {"groups": 2}, {"activation": "tanh"}]
)
def test_conv1d_is_keras_s(same, data_format, padding, kwargs):
    for kernel_size in (3, (2,), 1):
        shape = channels((2, 11, 4), data_format)
        same(
            "Conv1D",
            6,
            kernel_size,
            padding=padding,
            data_format=data_format,
            shape=shape,
            **kwargs,
        )


def test_conv2d_on_more_shapes(same):
    @settings(max_examples=15, deadline=None)
    @given(
        st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.sampled_from(["valid", "same"]),
    )
    def check(shape, kernel_size, strides, padding):
        small = kernel_size[0] > shape[1] or kernel_size[1] > shape[2]
        assume(padding == "same" or not small)
        same("Conv2D", 2, kernel_size, strides, padding, shape=shape)

    check()


def test_one_channel_images(same):
    same("Conv2D", 4, 3, activation="relu", shape=(2, 8, 8, 1))
    same("Conv2D", 1, 3, padding="same", shape=(2, 8, 8, 1))


def test_causal_outputs_see_nothing_later():
    conv = layers.Conv1D(2, 3, padding="causal", dilation_rate=2)
    x = torch.randn(1, 10, 3)
    y = conv(x)
    x[:, 6:] = 0
    assert torch.allclose(conv(x)[:, :6], y[:, :6], atol=1e-6)
    assert not torch.allclose(conv(x)[:, 6:], y[:, 6:])


def test_unknown_lengths_stay_unknown():
    conv = layers.Conv2D(4, 3, strides=2)
    assert conv.compute_output_shape((None, None, 9, 2)) == (None, None, 4, 4)
    conv.build((None, None, None, 2))
    assert conv(torch.ones(1, 5, 7, 2)).shape == (1, 2, 3, 4)
    assert conv(torch.ones(1, 9, 5, 2)).shape == (1, 4, 2, 4)


def test_weights_have_keras_s_names_and_shapes():
    conv = layers.Conv2D(6, (3, 2), groups=2)
    conv.build((None, 8, 8, 4))
    assert {n: tuple(w.shape) for n, w in conv.named_parameters()} == {
        "kernel": (3, 2, 2, 6),
        "bias": (6,),
    }
    assert conv.kernel_size == (3, 2)


def test_channels_last_copies_nothing():
    conv = layers.Conv2D(4, 3)
    y = conv(torch.ones(2, 8, 8, 3))
    assert y.is_contiguous()


def test_older_keras_found_pooling_here():
    assert convolutional.MaxPooling2D is layers.MaxPooling2D
    assert layers.Convolution2D is layers.Conv2D
    assert layers.Convolution1D is layers.Conv1D


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "Received: filters=0"),
        ({"kernel_size": 0}, "Received: kernel_size=0"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size=\(3, 3, 3\)"),
        ({"kernel_size": "33"}, "kernel_size='33'"),
        ({"strides": -1}, "Received: strides=-1"),
        ({"strides": (1.5, 1)}, r"strides=\(1.5, 1\)"),
        ({"dilation_rate": 0}, "dilation_rate=0"),
        ({"padding": "some"}, "Unknown padding: 'some'. Did you mean 'same'"),
        ({"padding": "causal"}, "Unknown padding: 'causal'"),
        ({"padding": None}, "Unknown padding: None"),
        ({"data_format": "channel_last"}, "Did you mean 'channels_last'"),
        ({"groups": 0}, "groups=0"),
        ({"groups": 3}, "filters=4, groups=3"),
        ({"strides": 2, "dilation_rate": 2}, "one of `strides` and `dilation_rate` must be 1"),
        ({"kernel_constraint": "max_norm"}, "kernel_constraint='max_norm'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Conv2D(**{"filters": 4, "kernel_size": 3, **kwargs})


def test_names_are_taken_in_any_case():
    assert layers.Conv2D(4, 3, padding="SAME").padding == "same"


def test_shapes_that_do_not_fit_name_the_layer():
    conv = layers.Conv2D(4, 5, name="c")
    with pytest.raises(ValueError, match=r"'c' \(Conv2D\) expects .*\(None, None, None, None\)"):
        conv.build((None, 28, 28))
    with pytest.raises(ValueError, match="must know the length of axis -1"):
        conv.build((None, 28, 28, None))
    with pytest.raises(ValueError, match=r"a window of 5 x 5 doesn't fit .*\(None, 4, 4, 1\)"):
        conv.build((None, 4, 4, 1))
    with pytest.raises(ValueError, match=r"multiple of groups=2\. Received: 3 channels"):
        layers.Conv2D(4, 2, groups=2).build((None, 4, 4, 3))
    conv.build((None, 28, 28, 1))
    with pytest.raises(ValueError, match=r"\(None, None, None, 1\). Received: .*\(2, 28, 28, 3\)"):
        conv(torch.ones(2, 28, 28, 3))
    with pytest.raises(ValueError, match=r"Received: inputs of shape \(2, 784\)"):
        conv(torch.ones(2, 784))
    with pytest.raises(ValueError, match="a window of 5 x 5"):
        conv(torch.ones(2, 4, 4, 1))
