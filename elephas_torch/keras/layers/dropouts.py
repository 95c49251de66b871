"""Dropout of single numbers and of whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments, rank_hints
from elephas_torch.keras.layers.noises import RandomLayer, checked_noise_shape, lengths

__all__ = ["Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"]


class Dropout(RandomLayer):
    """In training sets a share of its inputs to 0 and multiplies the others by 1 / (1 - rate).

    Follows https://keras.io/api/layers/regularization_layers/dropout/

    Args:
        rate: the share, 0 to 1.
        noise_shape: shape of the mask, batch included; an axis of length 1 is dropped or kept
            as a whole, None takes the inputs' length. Default None, the inputs' shape.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `rate` isn't from 0 to 1, or `noise_shape` has other than positive numbers.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = arguments.rate(type(self).__name__, "rate", rate)
        self.noise_shape = checked_noise_shape(type(self).__name__, noise_shape)

    def call(self, inputs: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return inputs
        if self.seed is None and self.noise_shape is None:
            return F.dropout(inputs, self.rate)
        return inputs * self._noise.mask(inputs, lengths(self.noise_shape, inputs), self.rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape}


class _SpatialDropout(Dropout):
    axes: int

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = arguments.data_format(data_format)
        self.input_spec = (None,) * (self.axes + 2)
        ones = (1,) * self.axes
        last = self.data_format == "channels_last"
        self.noise_shape = (None, *ones, None) if last else (None, None, *ones)

    def _hint(self, rank: int) -> str:
        return rank_hints.of_images(self.axes, self.data_format == "channels_last", rank)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dim() != self.axes + 2:
            raise self._misfit(tuple(inputs.shape))
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        # Keras writes no more of these.
        return {
            "rate": self.rate,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype,
            "data_format": self.data_format,
        }


class SpatialDropout1D(_SpatialDropout):
    """In training drops whole channels of sequences (batch, steps, channels).

    Follows https://keras.io/api/layers/regularization_layers/spatial_dropout1d/ and Tompson et
    al., 2014.

    Args:
        rate: the share of channels, 0 to 1.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `rate` isn't from 0 to 1, or the inputs have another number of axes.
    """

    axes = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(_SpatialDropout):
    """In training drops whole channels of images.

    Follows https://keras.io/api/layers/regularization_layers/spatial_dropout2d/ and Tompson et
    al., 2014.

    Args:
        rate: the share of channels, 0 to 1.
        data_format: "channels_last" or "channels_first". Default the global setting.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `rate` isn't from 0 to 1, or the inputs have another number of axes.
    """

    axes = 2


class SpatialDropout3D(_SpatialDropout):
    """In training drops whole channels of volumes.

    Follows https://keras.io/api/layers/regularization_layers/spatial_dropout3d/

    Args:
        rate, data_format, seed, **kwargs: see `SpatialDropout2D`.

    Raises:
        ValueError: `rate` isn't from 0 to 1, or the inputs have another number of axes.
    """

    axes = 3
