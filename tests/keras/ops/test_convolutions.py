"""Convolution and pooling against Keras 3's."""

import pytest
import torch

from elephas_torch.keras import config, ops

LENGTHS = {1: (7,), 2: (7, 6), 3: (5, 6, 4)}
FORMATS = ["channels_last", "channels_first"]


def inputs(axes, channels, data_format):
    shape = LENGTHS[axes]
    last = data_format == "channels_last"
    return torch.randn(2, *shape, channels) if last else torch.randn(2, channels, *shape)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("size", "strides", "dilation"), [(3, 1, 1), (2, 1, 1), (3, 2, 1), (2, 3, 1), (2, 1, 2)]
)
def test_convolutions(same, axes, data_format, padding, size, strides, dilation):
    x, kernel = inputs(axes, 4, data_format), torch.randn(*[size] * axes, 4, 3)
    same("conv", x, kernel, strides, padding, data_format, dilation, atol=1e-5)
    if strides == 1 or dilation == 1:
        grouped = torch.randn(*[size] * axes, 2, 6)
        same("conv", x, grouped, (strides,) * axes, padding, data_format, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_convolutions_of_channels(same, axes, data_format, padding, strides):
    x = inputs(axes, 3, data_format)
    depthwise, pointwise = torch.randn(*[3] * axes, 3, 2), torch.randn(*[1] * axes, 6, 5)
    rest = strides, padding, data_format
    same("depthwise_conv", x, depthwise, *rest, atol=1e-5)
    same("separable_conv", x, depthwise, pointwise, *rest, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("size", "strides", "dilation", "more"),
    [(3, 1, 1, None), (3, 2, 1, None), (2, 2, 1, None), (2, 3, 1, None), (3, 1, 2, None),
     (3, 2, 1, 1), (4, 2, 1, 0), (5, 3, 1, 2)],
)  # fmt: skip
def test_transposed_convolutions(same, axes, data_format, padding, size, strides, dilation, more):
    x, kernel = inputs(axes, 3, data_format), torch.randn(*[size] * axes, 2, 3)
    rest = padding, more, data_format, dilation
    same("conv_transpose", x, kernel, strides, *rest, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "strides"), [(2, None), (3, 1), (3, 2), (2, 3)])
def test_largest_values_of_windows(same, axes, data_format, padding, size, strides):
    same("max_pool", inputs(axes, 3, data_format), size, strides, padding, data_format)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("size", "strides"), [(2, None), (3, 1), (3, 2)])
def test_means_of_windows(same, axes, data_format, size, strides):
    x = inputs(axes, 3, data_format)
    same("average_pool", x, size, strides, "valid", data_format)
    if size == 3 and strides == 1:  # as much added on both sides: Keras on torch is right there
        same("average_pool", x, size, strides, "same", data_format)


def test_what_same_adds_does_not_count():
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    assert ops.average_pool(x, 2, padding="same").flatten().tolist() == [1.5, 3.0]
    assert ops.average_pool(x, 2, 1, "same").flatten().tolist() == [1.5, 2.5, 3.0]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", ["adaptive_average_pool", "adaptive_max_pool"])
def test_so_many_windows(same, axes, data_format, name):
    same(name, inputs(axes, 3, data_format), 2, data_format)
    same(name, inputs(axes, 3, data_format), (3,) * axes, data_format)


def test_the_global_data_format_is_read():
    x, kernel = torch.randn(1, 2, 5), torch.randn(3, 2, 4)
    config.set_image_data_format("channels_first")
    try:
        assert ops.conv(x, kernel).shape == (1, 4, 3)
    finally:
        config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.conv(x, torch.ones(2, 5, 1)), "Received: 3 and 5"),
        (lambda x: ops.conv(x, torch.ones(2, 3, 1), padding="sane"), "Did you mean 'same'"),
        (lambda x: ops.max_pool(x[0], 2), r"shape \(5, 3\)"),
        (lambda x: ops.max_pool(x, 2, data_format="channels"), "Unknown data_format"),
    ],
)
def test_bad_arguments(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.ones(2, 5, 3))
