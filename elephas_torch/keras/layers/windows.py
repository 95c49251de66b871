"""What convolutions and pooling share: windows that slide over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.shapes import same_padding, shown, window_length
from elephas_torch.keras.layers.spatial import Spatial, spread

Pads = list[tuple[int, int]]


def pad(image: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Pads the spatial axes of an image."""
    return F.pad(image, [n for pair in reversed(pads) for n in pair], value=value)


def symmetric(pads: Sequence[tuple[int, int]]) -> bool:
    """Whether torch's kernels can add these pads by themselves."""
    return all(before == after for before, after in pads)


class Windowed(Spatial):
    """A layer whose windows slide over `axes` spatial axes."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str

    def _lay_out(self) -> None:
        """To be called when the settings are known: keeps them as an image's."""
        self._size = spread(self.size)
        self._strides = spread(self.strides)
        self._dilation = spread(self.dilation_rate)
        self._no_pads = (0,) * len(self._size)

    def _same_pads(self, image: Tensor) -> Pads:
        settings = zip(image.shape[2:], self._size, self._strides, self._dilation, strict=True)
        return [same_padding(*setting) for setting in settings]

    def _spatial(self, shape: Shape) -> Shape:
        """The outputs' spatial lengths; raises ValueError where no window fits."""
        lengths = shape[1:-1] if self._channels_last else shape[2:]
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
        if self._channels_last:
            return (shape[0], *spatial, channels)
        return (shape[0], channels, *spatial)


def window_config(layer: Any, size_name: str) -> dict[str, Any]:
    """The part of the config that convolutions and pooling have in common."""
    return {
        size_name: layer.size,
        "strides": layer.strides,
        "padding": layer.padding,
        "data_format": layer.data_format,
    }
