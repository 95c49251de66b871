"""Pictures as Pillow's images and as arrays.

Follows https://keras.io/api/data_loading/image/
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown, unknown_arguments
from elephas_torch.keras import config
from elephas_torch.keras.utils import resizing

#: Pillow's modes that need no conversion, and what others are converted to.
_MODES = {
    "grayscale": (("L", "I;16", "I"), "L"),
    "rgb": (("RGB",), "RGB"),
    "rgba": (("RGBA",), "RGBA"),
}
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
#: Keras 1's `dim_ordering` as `data_format`.
_ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": None}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(owner: str) -> Any:
    """Returns Pillow's module `Image`.

    Raises:
        ImportError: Pillow isn't installed; the message names the extra.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{owner} needs Pillow: pip install 'elephas-torch[image]'.") from error
    return Image


def data_format_of(owner: str, data_format: str | None, kwargs: dict[str, Any]) -> str:
    """Returns the data format, also where it has Keras 1's name, `dim_ordering`.

    Args:
        owner: the function that got the arguments, for messages.
        data_format: today's argument; None is the global setting.
        kwargs: arguments that are left.

    Raises:
        TypeError: another argument is left.
        ValueError: the format isn't known.
    """
    if set(kwargs) - {"dim_ordering"}:
        raise unknown_arguments(owner, set(kwargs) - {"dim_ordering"}, ["data_format"])
    if "dim_ordering" in kwargs:
        warnings.warn(
            f"{owner}(dim_ordering=…) is the old name of `data_format`.",
            DeprecationWarning,
            stacklevel=3,
        )
        ordering = kwargs["dim_ordering"]
        if ordering not in _ORDERINGS:
            raise unknown("dim_ordering", ordering, _ORDERINGS)
        data_format = _ORDERINGS[ordering]
    return config.checked_data_format(data_format)


def load_img(
    path: str | bytes | os.PathLike[str] | IO[bytes],
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Reads a picture.

    Args:
        path: a file's name, or an open file.
        color_mode: "grayscale", "rgb" or "rgba".
        target_size: (height, width) to resize it to.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: cut off what is too wide or too high, in place of distorting it.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ImportError: Pillow isn't installed.
        ValueError: `color_mode`, `interpolation` or `target_size` isn't one of the above.
        TypeError: `path` is none.
    """
    Image = pillow("load_img")
    if color_mode not in _MODES:
        raise unknown("color_mode", color_mode, _MODES)
    if interpolation not in INTERPOLATIONS:
        raise unknown("interpolation", interpolation, INTERPOLATIONS)
    image = Image.open(_opened(path))
    fine, other = _MODES[color_mode]
    if image.mode not in fine:
        image = image.convert(other)
    if target_size is None:
        image.load()
        return image
    height, width = resizing.checked_size("target_size", target_size)
    if image.size == (width, height):
        image.load()
        return image
    box = _centre(image.size, width, height) if keep_aspect_ratio else None
    return image.resize((width, height), getattr(Image.Resampling, interpolation.upper()), box=box)


def _opened(path: Any) -> Any:
    if hasattr(path, "read"):
        return path
    if isinstance(path, str | bytes | os.PathLike):
        return io.BytesIO(Path(os.fsdecode(path)).read_bytes())
    raise TypeError(
        f"`path` must be a file's name or an open file. Received: {type(path).__name__}"
    )


def _centre(size: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """The largest box of that proportion in the middle: left, upper, right, lower."""
    wide, high = size
    inner_high = min(high, wide * height // width)
    inner_wide = min(wide, high * width // height)
    left, upper = (wide - inner_wide) // 2, (high - inner_high) // 2
    return left, upper, left + inner_wide, upper + inner_high


def img_to_array(
    img: Any, data_format: str | None = None, dtype: Any = None, **kwargs: Any
) -> np.ndarray:
    """Returns a picture as an array.

    Args:
        img: a `PIL.Image.Image`, or an array of shape (height, width) or (height, width, channels).
        data_format: "channels_last" or "channels_first"; the global setting by default.
        dtype: default `keras.config.floatx()`.
        kwargs: `dim_ordering`, Keras 1's name of `data_format`: "tf" or "th".

    Returns:
        An array of shape (height, width, channels), or (channels, height, width).

    Raises:
        ValueError: it has another number of dimensions, or `data_format` is neither.
    """
    first = data_format_of("img_to_array", data_format, kwargs) == "channels_first"
    array = np.asarray(img, dtype=dtype or config.floatx())
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"A picture has 2 or 3 dimensions. Received: shape={array.shape}")
    return array.transpose(2, 0, 1) if first else array


def array_to_img(
    x: Any,
    data_format: str | None = None,
    scale: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Makes a picture of an array.

    Args:
        x: shape (height, width, channels), or (channels, height, width); 1, 3 or 4 channels.
        data_format: "channels_last" or "channels_first"; the global setting by default.
        scale: spread the values from 0 to 255. Default True; else they are taken as they are.
        dtype: to compute with. Default `keras.config.floatx()`.
        kwargs: `dim_ordering`, Keras 1's name of `data_format`: "tf" or "th".

    Returns:
        A `PIL.Image.Image` of mode "L" (or "I" with values over 255), "RGB" or "RGBA".

    Raises:
        ImportError: Pillow isn't installed.
        ValueError: it has another shape, or `data_format` is neither.
    """
    Image = pillow("array_to_img")
    first = data_format_of("array_to_img", data_format, kwargs) == "channels_first"
    array = np.asarray(x, dtype=dtype or config.floatx())
    if array.ndim != 3:
        raise ValueError(f"`x` must be one picture of 3 dimensions. Received: shape={array.shape}")
    array = array.transpose(1, 2, 0) if first else array
    if array.shape[2] not in CHANNELS.values():
        raise ValueError(f"`x` must have 1, 3 or 4 channels. Received: shape={array.shape}")
    array = _spread(array) if scale else array
    if array.shape[2] > 1:
        return Image.fromarray(np.ascontiguousarray(array.astype(np.uint8)))
    deep = array.size and array.max() > 255
    return Image.fromarray(array[:, :, 0].astype(np.int32 if deep else np.uint8))


def _spread(array: np.ndarray) -> np.ndarray:
    array = array - array.min()
    largest = array.max()
    return (array / largest if largest else array) * 255


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Writes an array as a picture's file.

    Args:
        path: the file's name, or an open file.
        x, data_format, scale: as in `array_to_img`.
        file_format: "png", "jpeg" and so on; by default what the name ends with.
        kwargs: for `PIL.Image.Image.save`.

    Raises:
        ImportError: Pillow isn't installed.
        ValueError: as in `array_to_img`, or Pillow doesn't know the format.
    """
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = Path(path).suffix[1:]
    file_format = (file_format or "").lower() or None
    file_format = "jpeg" if file_format == "jpg" else file_format
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warnings.warn("JPEG has no transparency: saving RGBA as RGB.", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)


def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
) -> Any:
    """Resizes pictures without distorting them: the largest middle part that fits is kept.

    Args:
        x: shape (height, width, channels) or (batch, height, width, channels), or with the
            channels before the height.
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic" or "area".
        data_format: "channels_last" or "channels_first".

    Returns:
        An array, or for a tensor a tensor.

    Raises:
        ValueError: one of the arguments is none of these.
    """
    images = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x)
    result = resizing.resize(images, size, interpolation, data_format, crop=True)
    return result if isinstance(x, Tensor) else result.numpy()
