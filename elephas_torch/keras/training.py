"""`fit` and `evaluate`: the local loop.

Follows https://keras.io/api/models/model_training_apis/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from elephas_torch.keras import batches, legacy
from elephas_torch.keras.arguments import (
    check_batch_size,
    check_class_weight,
    check_epochs,
    check_known,
    check_share,
    check_shuffle,
    check_steps,
    check_validation_freq,
    without_workers,
)
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.callbacks import CallbackList, History
from elephas_torch.keras.generators import Generators
from elephas_torch.keras.own_steps import OwnStep
from elephas_torch.keras.predicting import Callbacks, Predicting
from elephas_torch.keras.progress import Progress, resolve_verbose
from elephas_torch.keras.results import in_order, results
from elephas_torch.keras.sources import Arrays, Source
from elephas_torch.keras.step import Step

_NOBODY = CallbackList(add_history=False)


class Trainer(Predicting, Generators):
    """The part of a `Model` that trains it."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        **kwargs: Any,
    ) -> History:
        """Trains the model.

        Follows https://keras.io/api/models/model_training_apis/#fit-method

        Args:
            x: features, shape (rows, ...): NumPy, torch, pandas or lists; for several inputs a
                list, or a dict by their names. Or batches of (x, y) or (x, y, sample_weight): a
                generator or iterator, a `keras.utils.PyDataset`, a
                `torch.utils.data.DataLoader`, any iterable that can be gone through again. Or a
                `torch.utils.data.Dataset` of such samples, which `batch_size` makes batches of.
            y: targets, shape (rows, ...); for several outputs a list, or a dict by their names.
                With batches they are in x.
            batch_size: rows a step. Default 32; with `steps_per_epoch`, what makes so many steps.
            epochs: the number of the epoch to stop at. Default 1.
            verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 in a terminal, else 2.
            callbacks: see `elephas_torch.keras.callbacks`.
            validation_split: the share of rows, taken from the end, to validate with; of arrays.
            validation_data: (x, y) or (x, y, sample_weight) to validate with instead; or batches,
                as `x` takes them.
            shuffle: a new order each epoch, of rows, of a `PyDataset`'s batches, of a dataset's
                samples; "batch" shuffles rows within batches alone. Default True.
            class_weight: class number -> weight of its rows in the loss of training.
            sample_weight: weight of each row in the loss, shape (rows,), or of each step, shape
                (rows, steps); for several outputs also a list or dict.
            initial_epoch: the number of the first epoch. Default 0.
            steps_per_epoch: batches an epoch. Default all; needed where batches never end.
            validation_steps: batches a validation. Default all.
            validation_batch_size: Default `batch_size`.
            validation_freq: validate each so many epochs, or after the epochs in a list (the
                first is 1). Default 1.

        Returns:
            A `History`: `history.history["loss"]` has a value an epoch.

        Raises:
            ValueError: the model isn't compiled; an argument is out of range; shapes or labels
                don't fit (`DataError`, which is one).
            TypeError: an argument that `fit` doesn't take.
        """
        epochs, accuracy = legacy.fit(kwargs, epochs)
        rows = kwargs.pop("_rows", (None, None))
        without_workers(kwargs, "fit")
        check_known(Trainer.fit, kwargs)
        self._needs_compile()
        check_epochs(epochs, initial_epoch)
        check_share("validation_split", validation_split)
        check_shuffle(shuffle)
        check_steps("steps_per_epoch", steps_per_epoch)
        check_steps("validation_steps", validation_steps)
        validates = check_validation_freq(validation_freq)
        check_class_weight(class_weight)
        if batch_size is not None:
            check_batch_size(batch_size)
        if validation_batch_size is not None:
            check_batch_size(validation_batch_size, "validation_batch_size")
        verbose = resolve_verbose(verbose)
        training, parted = self._fed(
            x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch,
            0.0 if validation_data is not None else validation_split, rows[0],
        )  # fmt: skip
        with ExitStack() as sources:
            sources.callback(training.close)
            validation: Source | None = parted
            size = validation_batch_size or batch_size
            if validation_data is not None:
                validation = self._validation(validation_data, size, validation_steps, rows[1])
                sources.callback(validation.close)
            elif parted is not None:
                validation = parted.with_steps(size, validation_steps)
            if accuracy:
                self._add_accuracy()
            hooks = CallbackList(
                callbacks, self, {"epochs": epochs, "steps": training.steps, "verbose": verbose}
            )
            progress = Progress(epochs, training.steps, verbose)

            def run(epoch: int, skip: int) -> dict[str, Any] | None:
                logs = self._run_epoch(training, skip, hooks, progress)
                if logs is not None and validation is not None and validates(epoch + 1):
                    values = self._test(validation, hooks)
                    logs |= {f"val_{name}": value for name, value in values.items()}
                return None if logs is None else dict(sorted(logs.items()))

            return self._run_epochs(initial_epoch, epochs, run, hooks, progress)

    def _run_epochs(
        self,
        initial_epoch: int,
        epochs: int,
        run: Callable[[int, int], dict[str, Any] | None],
        hooks: CallbackList,
        progress: Progress,
    ) -> History:
        self.stop_training = False
        self.history = hooks.history
        logs: dict[str, Any] = {}
        try:
            hooks.on_train_begin()
            first, skip = hooks.start(initial_epoch)
            for epoch in range(first, epochs):
                hooks.on_epoch_begin(epoch)
                progress.begin(epoch)
                found = run(epoch, skip if epoch == first else 0)
                if found is None:
                    break
                logs = found
                progress.end(logs)
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            self._finish_training()
            hooks.on_train_end(logs)
        except BaseException as error:
            hooks.on_exception(error)
            raise
        finally:
            progress.close()
            self.eval()
        return hooks.history

    def _finish_training(self) -> None:
        if self.steps_by_itself:
            self.optimizer.finalize_variable_values(self.trainable_weights)
        elif self.built:
            self.optimizer.finalize_variable_values(self._ready().flat.parameters)

    def _stepping(self) -> Any:
        return OwnStep(self) if self.steps_by_itself else self._ready()

    def _run_epoch(
        self, source: Source, skip: int, hooks: CallbackList, progress: Progress
    ) -> dict[str, Any] | None:
        """One epoch; returns its logs, or None where the source had no batch left."""
        # Asked anew each epoch: a callback may have frozen, replaced or compiled something.
        step = self._stepping()
        self.train()
        step.reset()
        number = -1
        for number, batch in enumerate(source.epoch()):
            if number < skip:
                continue
            if hooks.wants_batches:
                hooks.on_train_batch_begin(number)
            step.train(batch)
            if hooks.wants_batches:
                hooks.on_train_batch_end(number, step.logs())
                if self.stop_training:
                    break
            progress.advance(step)
        self.eval()
        if number < 0:
            source.warn_empty("the training ends")
            return None
        return dict(step.logs())

    def _test(
        self, source: Source, hooks: CallbackList, progress: Progress | None = None
    ) -> dict[str, Any]:
        # A callback may evaluate in the middle of an epoch, whose sums must then go on.
        step, training = self._stepping(), self.training
        before = step.sums() if training else None
        self.eval()
        step.reset()
        self.stop_evaluating = False
        number = -1
        try:
            hooks.on_test_begin()
            source.rewind()
            for number, batch in enumerate(source.epoch()):
                if hooks.wants_test_batches:
                    hooks.on_test_batch_begin(number)
                step.evaluate(batch)
                if hooks.wants_test_batches:
                    hooks.on_test_batch_end(number, step.logs())
                    if self.stop_evaluating:
                        break
                if progress is not None:
                    progress.advance(step)
            if number < 0:
                source.warn_empty("this validation has no values")
                return {}
            logs = dict(step.logs())
            hooks.on_test_end(logs)
            return logs
        finally:
            if before is not None:
                step.load_sums([before])
                self.train()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics, without training.

        Follows https://keras.io/api/models/model_training_apis/#evaluate-method

        Args:
            x, y, sample_weight, batch_size: as in `fit`.
            verbose: 0 silent, 1 a bar, 2 a line with the result, "auto" 1 in a terminal, else 2.
            steps: batches to take. Default all; needed where batches never end.
            callbacks: their hooks of tests are called.
            return_dict: a dict of names and values in place of a list.

        Returns:
            The loss, or [loss, metric, ...] where there are metrics or several outputs, in the
            order of `metrics_names`; or the dict.
        """
        accuracy = legacy.show_accuracy(kwargs, "evaluate")
        rows = kwargs.pop("_rows", None)
        without_workers(kwargs, "evaluate")
        check_known(Trainer.evaluate, kwargs)
        self._needs_compile()
        if batch_size is not None:
            check_batch_size(batch_size)
        check_steps("steps", steps)
        verbose = resolve_verbose(verbose)
        source = self._fed(x, y, sample_weight, None, batch_size, False, steps, rows=rows)[0]
        if accuracy:
            self._add_accuracy()
        with self._shown("evaluate", source, verbose, callbacks) as (hooks, progress):
            logs = self._test(source, hooks, progress)
            progress.end(logs)
        return results(logs, return_dict, in_order(logs, self.metrics))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch.

        Follows https://keras.io/api/models/model_training_apis/#trainonbatch-method

        Args:
            x, y, sample_weight, class_weight: as in `fit`, arrays of one batch.
            return_dict: a dict of names and values in place of a list.

        Returns:
            This batch's loss and metrics, as `evaluate` returns them. (Some versions of Keras 3
            give running means since `reset_metrics()`; Keras 1, 2 and 3.15 the batch's, as here.)
        """
        samples = self._one_batch(x, y, sample_weight, class_weight)
        step = self._stepping()
        self.train()
        step.reset()
        try:
            step.train(samples)
        finally:
            self.eval()
        return self._results(step, return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of one batch, without training; returned as `evaluate` does."""
        samples = self._one_batch(x, y, sample_weight, None)
        source = Arrays("x", samples, len(samples))
        logs = self._test(source, _NOBODY)
        return results(logs, return_dict, in_order(logs, self.metrics))

    def _one_batch(self, x: Any, y: Any, weight: Any, class_weight: Any) -> Samples:
        self._needs_compile()
        check_class_weight(class_weight)
        samples = self._converted()(x, y, weight).dense()
        return batches.weigh_classes(samples, class_weight)

    def _results(self, step: Step | OwnStep, return_dict: bool) -> Any:
        logs = step.logs()
        return results(logs, return_dict, in_order(logs, self.metrics))
