"""Callbacks: what happens at the ends of epochs and batches.

Follows https://keras.io/api/callbacks/. All of them work in `Model.fit` and, at the ends of
epochs and of training, in `SparkModel.fit`, where they run on the driver.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.saving import check_ending

Logs = dict[str, Any]


class Callback:
    """Override the hooks that you want. `self.model` is the model, `self.params` what `fit` got.

    Setting `self.model.stop_training = True` ends the training after the epoch.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: Logs = {}

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: Logs) -> None:
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...

    def on_train_end(self, logs: Logs | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...


class CallbackList(Callback):
    """Several callbacks as one; batch hooks are only called where somebody overrides them."""

    def __init__(self, callbacks: Iterable[Callback] | Callback | None, model: Any, params: Logs):
        super().__init__()
        self.callbacks = checked(callbacks)
        known = next((c for c in self.callbacks if isinstance(c, History)), None)
        self.history = known or History()
        if known is None:
            self.callbacks.append(self.history)
        self.wants_batches = any(map(_wants_batches, self.callbacks))
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs or {})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        # One dict for all: what a callback adds, the later ones see, and History keeps.
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs or {})


_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


def _wants_batches(callback: Callback) -> bool:
    if isinstance(callback, LambdaCallback):
        return callback.wants_batches
    return any(getattr(type(callback), h) is not getattr(Callback, h) for h in _BATCH_HOOKS)


def wants_batches(callbacks: Iterable[Callback]) -> list[str]:
    """Names of the callbacks that have something to do at each batch."""
    return [type(c).__name__ for c in callbacks if _wants_batches(c)]


def checked(callbacks: Any) -> list[Callback]:
    """Returns callbacks as a new list.

    Raises:
        TypeError: one of them is no callback.
    """
    if not isinstance(callbacks, Iterable | None):
        callbacks = [callbacks]
    several = list(callbacks or [])
    for one in several:
        if not isinstance(one, Callback):
            raise TypeError(
                "`callbacks` takes objects of elephas_torch.keras.callbacks.Callback (not "
                f"classes, not Keras's own). Received: {one!r}"
            )
    return several


class History(Callback):
    """What `fit` returns.

    Attributes:
        history: name -> a value for each epoch: "loss", metrics, and the same with "val_".
        epoch: the numbers of the epochs, from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs); `on_batch_begin`
            and `on_batch_end` are the same.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        on_batch_begin: Callable[..., Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin or on_batch_begin,
            "on_train_batch_end": on_train_batch_end or on_batch_end,
        }
        for name, function in hooks.items():
            if function is not None:
                setattr(self, name, function)
        self.wants_batches = any(hooks[f"on_train_batch_{end}"] for end in ("begin", "end"))


_MODES = ("auto", "min", "max")
_RISES = re.compile("acc|auc|precision|recall|f1|f_1|cosine_(similarity|proximity)|iou")
_FALLS = re.compile(
    "loss|error|mse|mae|mape|msle|hinge|entropy|bce|ce$|kld|diverg|poisson|cosh|huber"
)


class _Monitor(Callback):
    """Watches a value, and knows what's better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__()
        owner = type(self).__name__
        if mode not in _MODES:
            raise unknown(f"{owner} mode", mode, _MODES)
        self.monitor = monitor
        self.mode = self._direction(owner, monitor) if mode == "auto" else mode
        self.min_delta = abs(min_delta)

    @staticmethod
    def _direction(owner: str, monitor: str) -> str:
        if _RISES.search(monitor):
            return "max"
        if _FALLS.search(monitor):
            return "min"
        raise ValueError(
            f"{owner} can't tell whether {monitor!r} should rise or fall: pass mode='max' or "
            f"mode='min'. Received: monitor={monitor!r}, mode='auto'"
        )

    def _improved(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        if self.mode == "max":
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _value(self, logs: Logs | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which isn't there. "
                f"There is: {', '.join(logs or {})}.",
                stacklevel=2,
            )
        return value


class EarlyStopping(_Monitor):
    """Ends the training when a value has stopped improving.

    Args:
        monitor: the name of the value. Default "val_loss".
        min_delta: a smaller change is none. Default 0.
        patience: epochs without improvement that are waited for. Default 0.
        verbose: 1 prints when it stops.
        mode: "min", "max", or "auto": by the value's name, where that tells.
        baseline: a value to be better than.
        restore_best_weights: at the end, take the weights of the best epoch. Default False.
        start_from_epoch: epochs before the watch begins. Default 0.

    Attributes:
        stopped_epoch: where it stopped the training, else 0.
        best: the best value so far; `best_epoch` its epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        check_whole("patience", patience, 0)
        check_whole("start_from_epoch", start_from_epoch, 0)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def _begin(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self._improved(value, self.best):
            self.best = value
            self._keep(epoch)
            if self._improved(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Saves the model, or its weights, at the ends of epochs.

    Args:
        filepath: may have fields: "model-{epoch:02d}-{val_loss:.2f}.keras" (epochs from 1).
            Its folder is made if it isn't there.
        monitor: the value that tells which is best. Default "val_loss".
        verbose: 1 prints when it saves.
        save_best_only: only when the value is the best so far. Default False.
        save_weights_only: weights without the model. Default False.
        mode: "min", "max", or "auto": by the value's name, where that tells.
        save_freq: "epoch", the only one.
        initial_value_threshold: a value that the first save must be better than.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode if save_best_only or mode != "auto" else "min")
        if save_freq != "epoch":
            raise ValueError(f"`save_freq` must be 'epoch'. Received: save_freq={save_freq!r}")
        check_ending(filepath)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.best = initial_value_threshold

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only and not self._is_best(logs):
            return
        path = self._path(epoch, logs or {})
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved to {path}")

    def _is_best(self, logs: Logs | None) -> bool:
        value = self._value(logs)
        if value is None:
            return True  # as Keras does: rather a file too many than none
        if not self._improved(value, self.best):
            return False
        self.best = value
        return True

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as error:
            raise KeyError(
                f"`filepath` {self.filepath!r} has a field that isn't there: {error}. "
                f"There is: epoch, {', '.join(logs)}."
            ) from None
