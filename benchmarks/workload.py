"""What the path of the data is measured on: an MLP 784-128-128-10 and rows like MNIST's."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from benchmarks import byhand, networks
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD

RATE = 0.1


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, 784), one-hot labels (count, 10): see `networks.rows`."""
    features, labels = networks.rows((784,), count, seed)
    return features, np.eye(networks.CLASSES, dtype=np.float32)[labels]


def facade() -> Any:
    """The MLP by the facade, compiled."""
    model = Sequential(
        [
            Dense(128, activation="relu", input_dim=784),
            Dense(128, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=SGD(RATE))
    return model


def module() -> nn.Module:
    """The MLP as somebody would write it by hand."""
    return byhand.module("MLP")
