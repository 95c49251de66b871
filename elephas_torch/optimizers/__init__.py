"""Optimizers: update rules on one flat vector of weights.

The same rules serve the facade (`elephas_torch.keras.optimizers`, which has Keras 3's
defaults), the parameter server, and any torch loop of your own. The classes *here* keep
elephas's defaults, which are Keras 0.3's: Adagrad starts with an empty accumulator and a
rate of 0.01, Adadelta has a rate of 1.0. It matters: as an outer optimizer Keras 3's
Adagrad (rate 0.001, accumulator 0.1) hardly moves. The optimizers that elephas
hadn't (AdamW, Lion …) have Keras 3's defaults.

    >>> import torch
    >>> from elephas_torch import optimizers
    >>> weights, gradients = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    >>> optimizers.SGD(lr=0.1).step(weights, gradients)
    >>> weights
    tensor([0.9500, 2.0500])
"""

from __future__ import annotations

from elephas_torch.optimizers import rules, schedules
from elephas_torch.optimizers.adams import Adam, Adamax, AdamW, Nadam, ScheduleFreeAdamW
from elephas_torch.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from elephas_torch.optimizers.base import Optimizer
from elephas_torch.optimizers.by_weight import Adafactor, Lamb, Muon
from elephas_torch.optimizers.descent import SGD, DiLoCo, Lion
from elephas_torch.optimizers.lookup import get, serialize
from elephas_torch.optimizers.scaling import LossScaleOptimizer
from elephas_torch.optimizers.schedules import LearningRateSchedule

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "DiLoCo",
    "Ftrl",
    "Lamb",
    "LearningRateSchedule",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "get",
    "rules",
    "schedules",
    "serialize",
]
