"""Pooling of whole channels: the mean, or the largest value, of all that a channel holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.spatial import Spatial


class _GlobalPooling(Spatial):
    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._set_format(data_format)
        self.keepdims = bool(keepdims)
        self._pooled = tuple(range(self._first, self._first + self.axes))

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
        self._check_rank(inputs)
        return torch.mean(inputs, self._pooled, self.keepdims)


class _GlobalMax(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        self._check_rank(inputs)
        return torch.amax(inputs, self._pooled, self.keepdims)


class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each channel over time. Masked steps don't count.

    Follows https://keras.io/api/layers/pooling_layers/global_average_pooling1d/

    Args:
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        keepdims: keep the pooled axis with length 1. Default False.
        **kwargs: see `Layer`.

    Call arguments:
        mask: (batch, steps), true where a step counts. A sample all of whose steps are masked
            gives NaN.
    """

    axes = 1
    supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        self._check_rank(inputs)
        (steps,) = self._pooled
        counted = mask.bool().unsqueeze(3 - steps)
        total = torch.where(counted, inputs, 0).sum(steps, self.keepdims)
        return total / counted.sum(steps, self.keepdims).to(total.dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: there are no steps left to mask."""
        return None


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


class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel of a volume.

    Follows https://keras.io/api/layers/pooling_layers/global_average_pooling3d/

    Args: those of `GlobalAveragePooling2D`.
    """

    axes = 3


class GlobalMaxPooling1D(_GlobalMax):
    """The largest value of each channel over time. Equal ones share the gradient.

    Follows https://keras.io/api/layers/pooling_layers/global_max_pooling1d/

    Args: those of `GlobalAveragePooling1D`. It knows no mask, as in Keras.
    """

    axes = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The largest value of each channel of an image. Equal ones share the gradient.

    Follows https://keras.io/api/layers/pooling_layers/global_max_pooling2d/

    Args: those of `GlobalAveragePooling2D`.
    """

    axes = 2


class GlobalMaxPooling3D(_GlobalMax):
    """The largest value of each channel of a volume. Equal ones share the gradient.

    Follows https://keras.io/api/layers/pooling_layers/global_max_pooling3d/

    Args: those of `GlobalAveragePooling2D`.
    """

    axes = 3


GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
