"""Transposed convolutions: the way back from a convolution's outputs to the size of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import initializers, legacy
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.convolving import Convolving
from elephas_torch.keras.layers.shapes import shown, transposed_crops, transposed_length
from elephas_torch.keras.layers.spatial import spread


class _Transposed(Convolving):
    regularized = ("kernel", "bias")
    unused = ("groups",)

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.output_padding = _output_padding(owner, output_padding, self.strides)
        self._check_one_of_strides_and_dilation()
        self._plan()

    def _settings(self) -> list[tuple[int, int, str, int | None, int]]:
        """For each axis what `transposed_crops` takes."""
        added = self.output_padding or (None,) * self.axes
        return [
            (size, stride, self.padding, more, dilation)
            for size, stride, more, dilation in zip(
                self.size, self.strides, added, self.dilation_rate, strict=True
            )
        ]

    def _plan(self) -> None:
        """Splits the crops into what torch does itself, and what is cut off after it."""
        crops = [transposed_crops(*settings) for settings in self._settings()]
        self._cut = spread(tuple(before for before, _ in crops), 0)
        self._added = spread(tuple(max(0, -after) for _, after in crops), 0)
        self._surplus = spread(tuple(max(0, after - before) for before, after in crops), 0)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        shape = (*self.size, self.filters, channels)
        self.add_weight(shape, self.kernel_initializer, name="kernel")
        self._add_bias(self.filters)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        convolve = F.conv_transpose3d if self.axes == 3 else F.conv_transpose2d
        image = convolve(
            self._image(inputs),
            self._torch_kernel(weights["kernel"]),
            weights.get("bias"),
            self._strides,
            self._cut,
            self._added,
            1,
            self._dilation,
        )
        for axis, surplus in enumerate(self._surplus, 2):
            if surplus:
                image = image.narrow(axis, 0, image.shape[axis] - surplus)
        return self._outputs(image)

    def _spatial(self, shape: Shape) -> Shape:
        lengths = shape[1:-1] if self._channels_last else shape[2:]
        result = tuple(
            transposed_length(n, *settings)
            for n, settings in zip(lengths, self._settings(), strict=True)
        )
        if any(n is not None and n <= 0 for n in result):
            raise ValueError(
                f"{self._label}: its arguments leave nothing of the inputs. Received: inputs of "
                f"shape {shown(shape)}, output_padding={self.output_padding}. Use a larger "
                "`output_padding`, None, or larger inputs."
            )
        return result

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return self._shape_with(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": self.output_padding,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }


class Conv1DTranspose(_Transposed):
    """Transposed convolution over time.

    Follows https://keras.io/api/layers/convolution_layers/convolution1d_transpose/

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: outputs a step of the inputs. Default 1.
        padding: "valid" (default: all outputs that a window reaches), or "same" (`strides` times
            as many outputs as inputs).
        output_padding: how many outputs are added at the end, less than `strides`. Default
            None: as many as `padding` says.
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        dilation_rate: distance between a window's elements. Default 1.
        activation: name or function. Default None, none.
        use_bias: Default True.
        kernel_initializer: Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `kernel_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `bias_constraint`: Default None; `input_shape`, `name` …: see `Layer`.

    Weights: kernel (kernel_size, filters, channels), bias (filters,).

    Raises:
        ValueError: an argument out of its range, or strides and dilation both above 1.
    """

    axes = 1


class Conv2DTranspose(_Transposed):
    """Transposed convolution over images.

    Follows https://keras.io/api/layers/convolution_layers/convolution2d_transpose/

    Args: those of `Conv1DTranspose`; a number stands for height and width, or there are two.
        Inputs are (batch, height, width, channels), or with "channels_first" (batch, channels,
        height, width).

    Weights: kernel (height, width, filters, channels), bias (filters,).

    Raises:
        ValueError: an argument out of its range, or strides and dilation both above 1.

    Example:

        >>> import torch
        >>> Conv2DTranspose(8, 3, strides=2, padding="same")(torch.ones(2, 7, 7, 1)).shape
        torch.Size([2, 14, 14, 8])
    """

    axes = 2


class Conv3DTranspose(_Transposed):
    """Transposed convolution over volumes.

    Follows https://keras.io/api/layers/convolution_layers/convolution3d_transpose/

    Args: those of `Conv2DTranspose`, with three lengths; as in Keras `data_format` comes before
        `output_padding`.

    Weights: kernel (depth, height, width, filters, channels), bias (filters,).

    Raises:
        ValueError: an argument out of its range, or strides and dilation both above 1.
    """

    axes = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Callable[..., Tensor] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, **kwargs,
        )  # fmt: skip


def _output_padding(owner: str, value: Any, strides: tuple[int, ...]) -> tuple[int, ...] | None:
    if value is None:
        return None
    added = (value,) * len(strides) if isinstance(value, int) else value
    fits = isinstance(added, tuple | list) and len(added) == len(strides)
    if not fits or not all(
        isinstance(n, int) and 0 <= n < s for n, s in zip(added, strides, strict=True)
    ):
        raise ValueError(
            f"{owner}: `output_padding` must be None, or whole numbers from 0 that are less than "
            f"`strides`. Received: output_padding={value!r}, strides={strides}"
        )
    return tuple(added)


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
Deconvolution2D: Any = legacy.under_old_name("Deconvolution2D", Conv2DTranspose)
Deconvolution3D: Any = legacy.under_old_name("Deconvolution3D", Conv3DTranspose)
