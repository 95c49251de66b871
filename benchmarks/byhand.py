"""The networks as somebody would write them in torch, and training, evaluation and prediction."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.networks import CLASSES, NETWORKS, Network


def module(name: str) -> nn.Module:
    """The module of one of `networks.NETWORKS`, giving logits."""
    if name in ("CNN", "LSTM"):
        return {"CNN": _Cnn, "LSTM": _Lstm}[name]()
    width = NETWORKS[name].width
    return nn.Sequential(
        nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, CLASSES),
    )  # fmt: skip


class ByHand:
    """Loops over batches.

    Args:
        model: None: a new one of the network's.
    """

    def __init__(self, name: str, batch_size: int, model: nn.Module | None = None) -> None:
        self.network: Network = NETWORKS[name]
        self.model, self.size = model or module(name), batch_size
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.network.rate)
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

    def epochs(self, features: np.ndarray, labels: np.ndarray, count: int) -> list[float]:
        """Trains for so many epochs; the seconds that each took."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self.fit(features, labels)
            seconds.append(time.perf_counter() - began)
        return seconds

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

    def forward(self, inputs: Tensor) -> Any:
        return self.last(self.lstm(inputs)[0][:, -1])


class _Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.last = nn.Linear(800, CLASSES)

    def forward(self, inputs: Tensor) -> Any:
        return self.last(self.features(inputs.permute(0, 3, 1, 2)))
