"""Pictures as arrays and files, against Keras 3's."""

import io
import sys

import keras
import numpy as np
import pytest
import torch
from PIL import Image

from elephas_torch.keras import config, utils
from elephas_torch.keras.preprocessing.image import smart_resize

RANDOM = np.random.default_rng(0)
FORMATS = ["channels_last", "channels_first"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of different modes, 9 pixels wide and 6 high."""
    folder = tmp_path_factory.mktemp("pictures")
    rgba = RANDOM.integers(0, 256, (6, 9, 4), np.uint8)
    made = {
        "RGB": Image.fromarray(rgba[:, :, :3].copy()),
        "RGBA": Image.fromarray(rgba),
        "L": Image.fromarray(rgba[:, :, 0].copy()),
        "P": Image.fromarray(rgba[:, :, :3].copy()).convert("P"),
        "1": Image.fromarray(rgba[:, :, 0].copy()).convert("1"),
        "I": Image.fromarray(rgba[:, :, 0].astype(np.int32) * 300),
        "I;16": Image.fromarray(rgba[:, :, 0].astype(np.uint16) * 200),
    }
    for mode, image in made.items():
        image.save(folder / f"{mode.replace(';', '')}.tiff")
    return folder


@pytest.mark.parametrize("name", ["RGB", "RGBA", "L", "P", "1", "I", "I16"])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_files_are_read_as_keras_does(pictures, name, color_mode):
    path = pictures / f"{name}.tiff"
    ours, theirs = utils.load_img(path, color_mode), keras.utils.load_img(path, color_mode)
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    np.testing.assert_array_equal(np.array(ours), np.array(theirs))


@pytest.mark.parametrize(
    "interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"]
)
@pytest.mark.parametrize("size", [(6, 9), (4, 4), (13, 5), [3, 20]])
@pytest.mark.parametrize("keep", [False, True])
def test_and_resized(pictures, interpolation, size, keep):
    arguments = {
        "target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep
    }  # fmt: skip
    ours = utils.load_img(pictures / "RGB.tiff", **arguments)
    theirs = keras.utils.load_img(pictures / "RGB.tiff", **arguments)
    np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_names_and_open_files(pictures):
    path = pictures / "RGB.tiff"
    expected = np.array(utils.load_img(path))
    for given in (str(path), str(path).encode(), io.BytesIO(path.read_bytes()), path.open("rb")):
        np.testing.assert_array_equal(np.array(utils.load_img(given)), expected)
        if hasattr(given, "close"):
            given.close()


@pytest.mark.parametrize("data_format", [None, *FORMATS])
@pytest.mark.parametrize("dtype", [None, "uint8", "float64"])
@pytest.mark.parametrize("name", ["RGB", "L"])
def test_pictures_become_arrays(pictures, data_format, dtype, name):
    image = Image.open(pictures / f"{name}.tiff")
    ours = utils.img_to_array(image, data_format, dtype)
    theirs = keras.utils.img_to_array(image, data_format, dtype)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_become_pictures(channels, data_format, scale):
    x = RANDOM.uniform(-20 if scale else 0, 255, (5, 7, channels))
    x = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    ours = utils.array_to_img(x, data_format, scale)
    theirs = keras.utils.array_to_img(x, data_format, scale)
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_a_constant_and_a_deep_array():
    assert np.array(utils.array_to_img(np.full((2, 2, 1), 5))).max() == 0
    deep = utils.array_to_img(np.full((2, 2, 1), 70000), scale=False)
    assert (deep.mode, np.array(deep)[0, 0]) == ("I", 70000)


def test_the_global_data_format_counts():
    config.set_image_data_format("channels_first")
    try:
        image = utils.array_to_img(np.zeros((3, 4, 5)))
        assert image.size == (5, 4)
        assert utils.img_to_array(image).shape == (3, 4, 5)
    finally:
        config.set_image_data_format("channels_last")


def test_keras_1_s_dim_ordering():
    with pytest.warns(DeprecationWarning, match="old name of `data_format`") as caught:
        assert utils.img_to_array(np.zeros((4, 5, 3)), dim_ordering="th").shape == (3, 4, 5)
        assert utils.array_to_img(np.zeros((3, 4, 5)), dim_ordering="th").size == (5, 4)
    assert {one.filename for one in caught} == {__file__}
    with pytest.raises(ValueError, match="Unknown dim_ordering: 'ft'"), pytest.warns(Warning):
        utils.img_to_array(np.zeros((4, 5, 3)), dim_ordering="ft")
    with pytest.raises(TypeError, match="img_to_array got an argument"):
        utils.img_to_array(np.zeros((4, 5, 3)), format="th")


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.bmp"])
@pytest.mark.parametrize("scale", [True, False])
def test_files_are_written_as_keras_does(tmp_path, name, scale):
    x = RANDOM.integers(0, 256, (6, 9, 3))
    utils.save_img(tmp_path / name, x, scale=scale)
    keras.utils.save_img(tmp_path / f"theirs_{name}", x, scale=scale)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"theirs_{name}").read_bytes()


def test_transparency_and_formats(tmp_path):
    with pytest.warns(UserWarning, match="saving RGBA as RGB") as caught:
        utils.save_img(tmp_path / "a.jpg", RANDOM.uniform(size=(4, 4, 4)))
    assert caught[0].filename == __file__
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "RGB"
    file = io.BytesIO()
    utils.save_img(file, np.zeros((4, 4, 1)), file_format="PNG")
    assert Image.open(file).format == "PNG"


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("size", [(4, 4), (13, 5), (6, 9), (1, 30)])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_smart_resize(interpolation, size, data_format, batch, dtype):
    x = RANDOM.uniform(0, 255, (2, 6, 9, 3)).astype(dtype)
    x = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    x = x if batch else x[0]
    ours = smart_resize(x, size, interpolation, data_format)
    theirs = keras.preprocessing.image.smart_resize(x, size, interpolation, data_format)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert torch.equal(
        smart_resize(torch.from_numpy(x), size, interpolation, data_format), torch.from_numpy(ours)
    )


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda p: utils.load_img(p, "rbg"), ValueError, "color_mode: 'rbg'. Did you mean 'rgb'"),
        (lambda p: utils.load_img(p, interpolation="cubic"), ValueError, "Unknown interpolation"),
        (lambda p: utils.load_img(p, target_size=5.0), ValueError, "`target_size` must be"),
        (lambda p: utils.load_img(p, target_size=(0, 5)), ValueError, "`target_size` must be"),
        (lambda p: utils.load_img(5), TypeError, "`path` must be a file's name.*int"),
        (lambda p: utils.img_to_array(np.zeros(3)), ValueError, r"shape=\(3,\)"),
        (lambda p: utils.img_to_array(np.zeros((2, 2)), "last"), ValueError, "data_format"),
        (lambda p: utils.array_to_img(np.zeros((2, 2))), ValueError, r"shape=\(2, 2\)"),
        (lambda p: utils.array_to_img(np.zeros((2, 2, 2))), ValueError, "1, 3 or 4 channels"),
        (lambda p: smart_resize(np.zeros((2, 2)), (1, 1)), ValueError, r"shape=\(2, 2\)"),
        (lambda p: smart_resize(np.zeros((2, 2, 3)), (1, 1, 1)), ValueError, "`size` must be"),
        (lambda p: smart_resize(np.zeros((2, 2, 3)), 1, "lanczos3"), ValueError, "interpolation"),
    ],
)
def test_bad_arguments_are_refused(pictures, call, error, says):
    with pytest.raises(error, match=says):
        call(pictures / "RGB.tiff")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("load_img", lambda: utils.load_img("x.png")),
        ("array_to_img", lambda: utils.array_to_img(np.zeros((2, 2, 3)))),
        ("array_to_img", lambda: utils.save_img("x.png", np.zeros((2, 2, 3)))),
        ("image_dataset_from_directory", lambda: utils.image_dataset_from_directory(".")),
    ],
)
def test_without_pillow_the_extra_is_named(monkeypatch, name, call):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=rf"{name} needs Pillow: .*elephas-torch\[image\]"):
        call()
