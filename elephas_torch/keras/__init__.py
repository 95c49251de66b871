"""The Keras-style facade: models, layers, losses … on torch, without Spark.

Everything lies where Keras 3 has it (`keras.models`, `keras.layers` …), and where Keras 1 had
it (`keras.layers.core`, `keras.utils.np_utils` …).
"""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch.errors import absent, nearest

_MODULES = (
    "activations", "applications", "backend", "callbacks", "config", "constraints", "datasets",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
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

#: What Keras 3 has at its top and this package hasn't: what to use.
_LEFT_OUT = {
    "FloatDTypePolicy": "Use DTypePolicy",
    "Function": "Use Model(inputs, outputs)",
    "Operation": "Write a Layer",
    "Quantizer": "Use torch.ao.quantization on what `model.to_torch()` gives",
    "RematScope": "Use torch.utils.checkpoint in a Layer",
    "StatelessScope": "It is for JAX: use torch.func.functional_call",
    "SymbolicScope": "Layers called on an Input are recorded as they are",
    "device": "Computing is on the CPU; for tensors of your own use torch.device",
    "distillation": "Override `compute_loss` of a Model that holds the teacher",
    "distribution": "Train on Spark: elephas_torch.SparkModel",
    "dtype_policies": "Use keras.DTypePolicy, or keras.mixed_precision.set_global_policy",
    "export": "Use `model.export(path)` or `model.to_torch()`",
    "name_scope": "Give layers names: Dense(3, name='block_dense')",
    "quantizers": "Use torch.ao.quantization on what `model.to_torch()` gives",
    "remat": "Use torch.utils.checkpoint in a Layer",
    "tree": "Use torch.utils._pytree, or the package optree",
    "visualization": "Use matplotlib",
}  # fmt: skip

#: The Keras whose API this is; the package's own version is `elephas_torch.__version__`.
__version__ = "3.15.0"

__all__ = [*_MODULES, *_NAMES, "version"]


def version() -> str:
    """Returns `__version__`."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in (*_MODULES, *_OLD_MODULES):
        return importlib.import_module(f"elephas_torch.keras.{name}")
    if name in _NAMES:
        module, _, there = _NAMES[name].rpartition(".")
        return getattr(importlib.import_module(f"elephas_torch.keras.{module}"), there)
    if name in _LEFT_OUT:
        raise absent(f"elephas_torch.keras.{name} isn't there. {_LEFT_OUT[name]}.")
    raise absent(f"module 'elephas_torch.keras' has no attribute {name!r}.{nearest(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
