"""Where elephas has its ML stages: `ElephasEstimator`, `ElephasTransformer`, and their loading."""

from __future__ import annotations

from typing import Any

from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasClassifier,
    ElephasEstimator,
    ElephasRegressionModel,
    ElephasRegressor,
    ElephasTransformer,
)
from elephas_torch.ml.persistence import reader

__all__ = [
    "ElephasClassificationModel",
    "ElephasClassifier",
    "ElephasEstimator",
    "ElephasRegressionModel",
    "ElephasRegressor",
    "ElephasTransformer",
    "load_ml_estimator",
    "load_ml_transformer",
]


def load_ml_estimator(file_name: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Loads an estimator that `save` wrote: the class that it was saved from.

    Args:
        file_name: a path of any of Spark's file systems.
        custom_objects: name -> class or function, for layers, losses and metrics of your own.

    Raises:
        ModelFileError: it isn't one.
    """
    return reader(ElephasEstimator).customObjects(custom_objects).load(str(file_name))


def load_ml_transformer(file_name: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Loads a fitted stage that `save` wrote: the class that it was saved from.

    Args:
        file_name: a path of any of Spark's file systems.
        custom_objects: name -> class or function, for layers, losses and metrics of your own.

    Raises:
        ModelFileError: it isn't one.
    """
    return reader(ElephasTransformer).customObjects(custom_objects).load(str(file_name))
