"""Estimators and transformers for Spark's ML pipelines."""

from elephas_torch.ml.estimator import ElephasClassifier, ElephasEstimator, ElephasRegressor
from elephas_torch.ml.transformer import (
    ElephasClassificationModel,
    ElephasRegressionModel,
    ElephasTransformer,
)

__all__ = [
    "ElephasClassificationModel",
    "ElephasClassifier",
    "ElephasEstimator",
    "ElephasRegressionModel",
    "ElephasRegressor",
    "ElephasTransformer",
]
