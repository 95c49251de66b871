"""`fit`, `evaluate`, `predict`: the local loop.

Follows https://keras.io/api/models/model_training_apis/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from elephas_torch.keras import batches, legacy
from elephas_torch.keras.arguments import (
    check_batch_size,
    check_class_weight,
    check_epochs,
    check_flag,
    check_known,
    check_share,
    check_whole,
)
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.callbacks import Callback, CallbackList, History
from elephas_torch.keras.compiled import CompiledModel
from elephas_torch.keras.progress import Progress, resolve_verbose
from elephas_torch.keras.results import results, to_classes


class Trainer(CompiledModel):
    """The part of a `Model` that trains it."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        *,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        **kwargs: Any,
    ) -> History:
        """Trains the model on arrays.

        Args:
            x: features, shape (rows, ...): NumPy, torch or lists.
            y: targets, shape (rows, ...).
            batch_size: rows a step. Default 32.
            epochs: the number of the epoch to stop at. Default 1.
            verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 in a terminal, else 2.
            callbacks: see `elephas_torch.keras.callbacks`.
            validation_split: the share of rows, taken from the end, to validate with.
            validation_data: (x, y) or (x, y, sample_weight) to validate with instead.
            shuffle: a new order each epoch. Default True.
            class_weight: class number -> weight of its rows in the loss of training.
            sample_weight: weight of each row in the loss, shape (rows,).
            initial_epoch: the number of the first epoch. Default 0.
            validation_batch_size: Default `batch_size`.
            validation_freq: validate each so many epochs. Default 1.

        Returns:
            A `History`: `history.history["loss"]` has a value an epoch.

        Raises:
            ValueError: the model isn't compiled; an argument is out of range; shapes or labels
                don't fit (`DataError`, which is one).
            TypeError: an argument that `fit` doesn't take.
        """
        epochs = legacy.renamed(kwargs, "fit", "nb_epoch", "epochs", epochs)
        accuracy = legacy.show_accuracy(kwargs, "fit")
        check_known(Trainer.fit, kwargs)
        self._needs_compile()
        check_epochs(epochs, initial_epoch)
        size = check_batch_size(batch_size)
        validation_size = check_batch_size(validation_batch_size or size, "validation_batch_size")
        check_share("validation_split", validation_split)
        check_flag("shuffle", shuffle)
        check_whole("validation_freq", validation_freq, 1)
        check_class_weight(class_weight)
        verbose = resolve_verbose(verbose)
        training = self.samples(x, y, sample_weight)
        validation = None if validation_data is None else self._validation(validation_data)
        if validation_split and validation is None:
            training, validation = batches.split_checked(training, validation_split)
        training = batches.weigh_classes(training, class_weight)
        if accuracy:
            self._add_accuracy()
        steps = -(-len(training) // size)
        hooks = CallbackList(
            callbacks, self, {"epochs": epochs, "steps": steps, "verbose": verbose}
        )
        progress = Progress(epochs, steps, verbose)

        def run(epoch: int) -> dict[str, float]:
            logs = self._run_epoch(training, size, shuffle, hooks, progress)
            if validation is not None and (epoch + 1) % validation_freq == 0:
                values = self._test(validation, validation_size)
                logs |= {f"val_{name}": value for name, value in values.items()}
            return logs

        return self._run_epochs(range(initial_epoch, epochs), run, hooks, progress)

    def _run_epochs(
        self,
        epochs: range,
        run: Callable[[int], dict[str, float]],
        hooks: CallbackList,
        progress: Progress,
    ) -> History:
        self.stop_training = False
        self.history = hooks.history
        logs: dict[str, float] = {}
        try:
            hooks.on_train_begin()
            for epoch in epochs:
                hooks.on_epoch_begin(epoch)
                progress.begin(epoch)
                logs = run(epoch)
                progress.end(logs)
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            hooks.on_train_end(logs)
        finally:
            progress.close()
            self.eval()
        return hooks.history

    def _validation(self, data: Sequence[Any]) -> Samples:
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            found = f"{len(data)} items" if isinstance(data, tuple | list) else type(data).__name__
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight). "
                f"Received: validation_data of {found}"
            )
        names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
        x, y, weight = (*data, None)[:3]
        return self.samples(x, y, weight, names=names)

    def _run_epoch(
        self,
        samples: Samples,
        batch_size: int,
        shuffle: bool,
        hooks: CallbackList,
        progress: Progress,
    ) -> dict[str, float]:
        # Asked anew each epoch: a callback may have frozen, replaced or compiled something.
        step, optimizer = self._ready(), self.optimizer
        flat = step.flat
        self.train()
        step.reset()
        rows = batches.order(len(samples), True) if shuffle else None
        for number, batch in enumerate(batches.batches(samples, batch_size, rows)):
            if hooks.wants_batches:
                hooks.on_train_batch_begin(number)
            step.gradients(batch)
            optimizer.step(flat.parameters, flat.gradients, flat.sizes)
            if hooks.wants_batches:
                hooks.on_train_batch_end(number, step.logs())
                if self.stop_training:
                    break
            progress.advance(step)
        self.eval()
        return step.logs()

    def _test(self, samples: Samples, batch_size: int) -> dict[str, float]:
        # A callback may evaluate in the middle of an epoch, whose sums must then go on.
        step, training = self._ready(), self.training
        before = step.sums()
        self.eval()
        step.reset()
        try:
            for batch in batches.batches(samples, batch_size):
                step.evaluate(batch)
            return step.logs()
        finally:
            step.load_sums([before])
            self.train(training)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics on arrays, without training.

        Args:
            x, y, sample_weight, batch_size: as in `fit`.
            verbose: 0 silent, else a line with the result.
            return_dict: a dict of names and values in place of a list.

        Returns:
            The loss, or [loss, metric, ...] where there are metrics, or the dict.
        """
        accuracy = legacy.show_accuracy(kwargs, "evaluate")
        check_known(Trainer.evaluate, kwargs)
        self._needs_compile()
        size = check_batch_size(batch_size)
        verbose = resolve_verbose(verbose)
        samples = self.samples(x, y, sample_weight)
        if accuracy:
            self._add_accuracy()
        progress = Progress(1, -(-len(samples) // size), verbose)
        logs = self._test(samples, size)
        progress.result(logs)
        return results(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        **kwargs: Any,
    ) -> np.ndarray:
        """Outputs for arrays, in order.

        Args:
            x: features, shape (rows, ...).
            batch_size: rows at once. Default 32.
            verbose: accepted for Keras's sake; nothing is shown.

        Returns:
            A NumPy array, shape (rows, ...) of the model's output.
        """
        check_known(Trainer.predict, kwargs)
        size = check_batch_size(batch_size)
        features = self.inputs(x)
        if len(features) == 0:
            return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), dtype=np.float32)
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                parts = [self(part) for part in features.split(size)]
                return torch.cat(parts).cpu().numpy()
        finally:
            self.train(training)

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> np.ndarray:
        """The same as `predict`, under Keras 1's name."""
        return self.predict(x, batch_size)

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0
    ) -> np.ndarray:
        """The class of each row, as Keras 1 and 2 had it.

        Returns:
            int64, shape (rows,): the largest output's number; or for a single output, shape
            (rows, 1): whether it is above 0.5.
        """
        return to_classes(self.predict(x, batch_size))

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Outputs for one batch."""
        return self.predict(x, batch_size=max(len(x), 1))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch.

        Returns:
            This batch's loss and metrics, as `evaluate` returns them. (Keras 3 gives running
            means since `reset_metrics()`; Keras 1 and 2 gave the batch's, as here.)
        """
        samples = self.samples(x, y, sample_weight, class_weight)
        step = self._ready()
        self.train()
        step.reset()
        step.gradients(samples)
        self.optimizer.step(step.flat.parameters, step.flat.gradients, step.flat.sizes)
        self.eval()
        return results(step.logs(), return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of one batch, without training; returned as `evaluate` does."""
        samples = self.samples(x, y, sample_weight)
        return results(self._test(samples, len(samples)), return_dict)
