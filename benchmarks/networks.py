"""The networks that are measured with, by the facade or by Keras, and their data.

Nothing here imports torch: peers in a Python of their own read it too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CLASSES = 10
#: Rows to take the accuracy from, which nobody trains on.
HELD_OUT = 2000
#: How many patterns a class has, and the share of pixels by which one shows.
PATTERNS, SHOWN = 3, 0.12


@dataclass(frozen=True)
class Network:
    """A network and how it is trained.

    Attributes:
        shape: of a row.
        layers: keras.layers -> the layers of a Sequential but the last, where keras is the facade
            or Keras.
        rate: SGD's learning rate.
        share: it is trained on this part of the rows, as a step takes that much longer.
        width: of the hidden layers of a wide one.
    """

    shape: tuple[int, ...]
    layers: Callable[[Any], list[Any]]
    rate: float = 0.1
    share: float = 1.0
    width: int = 128

    def rows(self, asked: int) -> int:
        """How many rows it is trained on where so many are asked for: at least a few batches."""
        return max(int(asked * self.share), min(asked, 256))


@functools.lru_cache(maxsize=4)
def rows(shape: tuple[int, ...], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows to be told apart: features (count, *shape), and class numbers (count,) int64.

    An image of 28 x 28 is faint noise, through which some pixels of one of its class's patterns
    show: dark squares on a grid of 7 x 7.

    Args:
        seed: of the rows; the patterns are the same for all.
    """
    random = np.random.default_rng(seed)
    grids = np.random.default_rng(1234).random((PATTERNS * CLASSES, 7, 7)) < 0.3
    patterns = grids.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    kinds = random.integers(0, len(patterns), count)
    features = random.random((count, 28, 28), dtype=np.float32) * 0.3
    shown = random.random((count, 28, 28), dtype=np.float32) < SHOWN
    np.copyto(features, patterns[kinds], where=shown)
    return features.reshape(count, *shape), kinds % CLASSES


def by_keras(keras: Any, network: Network) -> Any:
    """The network by the facade, or by Keras, compiled."""
    layers = [keras.Input(network.shape), *network.layers(keras.layers)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])
    optimizer = keras.optimizers.SGD(network.rate)
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer)
    return model


def accuracy(network: Network, predict: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of rows that nobody trained on whose class is found."""
    features, labels = rows(network.shape, HELD_OUT, 99)
    return float((np.asarray(predict(features)).argmax(-1) == labels).mean())


def _mlp(layers: Any, width: int) -> list[Any]:
    return [layers.Dense(width, activation="relu"), layers.Dense(width, activation="relu")]


def _cnn(layers: Any) -> list[Any]:
    return [
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    ]  # fmt: skip


def _wide(megabytes: int) -> Network:
    """An MLP of so many megabytes of weights: h * h + 796 h + 10 of them, 4 bytes each."""
    width = round(math.sqrt(398**2 + megabytes * 250_000) - 398)
    share = 0.4 / megabytes
    layers = functools.partial(_mlp, width=width)
    return Network((784,), layers, rate=0.01, share=share, width=width)


NETWORKS = {
    "MLP": Network((784,), functools.partial(_mlp, width=128)),
    "CNN": Network((28, 28, 1), _cnn, share=0.2),
    "LSTM": Network((28, 28), lambda layers: [layers.LSTM(64)], share=0.2),
    "wide4": _wide(4),
    "wide40": _wide(40),
    "wide400": _wide(400),
}
