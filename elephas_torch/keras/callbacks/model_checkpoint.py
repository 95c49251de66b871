"""`ModelCheckpoint`: saves the model, or its weights, as it is trained."""

from __future__ import annotations

import os
from typing import Any

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import legacy
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.callbacks.base import Logs
from elephas_torch.keras.callbacks.frequency import Every, checked_frequency
from elephas_torch.keras.callbacks.monitor import Monitor

_MODEL_ENDINGS = (".keras", ".h5", ".hdf5")
_WEIGHT_ENDINGS = (".h5", ".hdf5", ".safetensors")


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, at the ends of epochs or each so many batches.

    Follows https://keras.io/api/callbacks/model_checkpoint/

    Args:
        filepath: may have fields: "model-{epoch:02d}-{val_loss:.2f}.keras" (epochs and batches
            from 1). Its folder is made if it isn't there. Ends in ".keras", ".h5" or ".hdf5";
            for weights in ".weights.h5", ".h5", ".hdf5" or ".safetensors".
        monitor: the value that tells which is best. Default "val_loss".
        verbose: 1 prints when it saves.
        save_best_only: only when the value is the best so far. Default False.
        save_weights_only: weights without the model. Default False.
        mode: "min", "max", or "auto": by the value's name or the model's metric of that name.
        save_freq: "epoch" (default), or a number of batches, counted over the ends of epochs.
        initial_value_threshold: a value that the first save must be better than.
        **kwargs: `period`, of Keras 2: save each so many epochs.

    Attributes:
        best: the best value so far.

    Raises:
        ValueError: an ending, mode or frequency that doesn't exist.
        KeyError: when it saves: `filepath` has a field that the logs don't have.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode)
        self.period = _period(kwargs)
        self.save_freq = checked_frequency("ModelCheckpoint", save_freq)
        self.filepath = os.fspath(filepath)
        _check_ending(self.filepath, save_weights_only)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.best = initial_value_threshold
        self._every = None if self.save_freq == "epoch" else Every(int(self.save_freq))
        self._epoch = 0

    @property
    def _batchwise(self) -> bool:
        return self._every is not None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self._settle()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self._every is not None and self._every.due(batch):
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._every is None and (epoch + 1) % self.period == 0:
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        path = self._path(epoch, logs)
        if self.save_best_only and not self._is_best(epoch, logs):
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved to {path}")

    def _is_best(self, epoch: int, logs: Logs) -> bool:
        value = self._value(logs)
        if value is None:
            return True  # as Keras does: rather a file too many than none
        if not self._improved(value, self.best):
            if self.verbose:
                print(f"Epoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
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


def _check_ending(filepath: str, weights: bool) -> None:
    endings = _WEIGHT_ENDINGS if weights else _MODEL_ENDINGS
    if not filepath.endswith(endings):
        what = "save_weights_only=True" if weights else "whole models"
        raise ValueError(
            f"ModelCheckpoint: for {what} `filepath` must end in {' or '.join(map(repr, endings))}."
            f" Received: filepath={filepath!r}"
        )


def _period(kwargs: dict[str, Any]) -> int:
    if strangers := [name for name in kwargs if name != "period"]:
        raise unknown_arguments("ModelCheckpoint", strangers, _ARGUMENTS)
    if "period" not in kwargs:
        return 1
    check_whole("period", kwargs["period"], 1)
    legacy.warn(
        "ModelCheckpoint(period=…) is Keras 2's: use save_freq='epoch', or a number of batches."
    )
    return int(kwargs["period"])


_ARGUMENTS = (
    "filepath", "monitor", "verbose", "save_best_only", "save_weights_only", "mode", "save_freq",
    "initial_value_threshold",
)  # fmt: skip
