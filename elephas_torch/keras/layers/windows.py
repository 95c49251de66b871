"""What convolutions and pooling share: windows that slide over one or two axes.

Both are computed by torch's two-dimensional kernels on (batch, channels, height, width): one
spatial axis is taken as an image of height 1, and channels_last inputs come as a permuted view,
which torch knows as its channels_last memory format. Nothing is copied, and measured on a CPU
it is faster than the one-dimensional kernels and than contiguous channels_first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.shapes import same_padding, shown, window_length

Pads = list[tuple[int, int]]


def to_image(inputs: Tensor, channels_last: bool, axes: int) -> Tensor:
    """Inputs of one or two spatial axes as (batch, channels, height, width)."""
    if axes == 1:
        inputs = inputs.unsqueeze(1 if channels_last else 2)
    return inputs.permute(0, 3, 1, 2) if channels_last else inputs


def from_image(image: Tensor, channels_last: bool, axes: int) -> Tensor:
    """The way back, to `axes` spatial axes."""
    outputs = image.permute(0, 2, 3, 1) if channels_last else image
    return outputs if axes == 2 else outputs.squeeze(1 if channels_last else 2)


def spread(values: tuple[int, ...], height: int = 1) -> tuple[int, int]:
    """A setting of one or two axes as that of an image."""
    return (height, values[0]) if len(values) == 1 else (values[0], values[1])


def pad(image: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Pads height and width."""
    (top, bottom), (left, right) = pads
    return F.pad(image, (left, right, top, bottom), value=value)


class Windowed(BuiltIn):
    """A layer whose windows slide over `axes` spatial axes."""

    axes: ClassVar[int]
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str
    data_format: str

    def _lay_out(self) -> None:
        """To be called when the settings are known: keeps them as an image's."""
        self.input_spec = (None,) * (self.axes + 2)
        self._channels_last = self.data_format == "channels_last"
        self._size = spread(self.size)
        self._strides = spread(self.strides)
        self._dilation = spread(self.dilation_rate)

    def _same_pads(self, image: Tensor) -> Pads:
        settings = zip(image.shape[2:], self._size, self._strides, self._dilation, strict=True)
        return [same_padding(*setting) for setting in settings]

    def _spatial(self, shape: Shape) -> Shape:
        """The outputs' spatial lengths; raises ValueError where no window fits."""
        lengths = shape[1:-1] if self.data_format == "channels_last" else shape[2:]
        settings = zip(lengths, self.size, self.strides, self.dilation_rate, strict=True)
        result = tuple(
            window_length(n, size, stride, self.padding, dilation)
            for n, size, stride, dilation in settings
        )
        if 0 in result:
            raise ValueError(
                f"{self._label}: a window of {self._reach()} doesn't fit into the inputs. "
                f"Received: inputs of shape {shown(shape)}. Use padding='same', a smaller "
                "window, or larger inputs."
            )
        return result

    def _reach(self) -> str:
        reach = [d * (k - 1) + 1 for k, d in zip(self.size, self.dilation_rate, strict=True)]
        return " x ".join(map(str, reach))

    def _shape_with(self, shape: Shape, channels: int | None) -> Shape:
        spatial = self._spatial(shape)
        if self.data_format == "channels_last":
            return (shape[0], *spatial, channels)
        return (shape[0], channels, *spatial)


def symmetric(pads: Sequence[tuple[int, int]]) -> bool:
    """Whether torch's kernels can add these pads by themselves."""
    return all(before == after for before, after in pads)


def window_config(layer: Any, size_name: str) -> dict[str, Any]:
    """The part of the config that convolutions and pooling have in common."""
    return {
        size_name: layer.size,
        "strides": layer.strides,
        "padding": layer.padding,
        "data_format": layer.data_format,
    }
