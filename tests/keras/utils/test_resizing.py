"""Pictures in another size, against Keras 3's ops.image.resize on torch."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras.utils import resizing

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("size", [(4, 4), (13, 5), (6, 9), (1, 30)])
@pytest.mark.parametrize("fit", [{}, {"crop": True}, {"pad": True}])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32"])
def test_it_is_keras_s(interpolation, size, fit, data_format, dtype):
    x = RANDOM.uniform(0, 255, (6, 9, 3) if data_format == "channels_last" else (3, 6, 9))
    x = x.astype(dtype)
    ours = resizing.resize(torch.from_numpy(x), size, interpolation, data_format, **fit)
    theirs = keras.ops.image.resize(
        x,
        size,
        interpolation,
        data_format=data_format,
        **{f"{name}_to_aspect_ratio": value for name, value in fit.items()},
    )
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), keras.ops.convert_to_numpy(theirs), 1e-5, 1e-6)


def test_area_is_the_mean_of_the_pixels():
    x = torch.arange(16.0).reshape(4, 4, 1)
    assert resizing.resize(x, 2, "AREA").flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_cropping_and_padding_at_once_is_refused():
    with pytest.raises(ValueError, match="Only one of"):
        resizing.resize(torch.zeros(2, 2, 3), 2, crop=True, pad=True)
