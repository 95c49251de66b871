"""The Keras-style facade: models, layers, losses … on torch, without Spark.

Everything lies where Keras 3 has it (`keras.models`, `keras.layers` …), and where Keras 1 had
it (`keras.layers.core`, `keras.utils.np_utils` …).
"""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch.errors import nearest

_MODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "initializers",
    "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
    "preprocessing", "random", "regularizers", "saving", "utils", "wrappers",
)  # fmt: skip
#: Where Keras 1 and 2 had things.
_OLD_MODULES = ("engine", "initializations", "legacy", "objectives")
#: Name -> where it is, and what it is called there.
_NAMES = {
    "DTypePolicy": "policy.DTypePolicy",
    "Initializer": "initializers.Initializer",
    "Input": "models.Input",
    "InputSpec": "layers.InputSpec",
    "KerasTensor": "symbolic.KerasTensor",
    "Layer": "layers.Layer",
    "Loss": "losses.Loss",
    "Metric": "metrics.Metric",
    "Model": "models.Model",
    "Optimizer": "optimizers.Optimizer",
    "Regularizer": "regularizers.Regularizer",
    "Sequential": "models.Sequential",
    "Variable": "variables.variable",
}

__all__ = [*_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in (*_MODULES, *_OLD_MODULES):
        return importlib.import_module(f"elephas_torch.keras.{name}")
    if name in _NAMES:
        module, _, there = _NAMES[name].rpartition(".")
        return getattr(importlib.import_module(f"elephas_torch.keras.{module}"), there)
    raise AttributeError(
        f"module 'elephas_torch.keras' has no attribute {name!r}.{nearest(name, __all__)}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)
