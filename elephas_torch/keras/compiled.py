"""`compile`, and what it leaves: a model that can take data and make a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from elephas_torch.keras import batches, legacy, losses, optimizers
from elephas_torch.keras import metrics as metric_objects
from elephas_torch.keras.arguments import check_class_weight, check_known
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.serialization import find_custom
from elephas_torch.keras.step import Step
from elephas_torch.optimizers import Optimizer

if TYPE_CHECKING:
    from elephas_torch.keras.callbacks import History


@dataclass
class Compiled:
    """How a model is to be trained.

    Attributes:
        optimizer: of `elephas_torch.optimizers` or `elephas_torch.keras.optimizers`.
        loss: the loss object.
        metrics: as given: names, objects or functions; looked up when the shapes are known.
    """

    optimizer: Optimizer
    loss: losses.Loss
    metrics: list[Any] = field(default_factory=list)

    def resolved_metrics(
        self, output_shape: Sequence[int | None] | None
    ) -> list[metric_objects.Metric]:
        """The metric objects; 'accuracy' is chosen by the loss and the model's output."""
        found = [
            metric_objects.get(m, loss=self.loss, output_shape=output_shape) for m in self.metrics
        ]
        counts = Counter(["loss", *(metric.name for metric in found)])
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(
                f'`metrics` has two values of the name {twice[0]!r} ("loss" is always there). '
                "Give one of them another, such as MeanSquaredError(name='squares')."
            )
        return found

    def get_config(self) -> dict[str, Any]:
        """JSON-able; what Keras calls the compile config."""
        return {
            "optimizer": optimizers.serialize(self.optimizer),
            "loss": losses.serialize(self.loss),
            "metrics": [metric_objects.serialize(m) for m in self.metrics],
        }


def look_up(optimizer: Any, loss: Any, metrics: Any) -> Compiled:
    """What `compile` makes of its arguments.

    Raises:
        ValueError: there is no loss, one that gives a value a row, or a name that is unknown.
        TypeError: an argument is nothing that stands for an optimizer, loss or metric.
    """
    if loss is None:
        raise ValueError(
            "compile() needs a loss, such as loss='categorical_crossentropy'. Received: loss=None"
        )
    found = losses.get(loss)
    if found.reduction in (None, "none"):
        raise ValueError(
            "The loss must give one number a batch: its `reduction` must be "
            f"'sum_over_batch_size' or another than none. Received: loss={found!r}"
        )
    # Names of custom objects now: the scope that knows them may be over when metrics are made.
    several = [
        (find_custom(one) or one) if isinstance(one, str) else one for one in metric_list(metrics)
    ]
    return Compiled(optimizers.get(optimizer), found, several)


def metric_list(metrics: Any) -> list[Any]:
    """The forms that `compile(metrics=…)` takes, as a list.

    Args:
        metrics: None, a metric, a list of metrics; or, as Keras has it for models of one output,
            a list with such a list in it, or a dict of the output's name and one of these.

    Raises:
        TypeError: it is none of these.
    """
    if metrics is None:
        return []
    if isinstance(metrics, str | metric_objects.Metric) or callable(metrics):
        return [metrics]
    if isinstance(metrics, Mapping) and "class_name" not in metrics:
        if len(metrics) > 1:
            raise ValueError(
                "A model has one output, so `metrics` can have one entry. "
                f"Received: metrics={dict(metrics)!r}"
            )
        return metric_list(next(iter(metrics.values()), None))
    if isinstance(metrics, list | tuple | set):
        several = list(metrics)
        inner = several[0] if len(several) == 1 else None
        return metric_list(inner) if isinstance(inner, list | tuple) else several
    raise TypeError(
        "`metrics` must be a list of names such as 'accuracy', metrics or functions. "
        f"Received: metrics={metrics!r}"
    )


class CompiledModel(Layer):
    """The part of a `Model` that `compile` and the shapes of data concern."""

    def __init__(self, *, name: str | None = None, trainable: bool = True, **kwargs: Any) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self.compiled: Compiled | None = None
        #: Set it to True in a callback to end the training.
        self.stop_training = False
        #: The `History` of the last `fit`.
        self.history: History | None = None
        self._step: Step | None = None
        self._input_shape: Shape | None = None
        self._output_shape: Shape | None = None

    def compile(
        self,
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
            metrics: a list of names ("accuracy", "mse"), objects or functions; one of them alone
                will do.

        Raises:
            ValueError: a name that doesn't exist; the message has the nearest one.
            TypeError: an argument that `compile` doesn't take.
        """
        legacy.ignore(kwargs)
        check_known(CompiledModel.compile, kwargs)
        found = look_up(optimizer, loss, metrics)
        found.resolved_metrics(self._output_shape if self.built else None)
        self.compiled = found
        self._step = None

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

    @property
    def input_shape(self) -> Shape:
        """Shape of the inputs, batch (None) first."""
        self._needs_build()
        return cast(Shape, self._input_shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of the outputs, batch (None) first."""
        self._needs_build()
        return cast(Shape, self._output_shape)

    def last_activation(self) -> Any:
        """The activation function that the model ends with, or None if that isn't known."""
        return None

    def preactivation(self, inputs: Tensor) -> Tensor:
        """The outputs before `last_activation()`: logits."""
        return cast(Tensor, self(inputs))

    def _needs_build(self) -> None:
        if not self.built:
            raise ValueError(
                f"Model {self.name!r} has no weights yet, because it doesn't know its input shape. "
                "Give its first layer input_shape=…, or call build((None, …)), or fit it on data."
            )

    def _needs_compile(self) -> Compiled:
        if self.compiled is None:
            raise ValueError(
                "The model isn't compiled. Call model.compile(loss=…, optimizer=…) first."
            )
        return self.compiled

    def _ready(self) -> Step:
        """The step of the built and compiled model; made anew when its weights have moved."""
        self._needs_compile()
        self._needs_build()
        if self._step is None or not self._step.flat.holds(self):
            self._step = Step(self)
        return self._step

    def _add_accuracy(self) -> None:
        metrics = self._needs_compile().metrics
        if not any(one in ("accuracy", "acc") for one in metrics if isinstance(one, str)):
            metrics.append("accuracy")
            self._step = None

    def inputs(self, x: Any, name: str = "x") -> Tensor:
        """Array-like features as a tensor that fits the model; builds a model without shape.

        Raises:
            DataError: they don't fit.
        """
        tensor = batches.as_tensor(x, self.input_dtype, name)
        if not self.built:
            if tensor.dim() == 1:
                tensor = tensor.unsqueeze(-1)
            self.build((None, *tensor.shape[1:]))
        return batches.fit_shape(tensor, self.input_shape, f"`{name}`")

    def samples(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        names: tuple[str, str, str] = ("x", "y", "sample_weight"),
    ) -> Samples:
        """Array-likes as tensors that fit the compiled model, checked.

        Raises:
            DataError: shapes or labels don't fit the model or its loss.
        """
        loss = self._needs_compile().loss
        check_class_weight(class_weight)
        if x is None or y is None:
            missing, what = (names[0], "features") if x is None else (names[1], "targets")
            raise ValueError(f"`{missing}` is missing: training and evaluation need {what}.")
        features = batches.as_tensor(x, self.input_dtype, names[0])
        targets = batches.as_tensor(y, loss.target_dtype, names[1])
        weights = None
        if sample_weight is not None:
            weights = batches.as_tensor(sample_weight, torch.float32, names[2]).reshape(-1)
        samples = Samples(features, targets, weights)
        batches.check_lengths(samples, names)
        samples.x = self.inputs(features, names[0])
        losses.check_targets(loss, targets, self.output_shape)
        return batches.weigh_classes(samples, class_weight)
