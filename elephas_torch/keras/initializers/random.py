"""Random first values. The distributions are Keras's; the random numbers are torch's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from elephas_torch.keras.identifiers import described
from elephas_torch.keras.initializers.base import Initializer, Shape, number


class _Random(Initializer):
    """With a seed every call gives the same values, with a `keras.random.SeedGenerator` each call
    others; without, torch's global generator goes on."""

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, Mapping):
            from elephas_torch.keras.random import SeedGenerator

            seed = SeedGenerator.from_config(dict(seed["config"]))
        whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not (seed is None or whole or hasattr(seed, "next")):
            raise TypeError(
                f"{type(self).__name__}: `seed` must be a whole number, a SeedGenerator or None. "
                f"Received: seed={seed!r}"
            )
        self.seed = int(seed) if whole else seed

    def _generator(self) -> Generator | None:
        if self.seed is None:
            return None
        number = int(self.seed.next().sum()) if hasattr(self.seed, "next") else self.seed
        return Generator().manual_seed(number)

    def get_config(self) -> dict[str, Any]:
        if hasattr(self.seed, "next"):
            return {"seed": described(self.seed, "keras.random", [type(self.seed)])}
        return {"seed": self.seed}


class RandomNormal(_Random):
    """Normal distribution.

    Args:
        mean: Default 0.
        stddev: standard deviation. Default 0.05.
        seed: an integer for the same values at every call, or a `keras.random.SeedGenerator`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = number(self, "mean", mean)
        self.stddev = number(self, "stddev", stddev)

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return _normal(shape, dtype, self.mean, self.stddev, self._generator())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normal distribution without what lies beyond two standard deviations.

    Args:
        mean: Default 0.
        stddev: standard deviation before the cut. Default 0.05.
        seed: an integer for the same values at every call, or a `keras.random.SeedGenerator`.
    """

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return _truncated(shape, dtype, self.mean, self.stddev, self._generator())


class RandomUniform(_Random):
    """Uniform distribution.

    Args:
        minval: lower bound. Default -0.05.
        maxval: upper bound. Default 0.05.
        seed: an integer for the same values at every call, or a `keras.random.SeedGenerator`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = number(self, "minval", minval)
        self.maxval = number(self, "maxval", maxval)

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return _uniform(shape, dtype, self.minval, self.maxval, self._generator())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class VarianceScaling(_Random):
    """A distribution as wide as the weight's number of inputs and outputs asks for: its
    variance is `scale / n`.

    Args:
        scale: above 0. Default 1.
        mode: n is the number of inputs ("fan_in", default), of outputs ("fan_out"), or their
            mean ("fan_avg").
        distribution: "truncated_normal" (default; "normal" is the same), "untruncated_normal"
            or "uniform".
        seed: an integer for the same values at every call, or a `keras.random.SeedGenerator`.
        input_axes, output_axes: the axes of the shape that count as inputs and as outputs; by
            default the last but one and the last, times the size of the axes before them.

    Raises:
        ValueError: an argument is out of its range.
    """

    _MODES = ("fan_in", "fan_out", "fan_avg")
    _DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        owner = type(self).__name__
        if number(self, "scale", scale) <= 0.0:
            raise ValueError(f"{owner}: `scale` must be above 0. Received: scale={scale}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        for argument, value, allowed in (
            ("mode", mode, self._MODES),
            ("distribution", distribution, self._DISTRIBUTIONS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"{owner}: `{argument}` must be one of {', '.join(allowed)}. "
                    f"Received: {argument}={value!r}"
                )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        variance = self.scale / max(1.0, self._fan(shape))
        generator = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return _uniform(shape, dtype, -limit, limit, generator)
        if self.distribution == "untruncated_normal":
            return _normal(shape, dtype, 0.0, math.sqrt(variance), generator)
        return _truncated(shape, dtype, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV, generator)

    def _fan(self, shape: Shape) -> float:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Preset(VarianceScaling):
    """A VarianceScaling with a name: `settings` are its scale, mode and distribution."""

    settings: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.settings, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_Preset):
    """Uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010)."""

    settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Preset):
    """Truncated normal, variance 2 / (inputs + outputs) (Glorot and Bengio, 2010)."""

    settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Preset):
    """Uniform within sqrt(6 / inputs) (He et al., 2015)."""

    settings = (2.0, "fan_in", "uniform")


class HeNormal(_Preset):
    """Truncated normal, variance 2 / inputs (He et al., 2015)."""

    settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    """Uniform within sqrt(3 / inputs) (LeCun et al., 1998)."""

    settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    """Truncated normal, variance 1 / inputs (LeCun et al., 1998)."""

    settings = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """A random matrix with orthonormal columns, or rows where it is wider than high
    (Saxe et al., 2014). All axes but the last count as rows.

    Args:
        gain: the matrix is multiplied with it. Default 1.
        seed: an integer for the same values at every call, or a `keras.random.SeedGenerator`.

    Raises:
        ValueError: when called with a shape of less than two dimensions.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = number(self, "gain", gain)

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs two dimensions or more. Received: shape={tuple(shape)}"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = max(rows, columns), min(rows, columns)
        q, r = torch.linalg.qr(_normal(tall, torch.float32, 0.0, 1.0, self._generator()))
        # QR alone isn't uniform over the orthogonal matrices; the signs make it so.
        q *= torch.diagonal(r).sign()
        matrix = q.T if rows < columns else q
        return (self.gain * matrix.reshape(tuple(shape))).to(dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


# The standard deviation of a standard normal that is cut at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


def compute_fans(
    shape: Shape,
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Returns a weight's numbers of inputs and of outputs, as Keras 3 counts them.

    Args:
        shape: of a kernel: (in, out), or (*window, in, out).
        input_axes, output_axes: where both are given, the axes to count instead.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _normal(
    shape: Shape, dtype: torch.dtype, mean: float, stddev: float, generator: Generator | None
) -> Tensor:
    return torch.empty(tuple(shape)).normal_(mean, stddev, generator=generator).to(dtype)


def _uniform(
    shape: Shape, dtype: torch.dtype, low: float, high: float, generator: Generator | None
) -> Tensor:
    return torch.empty(tuple(shape)).uniform_(low, high, generator=generator).to(dtype)


def _truncated(
    shape: Shape, dtype: torch.dtype, mean: float, stddev: float, generator: Generator | None
) -> Tensor:
    # A uniform number within the kept part of the distribution, through its inverse.
    bound = math.erf(math.sqrt(2.0))
    x = torch.empty(tuple(shape)).uniform_(-bound, bound, generator=generator)
    x.erfinv_().mul_(math.sqrt(2.0)).clamp_(-2.0, 2.0)
    return x.mul_(stddev).add_(mean).to(dtype)
