"""Initializers: the first values of weights, with Keras 3's names, arguments and defaults.

See https://keras.io/api/layers/initializers. The distributions are Keras's; the random
numbers are torch's. An initializer is called with a shape:

    >>> from elephas_torch.keras import initializers
    >>> initializers.Constant(0.5)((2,))
    tensor([0.5000, 0.5000])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Generator, Tensor

from elephas_torch.keras.identifiers import (
    both_spellings,
    described,
    find,
    find_described,
    name_of,
)

Shape = Sequence[int]


class Initializer:
    """Gives a new weight its first value. Subclass it with `__call__` and `get_config`."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns a new CPU tensor of that shape and dtype."""
        raise TypeError(f"{type(self).__name__} must define __call__(self, shape, dtype).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(tuple(shape), dtype=dtype)


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.ones(tuple(shape), dtype=dtype)


class Constant(Initializer):
    """All `value`, a number. Default 0."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.full(tuple(shape), self.value, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Identity(Initializer):
    """The identity matrix times `gain`; for two-dimensional weights.

    Raises:
        ValueError: when called with a shape that isn't two-dimensional.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity gives matrices only. Received: shape={tuple(shape)}")
        return self.gain * torch.eye(*shape, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class _Random(Initializer):
    """With a seed every call gives the same values; without, torch's global generator goes on."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def _generator(self) -> Generator | None:
        return None if self.seed is None else Generator().manual_seed(self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class RandomNormal(_Random):
    """Normal distribution.

    Args:
        mean: Default 0.
        stddev: standard deviation. Default 0.05.
        seed: an integer for the same values at every call.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return _normal(shape, dtype, self.mean, self.stddev, self._generator())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normal distribution without what lies beyond two standard deviations.

    Args:
        mean: Default 0.
        stddev: standard deviation before the cut. Default 0.05.
        seed: an integer for the same values at every call.
    """

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        return _truncated(shape, dtype, self.mean, self.stddev, self._generator())


class RandomUniform(_Random):
    """Uniform distribution.

    Args:
        minval: lower bound. Default -0.05.
        maxval: upper bound. Default 0.05.
        seed: an integer for the same values at every call.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

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
        seed: an integer for the same values at every call.
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
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0.0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        for argument, value, allowed in (
            ("mode", mode, self._MODES),
            ("distribution", distribution, self._DISTRIBUTIONS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"`{argument}` must be one of {', '.join(allowed)}. "
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
        seed: int | None = None,
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
        seed: an integer for the same values at every call.

    Raises:
        ValueError: when called with a shape of less than two dimensions.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

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


_CLASSES: tuple[type[Initializer], ...] = (
    Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform,
    VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform,
    LecunNormal, Orthogonal,
)  # fmt: skip

_BY_NAME: dict[str, type[Initializer]] = {
    **both_spellings(_CLASSES),
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}


def get(identifier: Any) -> Initializer | Callable[..., Tensor] | None:
    """Returns an initializer.

    Args:
        identifier: an initializer or a callable of your own, called as
            `f(shape, dtype=...)` (returned as they are); a class of initializers; a name
            ("glorot_uniform", "GlorotUniform", a custom object's); what `serialize` gave; or
            None (returned).

    Raises:
        ValueError: no initializer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return _made(find("initializer", identifier, _BY_NAME), {})
    if isinstance(identifier, dict) and "class_name" in identifier:
        found = find_described("initializer", identifier, _BY_NAME)
        return _made(found, identifier.get("config") or {})
    if callable(identifier):
        return _made(identifier, {})
    raise TypeError(
        "An initializer must be a name such as 'glorot_uniform', or an initializer. "
        f"Received: {identifier!r} (of type {type(identifier).__name__})"
    )


def _made(found: Any, config: dict[str, Any]) -> Initializer | Callable[..., Tensor]:
    if isinstance(found, type) and issubclass(found, Initializer):
        return found.from_config(dict(config))
    return cast("Callable[..., Tensor]", found(**config) if isinstance(found, type) else found)


def serialize(initializer: Any) -> dict[str, Any] | str | None:
    """Returns the initializer as JSON-able data: `get` takes it back.

    A plain function is given by its name: `get` finds it among the custom objects.
    """
    if isinstance(initializer, Initializer):
        return described(initializer, "keras.initializers", _CLASSES)
    return None if initializer is None else name_of(initializer)
