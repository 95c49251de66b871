"""Convolutions. Keras 1 had pooling here too, so it can be imported from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import activations, initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import KERNEL_EXTRAS, Activated
from elephas_torch.keras.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from elephas_torch.keras.layers.windows import (
    Windowed,
    from_image,
    pad,
    symmetric,
    to_image,
    window_config,
)

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "Conv1D",
    "Conv2D",
    "Convolution1D",
    "Convolution2D",
    "MaxPooling1D",
    "MaxPooling2D",
]


class _Convolution(Activated, Windowed):
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    fixed: ClassVar = {**KERNEL_EXTRAS, "activity_regularizer": None}

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
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.filters = arguments.positive_integer(owner, "filters", filters)
        self.size = arguments.integers(owner, "kernel_size", kernel_size, self.axes)
        self.strides = arguments.integers(owner, "strides", strides, self.axes)
        self.padding = arguments.padding(padding, self.paddings)
        self.data_format = arguments.data_format(data_format)
        self.dilation_rate = arguments.integers(owner, "dilation_rate", dilation_rate, self.axes)
        self.groups = arguments.positive_integer(owner, "groups", groups)
        self._check_combination(owner)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self._lay_out()

    def _check_combination(self, owner: str) -> None:
        if self.filters % self.groups:
            raise ValueError(
                f"{owner}: `filters` must be a multiple of `groups`. "
                f"Received: filters={self.filters}, groups={self.groups}"
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: one of `strides` and `dilation_rate` must be 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The window's lengths."""
        return self.size

    def build(self, input_shape: Shape) -> None:
        axis = -1 if self._channels_last else 1
        channels = self._length(input_shape, axis)
        if channels % self.groups:
            raise ValueError(
                f"{self._label}: the inputs' channels must be a multiple of "
                f"groups={self.groups}. Received: {channels} channels"
            )
        self._spatial(input_shape)
        shape = (*self.size, channels // self.groups, self.filters)
        self.add_weight(shape, self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.add_weight((self.filters,), self.bias_initializer, name="bias")
        spec: list[int | None] = [None] * (self.axes + 2)
        spec[axis] = channels
        self.input_spec = tuple(spec)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        kernel = weights["kernel"]
        if self.axes == 1:
            kernel = kernel.unsqueeze(0)
        image, pads = self._padded(to_image(inputs, self._channels_last, self.axes))
        outputs = F.conv2d(
            image,
            kernel.permute(3, 2, 0, 1),
            weights.get("bias"),
            self._strides,
            pads,
            self._dilation,
            self.groups,
        )
        return from_image(outputs, self._channels_last, self.axes)

    def _padded(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The image, and what torch itself is to add on both sides."""
        if self.padding == "valid":
            return image, (0, 0)
        if self.padding == "causal":
            before = self._dilation[1] * (self._size[1] - 1)
            return pad(image, [(0, 0), (before, 0)]), (0, 0)
        pads = self._same_pads(image)
        if symmetric(pads):
            return image, (pads[0][0], pads[1][0])
        return pad(image, pads), (0, 0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            **window_config(self, "kernel_size"),
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
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
        **kwargs: `input_shape`, `name` …: see `Layer`.

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
        **kwargs: `input_shape`, `name` …: see `Layer`.

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


Convolution1D = Conv1D
Convolution2D = Conv2D
