"""The Keras-style facade: models, layers, losses … on torch, without Spark.

Everything lies where Keras 3 has it (`keras.models`, `keras.layers` …), and where Keras 1 had
it (`keras.layers.core`, `keras.utils.np_utils` …).
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = (
    "activations", "backend", "callbacks", "config", "datasets", "initializers", "layers",
    "losses", "metrics", "models", "ops", "optimizers", "random", "saving", "utils",
)  # fmt: skip
_NAMES = {"Input": "models", "Model": "models", "Sequential": "models", "Layer": "layers"}

__all__ = [*_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"elephas_torch.keras.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"elephas_torch.keras.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'elephas_torch.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
