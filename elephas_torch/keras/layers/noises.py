"""Layers that add random noise in training, and what draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import batches, random
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = ["AlphaDropout", "GaussianDropout", "GaussianNoise", "Noise", "checked_noise_shape"]


class Noise:
    """Draws random tensors.

    Args:
        seed: for a generator of its own, made at the first draw. None: torch's global one.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._generator: torch.Generator | None = None
        self._moment: int | None = None

    def mask(self, like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        """0 with probability `rate`, otherwise 1 / (1 - rate), on the device and of the dtype
        of `like`."""
        if self.seed is None:
            return F.dropout(like.new_ones(tuple(shape)), rate)
        mask = self.kept(like, shape, rate)
        return mask if rate == 1 else mask.div_(1 - rate)

    def kept(self, like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        """0 with probability `rate`, otherwise 1."""
        empty = like.new_empty(tuple(shape))
        return empty.bernoulli_(1 - rate, generator=self._own(like))

    def normal(self, like: Tensor, mean: float, stddev: float) -> Tensor:
        """Numbers of a normal distribution, of the shape of `like`."""
        return torch.empty_like(like).normal_(mean, stddev, generator=self._own(like))

    def uniform(self, like: Tensor, shape: Sequence[int], low: float, high: float) -> Tensor:
        """Numbers from `low` to `high`, all as likely."""
        return like.new_empty(tuple(shape)).uniform_(low, high, generator=self._own(like))

    def _own(self, like: Tensor) -> torch.Generator | None:
        if self.seed is None:
            return None
        moment = random.moment()
        found = self._generator
        if found is not None and found.device == like.device and moment in (None, self._moment):
            return found
        self._moment = moment
        number = self.seed if moment is None else batches.mix(self.seed, moment)
        self._generator = torch.Generator(like.device).manual_seed(number)
        return self._generator


def checked_noise_shape(owner: str, value: Any) -> tuple[int | None, ...] | None:
    """Returns the argument `noise_shape` as a tuple; raises ValueError unless it is one of
    positive whole numbers and None."""
    if value is None:
        return None
    shape = () if isinstance(value, str | int) else tuple(value)
    if not shape or not all(n is None or (isinstance(n, int) and n > 0) for n in shape):
        raise ValueError(
            f"{owner}: `noise_shape` must be a tuple of positive whole numbers and None. "
            f"Received: noise_shape={value!r}"
        )
    return shape


class RandomLayer(BuiltIn):
    """A layer that draws random numbers in training.

    Args:
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.
    """

    supports_masking = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(
                f"{type(self).__name__}: `seed` must be a whole number or None. "
                f"Received: seed={seed!r}"
            )
        self.seed = seed
        self._noise = Noise(seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def lengths(noise_shape: Sequence[int | None] | None, inputs: Tensor) -> Sequence[int]:
    """The shape to draw, where None takes the inputs' length."""
    if noise_shape is None:
        return inputs.shape
    return [n if m is None else m for m, n in zip(noise_shape, inputs.shape, strict=True)]


class GaussianNoise(RandomLayer):
    """In training adds numbers of a normal distribution around 0.

    Follows https://keras.io/api/layers/regularization_layers/gaussian_noise/

    Args:
        stddev: standard deviation, 0 or more (Keras takes none above 1).
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `stddev` is no number, or is negative.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = arguments.not_negative("GaussianNoise", "stddev", stddev)

    def call(self, inputs: Tensor) -> Tensor:
        if not self.training or self.stddev == 0:
            return inputs
        return inputs + self._noise.normal(inputs, 0.0, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


class GaussianDropout(RandomLayer):
    """In training multiplies with numbers of a normal distribution around 1, of variance
    rate / (1 - rate).

    Follows https://keras.io/api/layers/regularization_layers/gaussian_dropout/ and Srivastava et
    al., 2014.

    Args:
        rate: from 0 to below 1: as much noise as a `Dropout` of this rate makes.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `rate` isn't from 0 to below 1.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _below_one("GaussianDropout", rate)

    def call(self, inputs: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return inputs
        return inputs * self._noise.normal(inputs, 1.0, math.sqrt(self.rate / (1 - self.rate)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


# What selu goes to far below 0: its scale times its alpha.
_LOWEST = -1.0507009873554805 * 1.6732632423543772


class AlphaDropout(RandomLayer):
    """A dropout that keeps mean 0 and variance 1, for networks of selu.

    In training sets a share of its inputs to what selu goes to far below 0, then scales and
    shifts all. Follows https://keras.io/api/layers/regularization_layers/alpha_dropout/ and
    Klambauer et al., 2017.

    Args:
        rate: the share, from 0 to below 1.
        noise_shape: shape of what is drawn, batch included; an axis of length 1 is dropped or
            kept as a whole, None takes the inputs' length. Default None, the inputs' shape.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `rate` isn't from 0 to below 1, or `noise_shape` has other than positive
            numbers.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _below_one("AlphaDropout", rate)
        self.noise_shape = checked_noise_shape("AlphaDropout", noise_shape)

    def call(self, inputs: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return inputs
        kept = self._noise.kept(inputs, lengths(self.noise_shape, inputs), self.rate)
        scale = ((1 - self.rate) * (1 + self.rate * _LOWEST**2)) ** -0.5
        shift = -scale * _LOWEST * self.rate
        return scale * (inputs * kept + _LOWEST * (1 - kept)) + shift

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape}


def _below_one(owner: str, value: Any) -> float:
    if arguments.rate(owner, "rate", value) == 1:
        raise ValueError(f"{owner}: `rate` must be below 1. Received: rate={value!r}")
    return float(value)
