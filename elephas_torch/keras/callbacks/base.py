"""`Callback`: the hooks, and who has something to do at batches."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras.making import Maker

Logs = dict[str, Any]

#: The hooks at batches, by what goes on.
BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class Callback(metaclass=Maker):
    """Override the hooks that you want.

    Follows https://keras.io/api/callbacks/base_callback/

    Every hook gets `logs`, a dict: empty at beginnings, the running values at the ends of
    batches, the epoch's values ("loss", metrics, and the same with "val_") at its end. Setting
    `self.model.stop_training = True` ends the training: after the batch, or after the epoch.

    In `fit` the training, epoch and batch hooks are called, and the test hooks around each
    validation; in `evaluate` the test hooks; in `predict` the predict hooks. In
    `SparkModel.fit` all run on the driver, those of batches and tests not at all.

    Attributes:
        model: the model.
        params: what `fit` got: "epochs", "steps" and "verbose"; in `SparkModel.fit` also "spark",
            its `get_config()` with this fit's numbers.

    Example:
        >>> from elephas_torch.keras.callbacks import Callback
        >>> class Enough(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1
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

    def on_exception(self, exception: BaseException) -> None:
        """Training ends by an exception, Ctrl-C too; no other hook is called any more. Keras has no
        such hook."""

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_begin(self, logs: Logs | None = None) -> None: ...

    def on_predict_end(self, logs: Logs | None = None) -> None: ...

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...


def uses_batches(callback: Callback, phase: str = "train") -> bool:
    """Whether a callback has something to do at each batch.

    Args:
        phase: "train", "test" or "predict".
    """
    return any(_uses(callback, hook) for hook in BATCH_HOOKS[phase])


def _uses(callback: Callback, hook: str) -> bool:
    if hook in vars(callback):
        return True  # a function that was set, as LambdaCallback does
    owner = next(cls for cls in type(callback).__mro__ if hook in vars(cls))
    # Ours have something to do there by their settings, which the class with the hook tells.
    settled = "_batchwise" not in vars(owner) or callback._batchwise  # type: ignore[attr-defined]
    return owner is not Callback and bool(settled)
