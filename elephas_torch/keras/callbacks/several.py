"""`CallbackList`: several callbacks as one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from elephas_torch.keras.callbacks.base import Callback, Logs, uses_batches
from elephas_torch.keras.callbacks.history import History
from elephas_torch.keras.callbacks.progbar_logger import ProgbarLogger
from elephas_torch.keras.callbacks.swap_ema_weights import SwapEMAWeights

logger = logging.getLogger(__name__)


class CallbackList(Callback):
    """Several callbacks as one, in order.

    Hooks at batches are called on those alone that do something there.

    Args:
        callbacks: a callback, several in a list or nested lists, or None.
        model: what they are told to work on.
        params: what they are told about the fit, by somebody who shows progress himself:
            `ProgbarLogger`s are then left out.
        add_history: puts a `History` at the end where there is none. Default True.
        add_progbar: puts a `ProgbarLogger` at the end where there is none. Default False.
        **more: the params, as Keras takes them: `epochs=3, steps=100, verbose=1`.

    Attributes:
        callbacks: the list.
        wants_batches, wants_test_batches, wants_predict_batches: whether anybody has something
            to do at each batch of a fit, an evaluation or a prediction: where nobody has, the
            hooks at batches needn't be called.

    Raises:
        TypeError: one of them is no callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        model: Any = None,
        params: Logs | None = None,
        *,
        add_history: bool = True,
        add_progbar: bool = False,
        **more: Any,
    ) -> None:
        super().__init__()
        self.callbacks = checked(callbacks)
        if params is not None:
            self.callbacks = [c for c in self.callbacks if not isinstance(c, ProgbarLogger)]
        if add_history:
            self._add_missing(History)
        if add_progbar:
            self._add_missing(ProgbarLogger)
        self._find_batchwise()
        self.set_model(model)
        self.set_params({**(params or {}), **more})

    def _add_missing(self, cls: type[Callback]) -> None:
        if not any(isinstance(one, cls) for one in self.callbacks):
            self.callbacks.append(cls())

    def _find_batchwise(self) -> None:
        self._batchwise = {
            phase: [one for one in self.callbacks if uses_batches(one, phase)]
            for phase in ("train", "test", "predict")
        }
        self.wants_batches = bool(self._batchwise["train"])
        self.wants_test_batches = bool(self._batchwise["test"])
        self.wants_predict_batches = bool(self._batchwise["predict"])

    @property
    def history(self) -> History:
        """The `History` among them; an empty one where there is none."""
        return next((one for one in self.callbacks if isinstance(one, History)), None) or History()

    def append(self, callback: Callback) -> None:
        """Adds a callback."""
        self.callbacks += checked(callback)
        self._find_batchwise()

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Logs) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def start(self, initial_epoch: int = 0) -> tuple[int, int]:
        """Where training begins; to be asked after `on_train_begin`.

        Returns:
            The epoch and the batch within it: `initial_epoch` and 0, or where a
            `BackupAndRestore` says that an interrupted fit was.
        """
        for callback in self.callbacks:
            resumed = getattr(callback, "resumed", None)
            if resumed is not None:
                return resumed
        return initial_epoch, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs or {})

    def on_exception(self, exception: BaseException) -> None:
        for callback in self.callbacks:
            try:
                callback.on_exception(exception)
            except Exception:  # the one that ended the training is to be seen
                logger.warning("%s.on_exception failed.", type(callback).__name__, exc_info=True)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        # One dict for all: what a callback adds, the later ones see, and History keeps.
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["train"]:
            callback.on_train_batch_begin(batch, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["train"]:
            callback.on_train_batch_end(batch, logs or {})

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["train"]:
            callback.on_batch_begin(batch, logs or {})

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["train"]:
            callback.on_batch_end(batch, logs or {})

    def on_test_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_begin(logs or {})

    def on_test_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_end(logs or {})

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["test"]:
            callback.on_test_batch_begin(batch, logs or {})

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["test"]:
            callback.on_test_batch_end(batch, logs or {})

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_begin(logs or {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_end(logs or {})

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["predict"]:
            callback.on_predict_batch_begin(batch, logs or {})

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self._batchwise["predict"]:
            callback.on_predict_batch_end(batch, logs or {})


def checked(callbacks: Any) -> list[Callback]:
    """Returns callbacks as a new list; nested lists, and a `CallbackList`, are unpacked.

    Raises:
        TypeError: one of them is no callback.
    """
    if callbacks is None:
        return []
    if isinstance(callbacks, CallbackList):
        return list(callbacks.callbacks)
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, str):
        return [one for part in callbacks for one in checked(part)]
    if not isinstance(callbacks, Callback):
        raise TypeError(
            "`callbacks` takes objects of elephas_torch.keras.callbacks.Callback (not "
            f"classes, not Keras's own). Received: {callbacks!r}"
        )
    return [callbacks]


def wants_batches(callbacks: Iterable[Callback]) -> list[str]:
    """Names of the callbacks that miss something where no hooks at batches are called."""
    return [
        type(one).__name__
        for one in callbacks
        if uses_batches(one) and not getattr(one, "_epochs_suffice", False)
    ]


def check_epochwise(callbacks: Iterable[Callback]) -> None:
    """Raises ValueError where a callback would do nothing in SparkModel.fit, which calls no hooks
    at batches and tests."""
    for one in callbacks:
        freq = getattr(one, "save_freq", "epoch")
        if freq != "epoch":
            raise ValueError(
                f"SparkModel.fit: {type(one).__name__} would never save, because hooks at batches "
                f"are not called here. Use save_freq='epoch'. Received: save_freq={freq!r}"
            )
        if isinstance(one, SwapEMAWeights):
            raise ValueError(
                "SparkModel.fit: SwapEMAWeights would find no mean of the weights, because the "
                "workers' optimizers keep theirs. Leave it out. Received: callbacks with "
                f"{one!r}"
            )
