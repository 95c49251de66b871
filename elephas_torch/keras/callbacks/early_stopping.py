"""`EarlyStopping`: ends the training when a value has stopped improving."""

from __future__ import annotations

import numpy as np

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.callbacks.base import Logs
from elephas_torch.keras.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
    """Ends the training when a value has stopped improving.

    Follows https://keras.io/api/callbacks/early_stopping/

    Args:
        monitor: the name of the value. Default "val_loss".
        min_delta: a smaller change is none. Default 0.
        patience: epochs without improvement that are waited for. Default 0.
        verbose: 1 prints when it stops.
        mode: "min", "max", or "auto": by the value's name or the model's metric of that name.
        baseline: a value to be better than.
        restore_best_weights: at the end, take the weights of the best epoch. Default False.
        start_from_epoch: epochs before the watch begins. Default 0.

    Attributes:
        stopped_epoch: where it stopped the training, else 0.
        best: the best value so far; `best_epoch` its epoch.

    Raises:
        ValueError: a number out of range, an unknown mode; or, when training begins, a value of
            which neither its name nor the model tells whether it should rise or fall.
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
        self._settle()
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
