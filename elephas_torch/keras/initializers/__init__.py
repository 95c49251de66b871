"""Initializers: the first values of weights, with Keras 3's names, arguments and defaults.

Follows https://keras.io/api/layers/initializers. The distributions are Keras's; the random
numbers are torch's. An initializer is called with a shape:

    >>> from elephas_torch.keras import initializers
    >>> initializers.Constant(0.5)((2,))
    tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras.identifiers import both_spellings, resolve, written
from elephas_torch.keras.initializers.base import Initializer, Shape
from elephas_torch.keras.initializers.constants import Constant, Identity, Ones, Zeros
from elephas_torch.keras.initializers.fourier import STFT
from elephas_torch.keras.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)
from elephas_torch.keras.serialization import custom_object_scope

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "one",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "zero",
    "zeros",
]

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform,
    VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform,
    LecunNormal, Orthogonal, STFT,
)  # fmt: skip

constant, glorot_normal, glorot_uniform = Constant, GlorotNormal, GlorotUniform
he_normal, he_uniform, identity = HeNormal, HeUniform, Identity
lecun_normal, lecun_uniform, ones = LecunNormal, LecunUniform, Ones
orthogonal, random_normal, random_uniform = Orthogonal, RandomNormal, RandomUniform
truncated_normal, variance_scaling, zeros = TruncatedNormal, VarianceScaling, Zeros
normal, uniform, one, zero = RandomNormal, RandomUniform, Ones, Zeros
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
stft = STFTInitializer = STFT

_BY_NAME: dict[str, type[Initializer]] = {
    **both_spellings(_CLASSES),
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
}


def get(identifier: Any) -> Initializer | Callable[..., Tensor] | None:
    """Returns an initializer.

    Args:
        identifier: an initializer or a callable of your own, called as
            `f(shape, dtype=...)` (returned as they are); a class of initializers; a name
            ("glorot_uniform", "GlorotUniform", a custom object's); what `serialize` gave; an
            array or tensor, for a weight of its shape; or None (returned).

    Raises:
        ValueError: no initializer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    if isinstance(identifier, Tensor | np.ndarray | np.generic):
        return _given(identifier)
    found: Initializer | Callable[..., Tensor] | None = resolve(
        "initializer", identifier, _BY_NAME, "glorot_uniform"
    )
    return found


def _given(values: Any) -> Callable[..., Tensor]:
    known = torch.as_tensor(values).detach()

    def given(shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        if tuple(shape) != tuple(known.shape):
            raise ValueError(
                f"The array given as initializer has shape {tuple(known.shape)}, and so must the "
                f"weight. Received: shape={tuple(shape)}"
            )
        return known.to(dtype, copy=True)

    return given


def serialize(initializer: Any) -> dict[str, Any] | str | None:
    """Returns the initializer as JSON-able data: `get` takes it back.

    A plain function is given by its name: `get` finds it among the custom objects.
    """
    return written(initializer, "keras.initializers", _CLASSES)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the initializer that `serialize` described; see `get`.

    Args:
        config: what `serialize` gave, or Keras's.
        custom_objects: names in it -> classes or functions of your own.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)
