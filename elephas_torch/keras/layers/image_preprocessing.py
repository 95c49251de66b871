"""Layers that make images another size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.preprocessing import DataLayer
from elephas_torch.keras.symbolic import KerasTensor

__all__ = ["CenterCrop", "Resizing"]


class _Sized(DataLayer):
    """A layer that gives images of one height and width; one image without a batch too."""

    def __init__(self, height: int, width: int, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = arguments.positive_integer(type(self).__name__, "height", height)
        self.width = arguments.positive_integer(type(self).__name__, "width", width)
        self.data_format = arguments.data_format(data_format)

    def _height_axis(self, rank: int) -> int:
        if rank not in (3, 4):
            raise ValueError(
                f"{self._label} takes images (height, width, channels), with a batch in front or "
                f"without one. Received: inputs of {rank} axes"
            )
        return -3 if self.data_format == "channels_last" else -2

    def _as_tensors(self, inputs: Any) -> Any:
        return inputs if isinstance(inputs, Tensor) else torch.as_tensor(np.asarray(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = list(input_shape)
        axis = self._height_axis(len(shape))
        shape[axis], shape[axis + 1] = self.height, self.width
        return tuple(shape)

    def _resized(self, images: Tensor, **how: Any) -> Tensor:
        from elephas_torch.keras.ops import image

        size = (self.height, self.width)
        found: Tensor = image.resize(images, size, data_format=self.data_format, **how)
        return found

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "data_format": self.data_format,
        }


class Resizing(_Sized):
    """Makes images another size.

    Follows https://keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing/

    Args:
        height, width: of the outputs.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        crop_to_aspect_ratio: cut away evenly what would distort the image. Default False.
        pad_to_aspect_ratio: add `fill_value` evenly around instead. Default False.
        fill_value: Default 0.
        antialias: let all pixels that a smaller image's pixel covers count. Default False.
        data_format: "channels_last" or "channels_first". Default the global setting.
        **kwargs: see `Layer`.

    Returns:
        (when called) images of the inputs' dtype; whole numbers are rounded.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        known = ("bilinear", "nearest", "bicubic")
        self.interpolation = arguments.choice("interpolation", interpolation, known)
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                "Resizing: only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be set."
            )
        self.fill_mode = arguments.choice("fill_mode", fill_mode, ("constant",))
        self.fill_value = arguments.number("Resizing", "fill_value", fill_value)
        self.antialias = bool(antialias)

    def call(self, inputs: Tensor) -> Tensor:
        self._height_axis(inputs.dim())
        return self._resized(
            inputs,
            interpolation=self.interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
        )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return KerasTensor(self.compute_output_shape(args[0].shape), args[0].dtype)

    def get_config(self) -> dict[str, Any]:
        names = (
            "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode",
            "fill_value", "antialias",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class CenterCrop(_Sized):
    """Cuts the middle out of images; smaller ones are made larger and cut to the form.

    Follows https://keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop/

    Args:
        height, width: of the outputs.
        data_format: "channels_last" or "channels_first". Default the global setting.
        **kwargs: see `Layer`.

    Returns:
        (when called) float images.

    Raises:
        ValueError: `height` or `width` isn't a positive whole number.
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        axis = self._height_axis(inputs.dim())
        images = self._floats(inputs)
        spare = images.shape[axis] - self.height, images.shape[axis + 1] - self.width
        if min(spare) < 0:
            return self._resized(images, crop_to_aspect_ratio=True)
        rows = images.narrow(axis, spare[0] // 2, self.height)
        return rows.narrow(axis + 1, spare[1] // 2, self.width)
