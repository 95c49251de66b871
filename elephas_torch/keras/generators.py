"""`fit_generator` and its kin, as Keras 1 and 2 had them: `fit` takes generators now."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from elephas_torch.keras.callbacks import History
    from elephas_torch.keras.training import Trainer

#: What Keras 1 and 2 took to say how a generator is to be run; it runs in this thread.
_RUNNING = (
    "workers", "use_multiprocessing", "max_queue_size", "max_q_size", "nb_worker", "pickle_safe",
    "wait_time",
)  # fmt: skip


class Generators:
    """The old methods for generators; each warns with the name of today's."""

    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        validation_freq: Any = 1,
        class_weight: Any = None,
        **kwargs: Any,
    ) -> History:
        """`fit` under Keras 1's and 2's name.

        Args:
            **kwargs: `shuffle`, `initial_epoch`; Keras 1's `samples_per_epoch`, `nb_val_samples`
                (rows, not batches) and `nb_epoch`; `workers`, `max_queue_size` and their like,
                which change nothing.
        """
        _warn("fit_generator", "fit")
        _drop_running(kwargs)
        rows = kwargs.pop("samples_per_epoch", None), kwargs.pop("nb_val_samples", None)
        epochs = kwargs.pop("nb_epoch", epochs)
        return cast("Trainer", self).fit(
            generator,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
            class_weight=class_weight,
            _rows=rows,
            **kwargs,
        )

    def evaluate_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        verbose: int | str = 0,
        **kwargs: Any,
    ) -> Any:
        """`evaluate` under Keras 1's and 2's name; `val_samples` are Keras 1's rows to take."""
        _warn("evaluate_generator", "evaluate")
        _drop_running(kwargs)
        rows = kwargs.pop("val_samples", None)
        return cast("Trainer", self).evaluate(
            generator, steps=steps, callbacks=callbacks, verbose=verbose, _rows=rows, **kwargs
        )

    def predict_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        verbose: int | str = 0,
        **kwargs: Any,
    ) -> Any:
        """`predict` under Keras 1's and 2's name; `val_samples` are Keras 1's rows to take."""
        _warn("predict_generator", "predict")
        _drop_running(kwargs)
        rows = kwargs.pop("val_samples", None)
        return cast("Trainer", self).predict(
            generator, steps=steps, callbacks=callbacks, verbose=verbose, _rows=rows, **kwargs
        )


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is old: `{new}` takes generators.", DeprecationWarning, stacklevel=3)


def _drop_running(kwargs: dict[str, Any]) -> None:
    for name in _RUNNING:
        kwargs.pop(name, None)
