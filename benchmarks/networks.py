"""The three networks that the facade is measured with: each by the facade or Keras, by hand, and
its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

RATE = 0.1
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network in two spellings.

    Attributes:
        shape: of a row.
        layers: keras -> the layers of a Sequential, where keras is the facade or Keras.
        module: makes the module that somebody would write by hand, giving logits.
    """

    shape: tuple[int, ...]
    layers: Callable[[Any], list[Any]]
    module: Callable[[], nn.Module]


def rows(network: Network, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a linear teacher labelled: features, and class numbers (count,) int64."""
    random = np.random.default_rng(0)
    features = random.random((count, *network.shape), dtype=np.float32)
    flat = features.reshape(count, -1)
    teacher = random.standard_normal((flat.shape[1], CLASSES)).astype(np.float32)
    return features, ((flat - 0.5) @ teacher).argmax(1)


def by_keras(keras: Any, network: Network) -> Any:
    """The network by the facade, or by Keras, compiled."""
    layers = [keras.Input(network.shape), *network.layers(keras.layers)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])
    optimizer = keras.optimizers.SGD(RATE)
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer)
    return model


class ByHand:
    """Training, evaluation and prediction as somebody would write them in torch."""

    def __init__(self, network: Network, batch_size: int) -> None:
        self.model, self.size = network.module(), batch_size
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)
        self.criterion = nn.CrossEntropyLoss()

    def fit(self, features: np.ndarray, labels: np.ndarray) -> float:
        x, y = torch.from_numpy(features), torch.from_numpy(labels)
        order, total = torch.randperm(len(x)), 0.0
        self.model.train()
        for first in range(0, len(x), self.size):
            index = order[first : first + self.size]
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x[index]), y[index])
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(index)
        return total / len(x)

    @torch.no_grad()
    def evaluate(self, features: np.ndarray, labels: np.ndarray) -> float:
        x, y = torch.from_numpy(features), torch.from_numpy(labels)
        self.model.eval()
        total = 0.0
        for first in range(0, len(x), self.size):
            batch = slice(first, first + self.size)
            total += self.criterion(self.model(x[batch]), y[batch]).item() * len(x[batch])
        return total / len(x)

    @torch.no_grad()
    def predict(self, features: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(features)
        self.model.eval()
        parts = [self.model(x[k : k + self.size]).softmax(-1) for k in range(0, len(x), self.size)]
        return torch.cat(parts).numpy()


class _Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 64, batch_first=True)
        self.last = nn.Linear(64, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.lstm(inputs)[0][:, -1])


class _Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.last = nn.Linear(800, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.features(inputs.permute(0, 3, 1, 2)))


NETWORKS = {
    "MLP": Network(
        (784,),
        lambda layers: [
            layers.Dense(128, activation="relu"), layers.Dense(128, activation="relu"),
        ],
        lambda: nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
            nn.Linear(128, CLASSES),
        ),
    ),
    "CNN": Network(
        (28, 28, 1),
        lambda layers: [
            layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        ],
        _Cnn,
    ),
    "LSTM": Network((28, 28), lambda layers: [layers.LSTM(64)], _Lstm),
}  # fmt: skip
