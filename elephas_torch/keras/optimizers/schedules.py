"""Learning-rate schedules under Keras's name: those of `elephas_torch.optimizers.schedules`.

Follows https://keras.io/api/optimizers/learning_rate_schedules.

    >>> from elephas_torch.keras import optimizers
    >>> rate = optimizers.schedules.CosineDecay(0.1, decay_steps=1000)
    >>> optimizers.Adam(rate).learning_rate
    0.1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elephas_torch.keras.identifiers import find, find_described
from elephas_torch.keras.serialization import custom_object_scope
from elephas_torch.optimizers import schedules as ground
from elephas_torch.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
    serialize,
)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def deserialize(config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the schedule, or the function, that a config describes.

    Args:
        config: what `serialize` gave, or Keras's.
        custom_objects: names in it -> classes or functions of your own.

    Raises:
        ValueError: nobody knows the name; the message has the nearest one.
    """
    kind = "learning-rate schedule"
    with custom_object_scope(custom_objects or {}):
        if config.get("class_name") == "function":
            return find(kind, str(config.get("config")), {})
        found = find_described(kind, config, ground.CLASSES)
    return found.from_config(dict(config.get("config") or {}))
