"""Losses: one number from targets and predictions, with Keras 3's names and defaults.

See https://keras.io/api/losses. A loss is called with targets and predictions, and perhaps
weights; the functions of the same names give a value for each sample.

    >>> import torch
    >>> from elephas_torch.keras import losses
    >>> losses.get("mse")(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.5000)

Crossentropies are defined on probabilities, which Keras clips to [1e-7, 1 - 1e-7]. Where a
model ends in softmax or sigmoid, `Loss.fused` gives the twin that takes what goes into the
activation: the same values, faster, and with a gradient where Keras's clipping has none.
"""

from elephas_torch.keras.losses.base import Loss, LossFunctionWrapper
from elephas_torch.keras.losses.crossentropies import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
)
from elephas_torch.keras.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from elephas_torch.keras.losses.lookup import deserialize, get, serialize
from elephas_torch.keras.losses.reduction import Reduction
from elephas_torch.keras.losses.segmentation import Dice, Tversky, dice, tversky
from elephas_torch.keras.losses.sequences import CTC, ctc
from elephas_torch.keras.losses.similarity import Circle, circle
from elephas_torch.keras.losses.targets import check_targets
from elephas_torch.keras.losses.values import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence
# Keras 1's and 2's names.
kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
cosine_proximity = cosine_similarity

__all__ = [
    "BCE", "CTC", "KLD", "MAE", "MAPE", "MSE", "MSLE", "BinaryCrossentropy",
    "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity",
    "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "LossFunctionWrapper",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "Reduction", "SparseCategoricalCrossentropy",
    "SquaredHinge", "Tversky", "bce", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "check_targets", "circle",
    "cosine_proximity", "cosine_similarity", "ctc", "deserialize", "dice", "get", "hinge",
    "huber", "kl_divergence", "kld", "kullback_leibler_divergence", "log_cosh", "logcosh",
    "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "mse", "msle", "poisson",
    "serialize", "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip
