"""`predict` and its kin.

Follows https://keras.io/api/models/model_training_apis/#predict-method
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from elephas_torch.keras import legacy
from elephas_torch.keras.arguments import (
    check_batch_size,
    check_known,
    check_steps,
    without_workers,
)
from elephas_torch.keras.callbacks import Callback, CallbackList
from elephas_torch.keras.feeding import Feeding
from elephas_torch.keras.progress import Progress, resolve_verbose
from elephas_torch.keras.results import as_arrays, empty, joined, to_classes
from elephas_torch.keras.sources import Arrays, Source

Callbacks = Sequence[Callback] | Callback | None


class Predicting(Feeding):
    """The part of a `Model` that gives its outputs."""

    @contextmanager
    def _shown(
        self, name: str, source: Source, verbose: int, callbacks: Callbacks
    ) -> Iterator[tuple[CallbackList, Progress]]:
        params = {"epochs": 1, "steps": source.steps, "verbose": verbose}
        progress = Progress(1, source.steps, verbose)
        progress.begin(None)
        try:
            yield CallbackList(callbacks, self, params, add_history=False), progress
        finally:
            progress.close()
            source.close()

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> Any:
        """Outputs, in order.

        Follows https://keras.io/api/models/model_training_apis/#predict-method

        Args:
            x: features, as in `fit`; of batches the first part is taken.
            batch_size: rows at once. Default 32.
            verbose: 0 silent, 1 a bar, 2 a line at the end, "auto" 1 in a terminal, else 2.
            steps: batches to take. Default all; needed where batches never end.
            callbacks: their hooks of predictions are called.

        Returns:
            A NumPy array, shape (rows, ...) of the model's output; for several outputs a list or
            dict of them, as the model gives them.
        """
        rows = kwargs.pop("_rows", None)
        without_workers(kwargs, "predict")
        check_known(Predicting.predict, kwargs)
        if batch_size is not None:
            check_batch_size(batch_size)
        check_steps("steps", steps)
        verbose = resolve_verbose(verbose)
        source = self._features_source(x, batch_size, steps, rows)
        if isinstance(source, Arrays) and len(source.samples) == 0:
            return empty(self.output_shape)
        with self._shown("predict", source, verbose, callbacks) as (hooks, progress):
            outputs = self._predicted(source, hooks, progress)
            progress.end({})
        return as_arrays(outputs)

    def _predicted(self, source: Source, hooks: CallbackList, progress: Progress) -> Any:
        compute = self.predict_step if self.predicts_by_itself else None
        training = self.training
        self.eval()
        self.stop_predicting = False
        parts: list[Any] = []
        try:
            hooks.on_predict_begin()
            with torch.no_grad():
                for number, batch in enumerate(source.epoch()):
                    if hooks.wants_predict_batches:
                        hooks.on_predict_batch_begin(number)
                    parts.append(compute(batch.packed()) if compute else self(batch.x))
                    if hooks.wants_predict_batches:
                        hooks.on_predict_batch_end(number, {"outputs": parts[-1]})
                        if self.stop_predicting:
                            break
                    progress.advance(_NoLogs)
            hooks.on_predict_end()
        finally:
            self.train(training)
        if not parts:
            raise source.nothing()
        return joined(parts)

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The same as `predict`, under Keras 1's name."""
        legacy.method("predict_proba")
        return self.predict(x, batch_size, verbose)

    def reset_states(self) -> None:
        """Sets the states of all stateful layers to zeros. Follows Keras 2, which had it.

        Example:
            >>> model.fit(x, y, batch_size=5, shuffle=False)
            >>> model.reset_states()
        """
        for layer in self.modules():
            reset = getattr(layer, "reset_state", None)
            if getattr(layer, "stateful", False) and callable(reset):
                reset()

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0
    ) -> np.ndarray:
        """The class of each row, as Keras 1 and 2 had it.

        Returns:
            int64, shape (rows,): the largest output's number; or for a single output, shape
            (rows, 1): whether it is above 0.5.
        """
        legacy.method("predict_classes")
        return to_classes(self.predict(x, batch_size, verbose))

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch; returned as `predict` does."""
        batch = self._features_source(x, None, None, None)
        whole = batch.samples if isinstance(batch, Arrays) else None
        if whole is None:
            raise TypeError(
                "predict_on_batch takes arrays; predict takes batches. "
                f"Received: x of type {type(x).__name__}"
            )
        return self.predict(x, batch_size=max(len(whole), 1), verbose=0)


class _NoLogs:
    """What a bar shows of a prediction: nothing."""

    @staticmethod
    def logs() -> dict[str, Any]:
        return {}
