"""Pooling: the largest value or the mean of each window, or of a whole channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.shapes import same_padding
from elephas_torch.keras.layers.windows import (
    Pads,
    Windowed,
    from_image,
    pad,
    symmetric,
    to_image,
    window_config,
)


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
        self.data_format = arguments.data_format(data_format)
        self.dilation_rate = (1,) * self.axes
        self._lay_out()

    @property
    def pool_size(self) -> tuple[int, ...]:
        """The window's lengths."""
        return self.size

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        image = to_image(inputs, self._channels_last, self.axes)
        pool = self._pool_same if self.padding == "same" else self._pool
        return from_image(pool(image), self._channels_last, self.axes)

    def _pool_same(self, image: Tensor) -> Tensor:
        pads = self._same_pads(image)
        if symmetric(pads):
            return self._pool(image, (pads[0][0], pads[1][0]))
        return self._pool_padded(image, pads)

    def _pool(self, image: Tensor, pads: tuple[int, int] = (0, 0)) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _pool(image, pads).")

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _pool_padded(image, pads).")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, input_shape[-1 if self._channels_last else 1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **window_config(self, "pool_size")}


class _MaxPooling(_Pooling):
    def _pool(self, image: Tensor, pads: tuple[int, int] = (0, 0)) -> Tensor:
        return F.max_pool2d(image, self._size, self._strides, pads)

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        return self._pool(pad(image, pads, float("-inf")))


class _AveragePooling(_Pooling):
    def _pool(self, image: Tensor, pads: tuple[int, int] = (0, 0)) -> Tensor:
        return F.avg_pool2d(image, self._size, self._strides, pads, count_include_pad=False)

    def _pool_padded(self, image: Tensor, pads: Pads) -> Tensor:
        # torch's mean takes the added zeros in: undo that, so that only real values count.
        pooled = self._pool(pad(image, pads))
        height, width = (self._shares(image, axis) for axis in (0, 1))
        return pooled * (height.unsqueeze(1) * width)

    def _shares(self, image: Tensor, axis: int) -> Tensor:
        """For each window along an axis: its length over the part of it within the image."""
        length, size, stride = image.shape[2 + axis], self._size[axis], self._strides[axis]
        before, _ = same_padding(length, size, stride)
        starts = range(-before, length - before, stride)
        inside = [min(start + size, length) - max(start, 0) for start in starts]
        return image.new_tensor([size / n for n in inside])


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


class _GlobalPooling(BuiltIn):
    axes: ClassVar[int]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format)
        self.keepdims = bool(keepdims)
        self.input_spec = (None,) * (self.axes + 2)
        first = 1 if self.data_format == "channels_last" else 2
        self._pooled = tuple(range(first, first + self.axes))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        if self.keepdims:
            return tuple(1 if i in self._pooled else n for i, n in enumerate(input_shape))
        return tuple(n for i, n in enumerate(input_shape) if i not in self._pooled)

    def get_config(self) -> dict[str, Any]:
        config = {"data_format": self.data_format, "keepdims": self.keepdims}
        return {**super().get_config(), **config}


class _GlobalAverage(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return torch.mean(inputs, self._pooled, self.keepdims)


class _GlobalMax(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return torch.amax(inputs, self._pooled, self.keepdims)


class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each channel over time.

    Follows https://keras.io/api/layers/pooling_layers/global_average_pooling1d/

    Args:
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        keepdims: keep the pooled axis with length 1. Default False.
        **kwargs: see `Layer`.
    """

    axes = 1


class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel of an image.

    Follows https://keras.io/api/layers/pooling_layers/global_average_pooling2d/

    Args:
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        keepdims: keep the pooled axes with length 1. Default False.
        **kwargs: see `Layer`.
    """

    axes = 2


class GlobalMaxPooling1D(_GlobalMax):
    """The largest value of each channel over time. Equal ones share the gradient.

    Follows https://keras.io/api/layers/pooling_layers/global_max_pooling1d/

    Args: those of `GlobalAveragePooling1D`.
    """

    axes = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The largest value of each channel of an image. Equal ones share the gradient.

    Follows https://keras.io/api/layers/pooling_layers/global_max_pooling2d/

    Args: those of `GlobalAveragePooling2D`.
    """

    axes = 2


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
