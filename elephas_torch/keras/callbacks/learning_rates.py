"""Callbacks that change the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import legacy
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.callbacks.monitor import Monitor


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a value has stopped improving.

    Follows https://keras.io/api/callbacks/reduce_lr_on_plateau/

    The rate goes into the logs as "learning_rate".

    Args:
        monitor: the name of the value. Default "val_loss".
        factor: what the rate is multiplied with, from 0 to below 1. Default 0.1.
        patience: epochs without improvement that are waited for. Default 10.
        verbose: 1 prints when it lowers the rate.
        mode: "min", "max", or "auto": by the value's name or the model's metric of that name.
        min_delta: a smaller change is none. Default 1e-4.
        cooldown: epochs to wait after the rate was lowered. Default 0.
        min_lr: the rate isn't lowered below this. Default 0.

    Raises:
        ValueError: `factor` is 1 or more, a number out of range, or an unknown mode.
        TypeError: when it lowers the rate: the optimizer has a schedule instead of a rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        min_delta = legacy.renamed(kwargs, "ReduceLROnPlateau", "epsilon", "min_delta", min_delta)
        if kwargs:
            names = list(inspect.signature(ReduceLROnPlateau).parameters)[:-1]
            raise unknown_arguments("ReduceLROnPlateau", kwargs, names)
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(
                "ReduceLROnPlateau: `factor` must be from 0 to below 1, so that the rate falls. "
                f"Received: factor={factor!r}"
            )
        check_whole("patience", patience, 0)
        check_whole("cooldown", cooldown, 0)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._settle()
        self._begin()

    def _begin(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Whether it waits after a change."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self._value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improved(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._lower(epoch)

    def _lower(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        old = float(optimizer.learning_rate)
        if old <= self.min_lr:
            return
        optimizer.learning_rate = max(old * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            print(
                f"Epoch {epoch + 1}: ReduceLROnPlateau lowers the learning rate to "
                f"{optimizer.learning_rate}."
            )


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Follows https://keras.io/api/callbacks/learning_rate_scheduler/

    The rate goes into the logs as "learning_rate".

    Args:
        schedule: a function of the epoch (from 0) and the present rate that returns the new one;
            or of the epoch alone, as Keras 1 had it.
        verbose: 1 prints the rate.

    Raises:
        TypeError: `schedule` is no function; or the optimizer has a schedule instead of a rate.
        ValueError: what it returns is no number.

    Example:
        >>> from elephas_torch.keras.callbacks import LearningRateScheduler
        >>> halved = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "LearningRateScheduler: `schedule` must be a function of the epoch and the rate. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, float(optimizer.learning_rate))
        value = self.schedule(*given) if _takes_two(self.schedule) else self.schedule(epoch)
        optimizer.learning_rate = _as_rate(value)
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {value}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(schedule: Callable[..., Any]) -> bool:
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin that doesn't tell
        return True
    return True


def _as_rate(value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    scalar = isinstance(value, torch.Tensor | np.ndarray) and value.ndim == 0
    if not (number or scalar):
        raise ValueError(
            "LearningRateScheduler: `schedule` must return a number, the learning rate. "
            f"Received: {value!r}"
        )
    return float(value)
