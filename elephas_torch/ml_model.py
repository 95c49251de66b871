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


def load_ml_estimator(file_name: str) -> Any:
    """Loads an estimator that `save` wrote: the class that it was saved from.

    Args:
        file_name: a path of any of Spark's file systems.

    Raises:
        ModelFileError: it isn't one.
    """
    return ElephasEstimator.load(str(file_name))


def load_ml_transformer(file_name: str) -> Any:
    """Loads a fitted stage that `save` wrote: the class that it was saved from.

    Args:
        file_name: a path of any of Spark's file systems.

    Raises:
        ModelFileError: it isn't one.
    """
    return ElephasTransformer.load(str(file_name))
