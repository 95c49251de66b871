"""Pictures changed by chance, against Keras 3's copy of Keras 2's."""

import numpy as np
import pytest
from keras.src.legacy.preprocessing import image as theirs

from elephas_torch.keras.preprocessing import image

#: What Keras's copy itself warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import .affine_transform:DeprecationWarning",
    "ignore:This ImageDataGenerator specifies:UserWarning",
)

RANDOM = np.random.default_rng(0)
PICTURES = {
    "bytes": RANDOM.integers(0, 256, (6, 6, 3)).astype("f4"),
    "wide": RANDOM.uniform(-30, 300, (6, 6, 3)).astype("f4"),
    "grey": RANDOM.integers(0, 256, (6, 6, 1)).astype("f4"),
    "alpha": RANDOM.integers(0, 256, (6, 6, 4)).astype("f4"),
    "shares": RANDOM.uniform(0, 1, (6, 6, 3)).astype("f4"),
    "one": np.full((6, 6, 3), 40, "f4"),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("brightness", [0, 0.3, 0.99, 1, 1.7, 40])
@pytest.mark.parametrize("scale", [True, False])
def test_brightness(name, brightness, scale):
    ours = image.apply_brightness_shift(PICTURES[name], brightness, scale)
    expected = theirs.apply_brightness_shift(PICTURES[name], brightness, scale)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_brightness_with_the_channels_first():
    x = PICTURES["alpha"]
    ours = image.apply_brightness_shift(x.transpose(2, 0, 1), 0.5, False, channel_axis=0)
    np.testing.assert_array_equal(
        ours.transpose(1, 2, 0), image.apply_brightness_shift(x, 0.5, False)
    )


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("intensity", [-300, -20.5, 0, 60])
def test_channel_shift(name, intensity):
    ours = image.apply_channel_shift(PICTURES[name], intensity, 2)
    expected = theirs.apply_channel_shift(PICTURES[name], intensity, 2)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert ours.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("random_rotation", (40,)),
        ("random_shift", (0.3, 0.2)),
        ("random_shear", (25,)),
        ("random_zoom", ((0.5, 1.5),)),
        ("random_zoom", ((1, 1),)),
    ],
)
def test_random_changes(name, arguments):
    x = PICTURES["bytes"]
    np.random.seed(3)
    ours = getattr(image, name)(x, *arguments, row_axis=0, col_axis=1, channel_axis=2)
    np.random.seed(3)
    expected = getattr(theirs, name)(x, *arguments, row_axis=1, col_axis=0, channel_axis=2)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_random_colours():
    x = PICTURES["bytes"]
    for name, argument in (("random_brightness", (0.5, 2)), ("random_channel_shift", 30.0)):
        np.random.seed(5)
        ours = getattr(image, name)(x, argument)
        np.random.seed(5)
        np.testing.assert_allclose(ours, getattr(theirs, name)(x, argument), rtol=1e-5)


@pytest.mark.parametrize("bad", [(1,), 0.5, "ab", (1, "2")])
def test_bad_ranges_are_refused(bad):
    with pytest.raises(ValueError, match="`zoom_range` must be two numbers"):
        image.random_zoom(PICTURES["bytes"], bad)
    with pytest.raises(ValueError, match="`brightness_range` must be two numbers"):
        image.random_brightness(PICTURES["bytes"], bad)
