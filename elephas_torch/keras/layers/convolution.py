"""Convolutions. Keras 1 and 2 had their relatives here too, so they can be imported from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from elephas_torch.keras import initializers, legacy
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.convolving import Convolving

__all__ = ["Conv1D", "Conv2D", "Conv3D"]


class _Convolution(Convolving):
    regularized = ("kernel", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: str | Callable[..., Tensor] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, **kwargs,
        )  # fmt: skip
        owner = type(self).__name__
        self.filters = arguments.positive_integer(owner, "filters", filters)
        self.groups = arguments.positive_integer(owner, "groups", groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        if self.filters % self.groups:
            raise ValueError(
                f"{owner}: `filters` must be a multiple of `groups`. "
                f"Received: filters={self.filters}, groups={self.groups}"
            )
        self._check_one_of_strides_and_dilation()

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self._label}: the inputs' channels must be a multiple of "
                f"groups={self.groups}. Received: {channels} channels"
            )
        shape = (*self.size, channels // self.groups, self.filters)
        self.add_weight(shape, self.kernel_initializer, name="kernel")
        self._add_bias(self.filters)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        kernel = self._torch_kernel(weights["kernel"])
        image = self._convolved(self._image(inputs), kernel, weights.get("bias"), self.groups)
        return self._outputs(image)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }


class Conv1D(_Convolution):
    """Convolution over time.

    Follows https://keras.io/api/layers/convolution_layers/convolution1d/

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: steps between windows. Default 1.
        padding: "valid" (default, none), "same" (as many outputs as inputs at stride 1; an odd
            zero comes at the end), or "causal" (zeros before: no output sees later inputs).
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        dilation_rate: distance between a window's elements. Default 1.
        groups: the channels are split into that many, each with its own kernels. Default 1.
        activation: name or function. Default None, none.
        use_bias: Default True.
        kernel_initializer: Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `kernel_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `bias_constraint`: Default None; `input_shape`, `name` …: see `Layer`.

    Weights: kernel (kernel_size, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: an argument out of its range, strides and dilation both above 1, or (when
            built) inputs into which no window fits.
    """

    axes = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Convolution):
    """Convolution over images.

    Follows https://keras.io/api/layers/convolution_layers/convolution2d/

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, one number for both or two.
        strides: rows and columns between windows. Default 1.
        padding: "valid" (default, none), or "same" (as many outputs as inputs at stride 1; an
            odd zero comes at the bottom and right).
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        dilation_rate: distance between a window's elements. Default 1.
        groups: the channels are split into that many, each with its own kernels. Default 1.
        activation: name or function. Default None, none.
        use_bias: Default True.
        kernel_initializer: Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `kernel_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `bias_constraint`: Default None; `input_shape`, `name` …: see `Layer`.

    Weights: kernel (height, width, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: an argument out of its range, strides and dilation both above 1, or (when
            built) inputs into which no window fits.

    Example:

        >>> import torch
        >>> Conv2D(8, 3, padding="same")(torch.ones(2, 28, 28, 1)).shape
        torch.Size([2, 28, 28, 8])
    """

    axes = 2


class Conv3D(_Convolution):
    """Convolution over volumes, or over images in time.

    Follows https://keras.io/api/layers/convolution_layers/convolution3d/

    Args: those of `Conv2D`, with three lengths where it has two. Inputs are (batch, depth,
        height, width, channels), or with "channels_first" (batch, channels, depth, height,
        width).

    Weights: kernel (depth, height, width, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: as `Conv2D`.
    """

    axes = 3


Convolution1D: Any = legacy.under_old_name("Convolution1D", Conv1D)
Convolution2D: Any = legacy.under_old_name("Convolution2D", Conv2D)
Convolution3D: Any = legacy.under_old_name("Convolution3D", Conv3D)
