"""`compile`, `fit`, `evaluate`, `predict`: the local loop.

Follows https://keras.io/api/models/model_training_apis/
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import batches, losses, optimizers
from elephas_torch.keras import metrics as metric_objects
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.callbacks import Callback, CallbackList, History
from elephas_torch.keras.progress import Progress, resolve_verbose
from elephas_torch.keras.step import Step
from elephas_torch.optimizers import Optimizer

if TYPE_CHECKING:
    from elephas_torch.keras.models import Model


@dataclass
class Compiled:
    """What `compile` was given, looked up.

    Attributes:
        optimizer: of `elephas_torch.optimizers` or `elephas_torch.keras.optimizers`.
        loss: the loss object.
        metrics: as given: names, objects or functions; looked up when the shapes are known.
    """

    optimizer: Optimizer
    loss: losses.Loss
    metrics: list[Any] = field(default_factory=list)

    def resolved_metrics(self, output_shape: Any) -> list[metric_objects.Metric]:
        """The metric objects; 'accuracy' is chosen by the loss and the model's output."""
        return [
            metric_objects.get(m, loss=self.loss, output_shape=output_shape) for m in self.metrics
        ]

    def get_config(self) -> dict[str, Any]:
        """JSON-able; what Keras calls the compile config."""
        return {
            "optimizer": optimizers.serialize(self.optimizer),
            "loss": losses.serialize(self.loss),
            "metrics": [metric_objects.serialize(m) for m in self.metrics],
        }


#: Arguments of old scripts that change nothing here, accepted with a warning.
_IGNORED = ("class_mode", "theano_mode", "run_eagerly", "steps_per_execution")


class Trainer:
    """The part of a `Model` that trains it."""

    compiled: Compiled | None
    stop_training: bool

    def compile(
        self: Model,  # type: ignore[misc]
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Says how the model is to be trained.

        Args:
            optimizer: a name (with Keras 3's defaults) or an object of
                `elephas_torch.keras.optimizers` or `elephas_torch.optimizers`.
            loss: a name, an object of `elephas_torch.keras.losses`, or a function of
                (y_true, y_pred) that returns one value a row.
            metrics: a list of names ("accuracy", "mse"), objects or functions.

        Raises:
            ValueError: a name that doesn't exist; the message has the nearest one.
            TypeError: an argument that `compile` doesn't take.
        """
        for name in [n for n in _IGNORED if n in kwargs]:
            if kwargs.pop(name) is not None:
                warnings.warn(f"compile({name}=…) has no effect here.", stacklevel=2)
        if kwargs:
            raise unknown_arguments("compile", kwargs, _parameters(Trainer.compile))
        if loss is None:
            raise ValueError(
                "compile() needs a loss, such as loss='categorical_crossentropy'. "
                "Received: loss=None"
            )
        if isinstance(metrics, str) or callable(metrics):
            metrics = [metrics]
        self.compiled = Compiled(optimizers.get(optimizer), losses.get(loss), list(metrics or []))
        self._step = None
        self.compiled.resolved_metrics(self.output_shape if self.built else None)

    @property
    def optimizer(self) -> Optimizer:
        """The compiled optimizer."""
        return self._needs_compile().optimizer

    @property
    def loss(self) -> losses.Loss:
        """The compiled loss."""
        return self._needs_compile().loss

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns, in order."""
        return list(self._ready().logs())

    def _needs_compile(self) -> Compiled:
        if self.compiled is None:
            raise ValueError(
                "The model isn't compiled. Call model.compile(loss=…, optimizer=…) first."
            )
        return self.compiled

    def _ready(self: Model) -> Step:  # type: ignore[misc]
        """The step of the built and compiled model; made anew when its weights have moved."""
        self._needs_compile()
        self._needs_build()
        if self._step is None or not self._step.flat.holds(self):
            self._step = Step(self)
        return self._step

    def inputs(self: Model, x: Any, name: str = "x") -> Tensor:  # type: ignore[misc]
        """Array-like features as a tensor that fits the model; builds a model without shape.

        Raises:
            DataError: they don't fit.
        """
        tensor = batches.as_tensor(x, self.input_dtype, name)
        if not self.built:
            self.build((None, *tensor.shape[1:]))
        return batches.fit_shape(tensor, self.input_shape, f"`{name}`")

    def samples(
        self: Model,  # type: ignore[misc]
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        names: tuple[str, str, str] = ("x", "y", "sample_weight"),
    ) -> Samples:
        """Array-likes as tensors that fit the compiled model, checked.

        Raises:
            DataError: shapes or labels don't fit the model or its loss.
        """
        features = self.inputs(x, names[0])
        loss = self._needs_compile().loss
        if y is None:
            raise ValueError(f"`{names[1]}` is missing: training and evaluation need targets.")
        targets = batches.as_tensor(y, loss.target_dtype, names[1])
        weights = batches.class_weights(targets, class_weight)
        if sample_weight is not None:
            given = batches.as_tensor(sample_weight, torch.float32, names[2]).reshape(-1)
            weights = given if weights is None else weights * given
        samples = Samples(features, targets, weights)
        batches.check_lengths(samples, names)
        losses.check_targets(loss, targets, self.output_shape)
        return samples

    def fit(
        self: Model,  # type: ignore[misc]
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
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
            class_weight: class number -> weight of its rows in the loss.
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
        epochs = _renamed(kwargs, "fit", "nb_epoch", "epochs", epochs)
        kwargs.pop("show_accuracy", None)
        if kwargs:
            raise unknown_arguments("fit", kwargs, _parameters(Trainer.fit))
        self._needs_compile()
        check_epochs(epochs, initial_epoch)
        size = check_batch_size(batch_size)
        check_share("validation_split", validation_split)
        training = self.samples(x, y, sample_weight, class_weight)
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data)
        elif validation_split:
            training, validation = batches.split(training, validation_split)
        step = self._ready()
        total = -(-len(training) // size)
        params = {"epochs": epochs, "steps": total, "verbose": resolve_verbose(verbose)}
        hooks = CallbackList(callbacks, self, params)
        progress = Progress(epochs, total, params["verbose"])
        self.stop_training = False
        hooks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            hooks.on_epoch_begin(epoch)
            progress.begin(epoch)
            self._run_epoch(step, training, size, shuffle, hooks, progress)
            logs = step.logs()
            if validation is not None and (epoch + 1) % validation_freq == 0:
                values = self._test(step, validation, validation_batch_size or size)
                logs |= {f"val_{name}": value for name, value in values.items()}
            progress.end(logs)
            hooks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        hooks.on_train_end()
        self.history = hooks.history
        return self.history

    def _validation(self, data: Sequence[Any]) -> Samples:
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight). "
                f"Received: {type(data).__name__}"
            )
        names = tuple(f"validation_data[{i}]" for i in range(3))
        return self.samples(*data, names=names)  # type: ignore[misc,arg-type]

    def _run_epoch(
        self: Model,  # type: ignore[misc]
        step: Step,
        samples: Samples,
        batch_size: int,
        shuffle: bool,
        hooks: CallbackList,
        progress: Progress,
    ) -> None:
        optimizer, flat = self.optimizer, step.flat
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
            progress.advance(step)
        self.eval()

    def _test(self: Model, step: Step, samples: Samples, batch_size: int) -> dict[str, float]:  # type: ignore[misc]
        self.eval()
        step.reset()
        for batch in batches.batches(samples, batch_size):
            step.evaluate(batch)
        return step.logs()

    def evaluate(
        self: Model,  # type: ignore[misc]
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
        kwargs.pop("show_accuracy", None)
        if kwargs:
            raise unknown_arguments("evaluate", kwargs, _parameters(Trainer.evaluate))
        size = check_batch_size(batch_size)
        samples = self.samples(x, y, sample_weight)
        logs = self._test(self._ready(), samples, size)
        Progress(1, -(-len(samples) // size), resolve_verbose(verbose)).result(logs)
        return results(logs, return_dict)

    def predict(
        self: Model,  # type: ignore[misc]
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
        if kwargs:
            raise unknown_arguments("predict", kwargs, _parameters(Trainer.predict))
        size = check_batch_size(batch_size)
        features = self.inputs(x)
        if len(features) == 0:
            return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), dtype=np.float32)
        self.eval()
        with torch.inference_mode():
            parts = [self(part) for part in features.split(size)]
            return torch.cat(parts).cpu().numpy()

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> np.ndarray:
        """The same as `predict`, under Keras 1's name."""
        return self.predict(x, batch_size)  # type: ignore[misc]

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0
    ) -> np.ndarray:
        """The class of each row, as Keras 1 and 2 had it.

        Returns:
            int64, shape (rows,): the largest output's number; or for a single output, shape
            (rows, 1): whether it is above 0.5.
        """
        return to_classes(self.predict(x, batch_size))  # type: ignore[misc]

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Outputs for one batch."""
        return self.predict(x, batch_size=max(len(x), 1))  # type: ignore[misc]

    def train_on_batch(
        self: Model,  # type: ignore[misc]
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
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
        self: Model,  # type: ignore[misc]
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of one batch, without training; returned as `evaluate` does."""
        samples = self.samples(x, y, sample_weight)
        return results(self._test(self._ready(), samples, len(samples)), return_dict)


def results(logs: dict[str, float], return_dict: bool = False) -> Any:
    """Logs as `evaluate` returns them: a dict, a list, or the loss alone."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def to_classes(predictions: np.ndarray) -> np.ndarray:
    """Class numbers from a model's outputs; see `predict_classes`."""
    if predictions.shape[-1] > 1:
        return predictions.argmax(axis=-1)
    return (predictions > 0.5).astype(np.int64)


def check_epochs(epochs: Any, initial_epoch: Any = 0) -> None:
    """Raises ValueError unless both are whole numbers, epochs >= 1 and initial_epoch >= 0."""
    _check_whole("epochs", epochs, 1)
    _check_whole("initial_epoch", initial_epoch, 0)


def check_batch_size(batch_size: Any) -> int:
    """Returns the batch size (32 for None); raises ValueError unless it is 1 or more."""
    if batch_size is None:
        return 32
    _check_whole("batch_size", batch_size, 1)
    return int(batch_size)


def check_share(argument: str, value: Any) -> None:
    """Raises ValueError unless 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(
            f"`{argument}` must be a share of the rows, from 0 to below 1. "
            f"Received: {argument}={value!r}"
        )


def _check_whole(argument: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"`{argument}` must be a whole number, {least} or more. Received: {argument}={value!r}"
        )


def _renamed(kwargs: dict[str, Any], owner: str, old: str, new: str, value: Any) -> Any:
    if old not in kwargs:
        return value
    warnings.warn(
        f"{owner}({old}=…) is the old name of `{new}`.", DeprecationWarning, stacklevel=3
    )
    return kwargs.pop(old)


def _parameters(function: Any) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in ("self", "kwargs")]
