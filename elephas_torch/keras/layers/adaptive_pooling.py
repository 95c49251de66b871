"""Adaptive pooling: as many windows as are asked for, however long the inputs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.spatial import Spatial, spread


class _AdaptivePooling(Spatial):
    def __init__(
        self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.output_size = arguments.integers(owner, "output_size", output_size, self.axes)
        self._set_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return self._outputs(self._pool(self._image(inputs), spread(self.output_size)))

    def _pool(self, image: Tensor, size: tuple[int, ...]) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _pool(image, size).")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        if self._channels_last:
            return (input_shape[0], *self.output_size, input_shape[-1])
        return (*input_shape[:2], *self.output_size)

    def get_config(self) -> dict[str, Any]:
        config = {"output_size": self.output_size, "data_format": self.data_format}
        return {**super().get_config(), **config}


class _AdaptiveAverage(_AdaptivePooling):
    def _pool(self, image: Tensor, size: tuple[int, ...]) -> Tensor:
        pool: Any = F.adaptive_avg_pool3d if self.axes == 3 else F.adaptive_avg_pool2d
        return pool(image, size)


class _AdaptiveMax(_AdaptivePooling):
    def _pool(self, image: Tensor, size: tuple[int, ...]) -> Tensor:
        pool: Any = F.adaptive_max_pool3d if self.axes == 3 else F.adaptive_max_pool2d
        return pool(image, size)


class AdaptiveAveragePooling1D(_AdaptiveAverage):
    """The means of `output_size` windows over time, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_average_pooling1d/

    Args:
        output_size: number of windows.
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument out of its range.
    """

    axes = 1


class AdaptiveAveragePooling2D(_AdaptiveAverage):
    """The means of `output_size` windows of an image, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_average_pooling2d/

    Args:
        output_size: rows and columns of windows, one number for both or two.
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument out of its range.
    """

    axes = 2


class AdaptiveAveragePooling3D(_AdaptiveAverage):
    """The means of `output_size` windows of a volume, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_average_pooling3d/

    Args: those of `AdaptiveAveragePooling2D`, for three axes.
    """

    axes = 3


class AdaptiveMaxPooling1D(_AdaptiveMax):
    """The largest values of `output_size` windows over time, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_max_pooling1d/

    Args: those of `AdaptiveAveragePooling1D`.
    """

    axes = 1


class AdaptiveMaxPooling2D(_AdaptiveMax):
    """The largest values of `output_size` windows of an image, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_max_pooling2d/

    Args: those of `AdaptiveAveragePooling2D`.
    """

    axes = 2


class AdaptiveMaxPooling3D(_AdaptiveMax):
    """The largest values of `output_size` windows of a volume, which may overlap.

    Follows https://keras.io/api/layers/pooling_layers/adaptive_max_pooling3d/

    Args: those of `AdaptiveAveragePooling2D`, for three axes.
    """

    axes = 3
