"""What is measured on: an MLP 784-128-128-10 and rows like MNIST's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD

RATE = 0.1


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a linear teacher labelled: features (count, 784), one-hot labels (count, 10)."""
    random = np.random.default_rng(seed)
    features = random.random((count, 784), dtype=np.float32)
    teacher = random.standard_normal((784, 10)).astype(np.float32)
    labels = ((features - 0.5) @ teacher).argmax(1)
    return features, np.eye(10, dtype=np.float32)[labels]


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
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def plain_loop(features: np.ndarray, labels: np.ndarray, batch_size: int, epochs: int) -> float:
    """A hand-written training loop; returns the last epoch's mean loss."""
    x, y = torch.from_numpy(features), torch.from_numpy(labels.argmax(1))
    model = module()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    criterion = nn.CrossEntropyLoss()
    total = 0.0
    for _ in range(epochs):
        order, total = torch.randperm(len(x)), 0.0
        for first in range(0, len(x), batch_size):
            index = order[first : first + batch_size]
            optimizer.zero_grad()
            loss = criterion(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
    return total / len(x)
