"""Images against Keras 3's."""

import pytest
import torch

from elephas_torch.keras import ops

FORMATS = ["channels_last", "channels_first"]


def image(data_format, height=6, width=8, batch=2, channels=3):
    shape = (
        (height, width, channels) if data_format == "channels_last" else (channels, height, width)
    )
    return torch.rand(*([batch] if batch else []), *shape)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("size", [(3, 4), (9, 5)])
def test_resize(same, data_format, batch, interpolation, size):
    x = image(data_format, batch=batch)
    for options in ({}, {"antialias": True}, {"crop_to_aspect_ratio": True}):
        same("image.resize", x, size, interpolation, data_format=data_format, **options)
    whole = (x * 255).to(torch.uint8)
    same("image.resize", whole, size, interpolation, data_format=data_format)


def test_resize_with_borders(same):
    for x, size in ((image("channels_last", 6, 8), (8, 8)), (image("channels_last", 8, 4), (4, 4))):
        same("image.resize", x, size, pad_to_aspect_ratio=True, fill_value=0.5)
    x = image("channels_last", 5, 8)
    odd = ops.image.resize(x, (8, 8), "nearest", pad_to_aspect_ratio=True)
    assert torch.equal(odd[:, 1:6], x) and not odd[:, 0].any() and not odd[:, 6:].any()


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("batch", [0, 2])
def test_colours(same, data_format, batch):
    x = image(data_format, batch=batch)
    same("image.rgb_to_grayscale", x, data_format)
    same("image.rgb_to_grayscale", image(data_format, channels=1), data_format)
    same("image.rgb_to_hsv", x, data_format, differentiate=False)
    same("image.hsv_to_rgb", x, data_format)
    back = ops.image.hsv_to_rgb(ops.image.rgb_to_hsv(x, data_format), data_format)
    torch.testing.assert_close(back, x)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("batch", [0, 2])
def test_borders(same, data_format, batch):
    x = image(data_format, batch=batch)
    same("image.pad_images", x, 1, 2, 3, 0, data_format=data_format)
    same("image.pad_images", x, 1, 2, target_height=9, target_width=12, data_format=data_format)
    same("image.crop_images", x, 1, 2, 3, 0, data_format=data_format)
    same("image.crop_images", x, 1, 2, target_height=4, target_width=3, data_format=data_format)


@pytest.mark.parametrize("data_format", FORMATS)
def test_patches(same, data_format):
    x = image(data_format)
    same("image.extract_patches", x, 2, data_format=data_format)
    same("image.extract_patches", x, (3, 2), 1, 1, "same", data_format)
    same("image.extract_patches", x[0], (3, 2), 2, data_format=data_format)
    same("image.extract_patches_3d", torch.rand(2, 4, 4, 4, 1), 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.image.resize(x, (3, 3), "bilinaer"), "Did you mean 'bilinear'"),
        (lambda x: ops.image.resize(x, 3 * (3,)), r"size=\(3, 3, 3\)"),
        (lambda x: ops.image.resize(x[0, 0], (3, 3)), r"shape \(8, 3\)"),
        (lambda x: ops.image.rgb_to_grayscale(x[..., :2]), "three channels"),
        (lambda x: ops.image.rgb_to_hsv(x.to(torch.uint8)), "float type"),
        (lambda x: ops.image.pad_images(x, 1, 1), "exactly two"),
        (lambda x: ops.image.crop_images(x, 1, 1, target_height=9, target_width=2), "become 9"),
    ],
)
def test_bad_arguments(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.rand(2, 6, 8, 3))
