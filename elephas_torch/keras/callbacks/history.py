"""`History`: what `fit` returns."""

from __future__ import annotations

from elephas_torch.keras.callbacks.base import Callback, Logs


class History(Callback):
    """What `fit` returns; it is `model.history` as well.

    Follows https://keras.io/api/models/model_training_apis/#fit-method

    Attributes:
        history: name -> a value for each epoch: "loss", metrics, and the same with "val_".
        epoch: the numbers of the epochs, from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
