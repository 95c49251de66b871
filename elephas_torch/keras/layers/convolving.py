"""What all convolutions share: their arguments, their windows on the inputs, and their bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import activations, initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.builtin import Activated
from elephas_torch.keras.layers.windows import Windowed, pad, symmetric, window_config


class Convolving(Activated, Windowed):
    """A layer that convolves, adds a bias, and applies an activation."""

    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    writes_activity_regularizer = True
    #: What Keras 2 wrote into configs of such layers and made no use of.
    unused: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        activation: str | Callable[..., Tensor] | None,
        use_bias: bool,
        bias_initializer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.size = arguments.integers(owner, "kernel_size", kernel_size, self.axes)
        self.strides = arguments.integers(owner, "strides", strides, self.axes)
        self.padding = arguments.padding(padding, self.paddings)
        self._set_format(data_format)
        self.dilation_rate = arguments.integers(owner, "dilation_rate", dilation_rate, self.axes)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self._lay_out()

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The window's lengths."""
        return self.size

    def _check_one_of_strides_and_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: one of `strides` and `dilation_rate` must be 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    def _channels(self, input_shape: Shape) -> int:
        """The inputs' channels, the only number of them that is taken from now on."""
        channels = self._length(input_shape, self._channel_axis)
        self._spatial(input_shape)
        spec: list[int | None] = [None] * (self.axes + 2)
        spec[self._channel_axis] = channels
        self.input_spec = tuple(spec)
        return channels

    def _add_bias(self, channels: int) -> None:
        if self.use_bias:
            self.add_weight((channels,), self.bias_initializer, name="bias")

    def _torch_kernel(self, kernel: Tensor) -> Tensor:
        """A kernel in torch's order, for an image: the last axis, the one before, the window."""
        if self.axes == 1:
            kernel = kernel.unsqueeze(0)
        return kernel.permute(4, 3, 0, 1, 2) if self.axes == 3 else kernel.permute(3, 2, 0, 1)

    def _convolved(self, image: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        convolve = F.conv3d if self.axes == 3 else F.conv2d
        image, pads = self._padded(image)
        return convolve(image, kernel, bias, self._strides, pads, self._dilation, groups)

    def _padded(self, image: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The image, and what torch itself is to add on both sides."""
        if self.padding == "valid":
            return image, self._no_pads
        if self.padding == "causal":
            before = self._dilation[1] * (self._size[1] - 1)
            return pad(image, [(0, 0), (before, 0)]), self._no_pads
        pads = self._same_pads(image)
        if symmetric(pads):
            return image, tuple(before for before, _ in pads)
        return pad(image, pads), self._no_pads

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Makes the layer that `get_config` described, Keras 2's too; not built."""
        return super().from_config({n: v for n, v in config.items() if n not in cls.unused})

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **window_config(self, "kernel_size"),
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }
