"""Functions of Keras 1 whose defaults or arguments today's have no longer, or that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor

from elephas_torch.keras import constraints, initializers, regularizers
from elephas_torch.keras.legacy.calls import gone


def l1l2(l1: float = 0.01, l2: float = 0.01) -> regularizers.L1L2:
    """L1L2 with Keras 1's defaults."""
    return regularizers.L1L2(l1, l2)


def maxnorm(m: float = 2, axis: Any = 0) -> constraints.MaxNorm:
    """MaxNorm with Keras 1's `m`."""
    return constraints.MaxNorm(m, axis)


def uniform(shape: Sequence[int], scale: float = 0.05, name: Any = None, **kwargs: Any) -> Tensor:
    """Numbers from -scale to scale, evenly distributed."""
    return initializers.RandomUniform(-scale, scale)(tuple(shape))


def normal(shape: Sequence[int], scale: float = 0.05, name: Any = None, **kwargs: Any) -> Tensor:
    """Numbers normally distributed, with a standard deviation of `scale`."""
    return initializers.RandomNormal(0.0, scale)(tuple(shape))


def identity(shape: Sequence[int], scale: float = 1, name: Any = None, **kwargs: Any) -> Tensor:
    """The identity matrix times `scale`."""
    return initializers.Identity(scale)(tuple(shape))


def orthogonal(shape: Sequence[int], scale: float = 1.1, name: Any = None, **kwargs: Any) -> Tensor:
    """An orthogonal matrix times `scale`."""
    return initializers.Orthogonal(scale)(tuple(shape))


def _drawn(cls: Any, text: str) -> Any:
    def draw(shape: Sequence[int], name: Any = None, **kwargs: Any) -> Tensor:
        values: Tensor = cls()(tuple(shape))
        return values

    draw.__doc__ = text
    return draw


zero = _drawn(initializers.Zeros, "Zeros.")
one = _drawn(initializers.Ones, "Ones.")
lecun_uniform = _drawn(initializers.LecunUniform, "LeCun's uniform numbers.")
glorot_normal = _drawn(initializers.GlorotNormal, "Glorot's normal numbers.")
glorot_uniform = _drawn(initializers.GlorotUniform, "Glorot's uniform numbers.")
he_normal = _drawn(initializers.HeNormal, "He's normal numbers.")
he_uniform = _drawn(initializers.HeUniform, "He's uniform numbers.")


def model_from_yaml(yaml_string: str, custom_objects: Any = None) -> NoReturn:
    """Raises a RuntimeError that names `model_from_json`: YAML isn't read."""
    gone("model_from_yaml")
