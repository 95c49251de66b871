"""Layers that make sequences, images and volumes larger by whole factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.spatial import Spatial


class _UpSampling(Spatial):
    def __init__(
        self, size: int | Sequence[int] = 2, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._factors = arguments.integers(type(self).__name__, "size", size, self.axes)
        self.size: Any = self._factors
        self._set_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_rank(inputs)
        return repeated(inputs, self._factors, self._first)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        shape = list(input_shape)
        for axis, factor in enumerate(self._factors, self._first):
            length = shape[axis]
            shape[axis] = None if length is None else length * factor
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}


class UpSampling1D(_UpSampling):
    """Repeats each step.

    Follows https://keras.io/api/layers/reshaping_layers/up_sampling1d/

    Args:
        size: how often, a whole number. Default 2.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `size` isn't a positive whole number.
    """

    axes = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(size, "channels_last", **kwargs)
        self.size = self._factors[0]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class UpSampling2D(_UpSampling):
    """Makes images larger.

    Follows https://keras.io/api/layers/reshaping_layers/up_sampling2d/

    Args:
        size: factors for height and width, one number for both or two. Default (2, 2).
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        interpolation: "nearest" (default: rows and columns are repeated), "bilinear" or
            "bicubic" (with a = -0.75, as Keras on torch; Keras on TensorFlow has -0.5).
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument out of its range; Keras's "lanczos3" and "lanczos5", which
            torch hasn't got.

    Example:

        >>> import torch
        >>> UpSampling2D(2, interpolation="bilinear")(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    axes = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        if interpolation in ("lanczos3", "lanczos5"):
            raise ValueError(
                "UpSampling2D: torch has no Lanczos interpolation. Use 'bicubic'. "
                f"Received: interpolation={interpolation!r}"
            )
        known = ("nearest", "bilinear", "bicubic")
        self.interpolation = arguments.choice("interpolation", interpolation, known)

    def call(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super().call(inputs)
        image = self._image(inputs)
        size = [n * factor for n, factor in zip(image.shape[2:], self._factors, strict=True)]
        larger = F.interpolate(image, size, mode=self.interpolation, align_corners=False)
        return self._outputs(larger)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """Repeats the planes, rows and columns of volumes.

    Follows https://keras.io/api/layers/reshaping_layers/up_sampling3d/

    Args:
        size: how often, one number for all axes or three. Default (2, 2, 2).
        data_format: "channels_last" (default): (batch, depth, height, width, channels), or
            "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument out of its range.
    """

    axes = 3


def repeated(inputs: Tensor, factors: Sequence[int], first: int) -> Tensor:
    """Repeats the elements along the axes from `first` on, each by its factor, in one copy."""
    shape = tuple(inputs.shape)
    last = first + len(factors)
    wide, whole = shape[:first], shape[:first]
    for number, (length, factor) in enumerate(zip(shape[first:last], factors, strict=True)):
        inputs = inputs.unsqueeze(first + 2 * number + 1)
        wide, whole = (*wide, length, factor), (*whole, length * factor)
    return inputs.expand(*wide, *shape[last:]).reshape(*whole, *shape[last:])
