"""Convolutions that treat each channel by itself, alone or before one that mixes the channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import initializers, legacy
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.convolving import Convolving


class _ChannelWise(Convolving):
    """What the two families share: a kernel (window, channels, depth_multiplier)."""

    unused = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")

    def _set_depth(self, depth_multiplier: int, depthwise_initializer: Any) -> None:
        owner = type(self).__name__
        self.depth_multiplier = arguments.positive_integer(
            owner, "depth_multiplier", depth_multiplier
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)

    def _depthwise(self, inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """The image that the kernel gives, each input channel by itself."""
        channels = kernel.shape[-2]
        grouped = kernel.reshape(*self.size, 1, channels * self.depth_multiplier)
        return self._convolved(self._image(inputs), self._torch_kernel(grouped), bias, channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
        }


class _Depthwise(_ChannelWise):
    regularized = ("depthwise", "bias")

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Callable[..., Tensor] | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, **kwargs,
        )  # fmt: skip
        self._set_depth(depth_multiplier, depthwise_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        shape = (*self.size, channels, self.depth_multiplier)
        rules = vars(self)
        self.add_weight(
            shape,
            self.depthwise_initializer,
            regularizer=rules["depthwise_regularizer"],
            constraint=rules["depthwise_constraint"],
            name="kernel",
        )
        self._add_bias(channels * self.depth_multiplier)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        return self._outputs(self._depthwise(inputs, weights["kernel"], weights.get("bias")))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        channels = input_shape[self._channel_axis]
        many = None if channels is None else channels * self.depth_multiplier
        return self._shape_with(input_shape, many)


class _Separable(_ChannelWise):
    regularized = ("depthwise", "pointwise", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: str | Callable[..., Tensor] | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, **kwargs,
        )  # fmt: skip
        self.filters = arguments.positive_integer(type(self).__name__, "filters", filters)
        self._set_depth(depth_multiplier, depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        shape = (*self.size, channels, self.depth_multiplier)
        self.add_weight(shape, self.depthwise_initializer, name="depthwise_kernel")
        mixing = (*(1,) * self.axes, channels * self.depth_multiplier, self.filters)
        self.add_weight(mixing, self.pointwise_initializer, name="pointwise_kernel")
        self._add_bias(self.filters)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        image = self._depthwise(inputs, weights["depthwise_kernel"], None)
        mixing = self._torch_kernel(weights["pointwise_kernel"])
        return self._outputs(F.conv2d(image, mixing, weights.get("bias")))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "pointwise_initializer": initializers.serialize(self.pointwise_initializer),
        }


class DepthwiseConv1D(_Depthwise):
    """Convolution over time of each channel by itself.

    Follows https://keras.io/api/layers/convolution_layers/depthwise_convolution1d/

    Args:
        kernel_size: length of the window.
        strides: steps between windows. Default 1.
        padding: "valid" (default), "same" or "causal", as in `Conv1D`; Keras 3 has no "causal"
            here.
        depth_multiplier: how many output channels each input channel gives. Default 1.
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        dilation_rate: distance between a window's elements. Default 1.
        activation: name or function. Default None, none.
        use_bias: Default True.
        depthwise_initializer: of the kernel. Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `depthwise_regularizer`, `bias_regularizer`, `depthwise_constraint`,
            `bias_constraint`: Default None; `input_shape`, `name` …: see `Layer`.

    Weights: kernel (kernel_size, channels, depth_multiplier), bias (channels times
    depth_multiplier,).

    Raises:
        ValueError: an argument out of its range, or (when built) inputs into which no window
            fits.
    """

    axes = 1
    paddings = ("valid", "same", "causal")


class DepthwiseConv2D(_Depthwise):
    """Convolution over images of each channel by itself.

    Follows https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/

    Args: those of `DepthwiseConv1D`; a number stands for height and width, or there are two.
        There is no "causal". Inputs are (batch, height, width, channels), or with
        "channels_first" (batch, channels, height, width).

    Weights: kernel (height, width, channels, depth_multiplier), bias (channels times
    depth_multiplier,).

    Raises:
        ValueError: as `DepthwiseConv1D`.
    """

    axes = 2


class SeparableConv1D(_Separable):
    """Convolution over time of each channel by itself, then one that mixes the channels.

    Follows https://keras.io/api/layers/convolution_layers/separable_convolution1d/

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: steps between windows. Default 1.
        padding: "valid" (default), "same" or "causal", as in `Conv1D`; Keras 3 has no "causal"
            here.
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        dilation_rate: distance between a window's elements. Default 1.
        depth_multiplier: how many channels each input channel gives before they are mixed.
            Default 1.
        activation: name or function. Default None, none.
        use_bias: Default True.
        depthwise_initializer, pointwise_initializer: of the two kernels. Default
            "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `depthwise_regularizer`, `pointwise_regularizer`, `bias_regularizer` and the
            same with `_constraint`: Default None; `input_shape`, `name` …: see `Layer`.

    Weights: depthwise_kernel (kernel_size, channels, depth_multiplier), pointwise_kernel (1,
    channels times depth_multiplier, filters), bias (filters,).

    Raises:
        ValueError: an argument out of its range, or (when built) inputs into which no window
            fits.
    """

    axes = 1
    paddings = ("valid", "same", "causal")


class SeparableConv2D(_Separable):
    """Convolution over images of each channel by itself, then one that mixes the channels.

    Follows https://keras.io/api/layers/convolution_layers/separable_convolution2d/

    Args: those of `SeparableConv1D`; a number stands for height and width, or there are two.
        There is no "causal". Inputs are (batch, height, width, channels), or with
        "channels_first" (batch, channels, height, width).

    Weights: depthwise_kernel (height, width, channels, depth_multiplier), pointwise_kernel (1,
    1, channels times depth_multiplier, filters), bias (filters,).

    Raises:
        ValueError: as `SeparableConv1D`.
    """

    axes = 2


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D: Any = legacy.under_old_name("SeparableConvolution2D", SeparableConv2D)
