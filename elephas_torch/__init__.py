"""Distributed deep learning on Spark with Keras-style models on PyTorch.

    >>> from elephas_torch import SparkModel, keras, optimizers

Names are imported when they are first used, so that `import elephas_torch` is cheap, and
`elephas_torch.keras` and `elephas_torch.parameter` serve where there is no Spark.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elephas_torch._version import __version__

if TYPE_CHECKING:
    from elephas_torch import errors, keras, optimizers, parameter
    from elephas_torch.ml_model import (
        ElephasClassificationModel,
        ElephasClassifier,
        ElephasEstimator,
        ElephasRegressionModel,
        ElephasRegressor,
        ElephasTransformer,
        load_ml_estimator,
        load_ml_transformer,
    )
    from elephas_torch.mllib_model import SparkMLlibModel
    from elephas_torch.spark_model import AsynchronousSparkModel, SparkModel, load_spark_model

__all__ = [
    "AsynchronousSparkModel",
    "ElephasClassificationModel",
    "ElephasClassifier",
    "ElephasEstimator",
    "ElephasRegressionModel",
    "ElephasRegressor",
    "ElephasTransformer",
    "SparkMLlibModel",
    "SparkModel",
    "__version__",
    "errors",
    "keras",
    "load_ml_estimator",
    "load_ml_transformer",
    "load_spark_model",
    "optimizers",
    "parameter",
]

_SUBMODULES = ("errors", "keras", "optimizers", "parameter")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"elephas_torch.{name}")
    if name in __all__:
        ml = name.startswith(("Elephas", "load_ml_"))
        module = "elephas_torch.ml_model" if ml else "elephas_torch.spark_model"
        value = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'elephas_torch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
