"""Pooling: the largest value or the mean of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.shapes import same_padding
from elephas_torch.keras.layers.windows import (
    Pads,
    Windowed,
    pad,
    symmetric,
    window_config,
)

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


class _Pooling(Windowed):
    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.size = arguments.integers(owner, "pool_size", pool_size, self.axes)
        strides = self.size if strides is None else strides
        self.strides = arguments.integers(owner, "strides", strides, self.axes)
        self.padding = arguments.padding(padding)
        self._set_format(data_format)
        self.dilation_rate = (1,) * self.axes
        self._lay_out()

    @property
    def pool_size(self) -> tuple[int, ...]:
        """The window's lengths."""
        return self.size

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        image = self._image(inputs)
        if self.padding == "same":
            return self._outputs(self._pool_same(image))
        return self._outputs(self._pool(image, self._no_pads))

    def _pool_same(self, image: Tensor) -> Tensor:
        pads = self._same_pads(image)
        if symmetric(pads):
            return self._pool(image, tuple(before for before, _ in pads))
        return self._pool_padded(image, pads)

    def _pool(self, image: Tensor, pads: tuple[int, ...]) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _pool(image, pads).")

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _pool_padded(image, pads).")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, input_shape[self._channel_axis])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **window_config(self, "pool_size")}


class _MaxPooling(_Pooling):
    def _pool(self, image: Tensor, pads: tuple[int, ...]) -> Tensor:
        pool = F.max_pool3d if self.axes == 3 else F.max_pool2d
        return pool(image, self._size, self._strides, pads)

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        return self._pool(pad(image, pads, float("-inf")), self._no_pads)


class _AveragePooling(_Pooling):
    def _pool(self, image: Tensor, pads: tuple[int, ...]) -> Tensor:
        pool = F.avg_pool3d if self.axes == 3 else F.avg_pool2d
        return pool(image, self._size, self._strides, pads, count_include_pad=False)

    def _pool_same(self, image: Tensor) -> Tensor:
        if self.axes == 3 and any(n < k for n, k in zip(image.shape[2:], self._size, strict=True)):
            # torch's avg_pool3d refuses windows that only fit with its own padding.
            return self._pool_padded(image, self._same_pads(image))
        return super()._pool_same(image)

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        # torch's mean takes the added zeros in: undo that, so that only real values count.
        outputs = self._pool(pad(image, pads), self._no_pads)
        for axis in range(len(pads)):
            outputs = outputs * self._shares(image, axis)
        return outputs

    def _shares(self, image: Tensor, axis: int) -> Tensor:
        """For each window along an axis: its length over the part of it within the image."""
        length, size, stride = image.shape[2 + axis], self._size[axis], self._strides[axis]
        before, _ = same_padding(length, size, stride)
        starts = range(-before, length - before, stride)
        inside = [min(start + size, length) - max(start, 0) for start in starts]
        shares = image.new_tensor([size / n for n in inside])
        return shares.view(-1, *(1,) * (len(self._size) - 1 - axis))


class MaxPooling1D(_MaxPooling):
    """The largest value of each window over time.

    Follows https://keras.io/api/layers/pooling_layers/max_pooling1d/

    Args:
        pool_size: length of the window. Default 2.
        strides: steps between windows. Default None, `pool_size`.
        padding: "valid" (default: windows that fit as a whole), or "same".
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        **kwargs: see `Layer`.
    """

    axes = 1


class MaxPooling2D(_MaxPooling):
    """The largest value of each window of an image.

    Follows https://keras.io/api/layers/pooling_layers/max_pooling2d/

    Args:
        pool_size: height and width of the window, one number for both or two. Default (2, 2).
        strides: rows and columns between windows. Default None, `pool_size`.
        padding: "valid" (default: windows that fit as a whole), or "same".
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        **kwargs: see `Layer`.
    """

    axes = 2


class MaxPooling3D(_MaxPooling):
    """The largest value of each window of a volume.

    Follows https://keras.io/api/layers/pooling_layers/max_pooling3d/

    Args: those of `MaxPooling2D`, for three axes.
    """

    axes = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window over time; padding doesn't count.

    Follows https://keras.io/api/layers/pooling_layers/average_pooling1d/

    Args: those of `MaxPooling1D`; `pool_size` has no default in Keras 3, and 2 here.
    """

    axes = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image; padding doesn't count.

    Follows https://keras.io/api/layers/pooling_layers/average_pooling2d/

    Args: those of `MaxPooling2D`.
    """

    axes = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume; padding doesn't count.

    Follows https://keras.io/api/layers/pooling_layers/average_pooling3d/

    Args: those of `MaxPooling3D`.
    """

    axes = 3


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
