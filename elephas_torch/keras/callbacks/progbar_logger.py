"""`ProgbarLogger`: a progress bar, for training loops of your own."""

from __future__ import annotations

from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.progress import Progress, resolve_verbose


class ProgbarLogger(Callback):
    """Shows progress on standard output, by the params "verbose", "epochs" and "steps".

    Follows https://keras.io/api/callbacks/progbar_logger/

    `fit`, `evaluate` and `predict` show theirs by themselves, and leave it out; it is for
    `CallbackList` in a loop of your own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._fitting = False
        self._values: Logs = {}

    def logs(self) -> Logs:
        """The values of the last batch."""
        return self._values

    def _begin(self, epoch: int | None, epochs: int) -> None:
        verbose = resolve_verbose(self.params.get("verbose", 1))
        self._progress = Progress(epochs, self.params.get("steps"), verbose)
        self._values = {}
        self._progress.begin(epoch)

    def _advance(self, logs: Logs | None) -> None:
        if self._progress is not None:
            self._values = logs or {}
            self._progress.advance(self)

    def _end(self, logs: Logs | None) -> None:
        if self._progress is not None:
            self._progress.end(logs or {})
            self._progress = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._fitting = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._fitting = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._begin(epoch, self.params.get("epochs", 1))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._begin(None, 1)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._advance(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin(None, 1)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end(None)
