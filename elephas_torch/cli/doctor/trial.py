"""The doctor's training run: a small net on made-up rows, as any `SparkModel` trains."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

ROWS, FEATURES, CLASSES, BATCH = 4096, 32, 4, 32


class Clock(Callback):
    """Ends the training when its time is over; knows when each epoch was done."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.times.append(time.monotonic())
        self.model.stop_training = self.times[-1] - self.times[0] >= self.seconds


def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `CLASSES` clouds, so that a net which learns finds them."""
    made = np.random.default_rng(0)
    centres = made.normal(size=(CLASSES, FEATURES))
    labels = made.integers(CLASSES, size=number)
    x = centres[labels] + made.normal(size=(number, FEATURES))
    return x.astype(np.float32), np.eye(CLASSES, dtype=np.float32)[labels]


def train(sc: Any, workers: int, seconds: float, timeout: float) -> dict[str, Any]:
    """Trains on all workers at once, synchronously, every ten batches.

    Returns:
        "workers", "epochs", "seconds" of the whole, "start" until the first epoch was done,
        "rate": samples a second from then on (None: there was one epoch only), "loss" and
        "accuracy" of the first and of the last epoch.
    """
    model = Sequential([Dense(64, activation="relu"), Dense(CLASSES, activation="softmax")])
    model.build((None, FEATURES))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    x, y = rows(ROWS * workers)
    spark_model = SparkModel(
        sc, model, mode="synchronous", frequency=10, num_workers=workers, seed=0,
        join_timeout=timeout, round_timeout=timeout,
    )  # fmt: skip
    clock, started = Clock(seconds), time.monotonic()
    history = spark_model.fit(
        to_simple_rdd(sc, x, y, workers),
        epochs=100_000, batch_size=BATCH, verbose=0, callbacks=[clock],
    ).history  # fmt: skip
    return {
        "workers": workers,
        "epochs": len(clock.times),
        "seconds": time.monotonic() - started,
        "start": clock.times[0] - started,
        "rate": _rate(clock.times, len(x)),
        "loss": [_number(history["loss"][0]), _number(history["loss"][-1])],
        "accuracy": [_number(history["accuracy"][0]), _number(history["accuracy"][-1])],
    }


def _rate(times: list[float], samples: int) -> float | None:
    passed = times[-1] - times[0]
    return samples * (len(times) - 1) / passed if passed > 0 else None


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
