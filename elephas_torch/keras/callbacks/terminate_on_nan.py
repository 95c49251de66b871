"""`TerminateOnNaN`: ends the training when the loss is no number any more."""

from __future__ import annotations

import math
from typing import ClassVar

from elephas_torch.keras.callbacks.base import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends the training when the loss is NaN or infinite: after the batch in `Model.fit`, after
    the epoch in `SparkModel.fit`.

    Follows https://keras.io/api/callbacks/terminate_on_nan/

    Args:
        raise_error: raises an error in place of a quiet end, so that nothing is done any more
            that callbacks do at the end of training. Default False.

    Raises:
        RuntimeError: with `raise_error`, when it happens.
    """

    _epochs_suffice: ClassVar[bool] = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = bool(raise_error)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._check(f"batch {batch}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.model.stop_training:
            self._check(f"epoch {epoch + 1}", logs)

    def _check(self, where: str, logs: Logs | None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"TerminateOnNaN: the loss is {loss} at {where}.")
        print(f"{where.capitalize()}: the loss is {loss}, training ends.")
        self.model.stop_training = True
