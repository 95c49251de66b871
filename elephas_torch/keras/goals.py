"""What each output of a model is trained for: its loss, that loss's weight, its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import losses, trees
from elephas_torch.keras import metrics as metric_objects
from elephas_torch.keras.compiled_metrics import (
    CompiledMetrics,
    Logs,
    Running,
    spread_weights,
)
from elephas_torch.keras.structure import Structure, is_shape


class Goals:
    """The losses and metrics of a model's outputs, and their running sums.

    It is made when a model is compiled, and resolved once the form of the outputs is known.

    Args:
        loss, loss_weights, metrics, weighted_metrics: as `compile` has checked them.

    Attributes:
        outputs: the form of the outputs; None before `resolve`.
        shapes: what they were resolved for.
        losses: for each output its loss, or None.
        weights: for each output the factor of its loss, or None for 1.
        loss: the running mean of the whole loss.
        trackers: the running means of the single losses, where there are several; else empty.
        metrics: all compiled metrics.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self._loss, self._loss_weights = loss, loss_weights
        self._metrics, self._weighted = metrics, weighted_metrics
        self.outputs: Structure | None = None
        self.shapes: Any = None
        self.losses: list[losses.Loss | None] = []
        self.weights: list[float | None] = []
        self.loss = Running("loss")
        self.trackers: list[Running] = []
        self.tracked: list[int] = []
        self.metrics = CompiledMetrics()
        #: The model's own metrics, once somebody has looked for them.
        self.own_metrics: list[Any] | None = None

    @property
    def measured(self) -> bool:
        """Whether `compile` was given metrics."""
        return bool(_flat(self._metrics) or _flat(self._weighted))

    def resolve(self, shapes: Any, names: Sequence[str] | None = None) -> None:
        """Finds out what belongs to which output.

        Args:
            shapes: of the outputs: a shape, or a tree of shapes.
            names: of the outputs in order, where the model knows them.

        Raises:
            ValueError: losses, weights or metrics don't fit the outputs.
        """
        outputs = Structure.of_shapes(shapes, names)
        found = _losses(outputs, self._loss)
        weights = _loss_weights(outputs, self._loss_weights, found)
        known = [found, _leaf_shapes(outputs, shapes)]
        plain = _metrics(outputs, self._metrics, "metrics", *known)
        weighted = _metrics(outputs, self._weighted, "weighted_metrics", *known)
        self.metrics.resolve(outputs, plain, weighted)
        self.losses, self.weights = found, weights
        self._track(outputs)
        self.outputs, self.shapes = outputs, shapes

    def resolve_for(self, y_pred: Any) -> None:
        """The same from what a model gave, where nobody knew the shapes before."""
        self.resolve(trees.map_leaves(lambda one: (None, *one.shape[1:]), y_pred))

    @property
    def is_empty(self) -> bool:
        """Whether `compile` was given no loss at all."""
        return self._loss is None

    def _track(self, outputs: Structure) -> None:
        numbers = [number for number, loss in enumerate(self.losses) if loss is not None]
        if isinstance(self._loss, Mapping) and isinstance(outputs.form, dict):
            # Keras goes through the dict of losses there.
            order = list(self._loss)
            numbers.sort(key=lambda number: order.index(outputs.paths[number][0]))
        self.tracked = numbers if len(numbers) > 1 else []
        names = [f"{_loss_name(outputs, self.losses, number)}_loss" for number in self.tracked]
        self.trackers = [Running(name) for name in _unique(names)]

    def value(
        self,
        y: Sequence[Any],
        y_pred: Sequence[Tensor],
        weights: Sequence[Any],
        rows: int,
        using: Sequence[losses.Loss | None] | None = None,
    ) -> Tensor | None:
        """The loss of a batch, from lists in the outputs' order; None where there is no loss.

        Counts the single losses in.

        Args:
            using: losses to take in place of `self.losses`: the fused ones.
        """
        values = [
            None if loss is None else _loss_of(self.outputs, n, loss, y[n], y_pred[n], weights[n])
            for n, loss in enumerate(using or self.losses)
        ]
        for tracker, number in zip(self.trackers, self.tracked, strict=True):
            tracker.add(values[number], rows)  # type: ignore[arg-type]
        weighed = [
            value if factor is None else value * factor
            for value, factor in zip(values, self.weights, strict=True)
            if value is not None
        ]
        return total(weighed)

    def value_of(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Tensor | None:
        """The same from trees as a `train_step` has them."""
        if self.outputs is None:
            self.resolve_for(y_pred)
        outputs = self.outputs
        assert outputs is not None
        leaves = outputs.leaves(y_pred)
        targets = self.targets(y, "y")
        weights = [None] * len(outputs)
        if sample_weight is not None:
            weights = spread_weights(outputs, sample_weight)
        return self.value(targets, leaves, weights, len(leaves[0]))

    def targets(self, y: Any, argument: str) -> list[Any]:
        """Targets for each output in order; those of outputs without a loss may be left out.

        Raises:
            DataError: they don't fit the outputs.
        """
        outputs = self.outputs
        assert outputs is not None
        wanted = [n for n in range(len(outputs)) if self.needs_target(n)]
        several = isinstance(y, list | tuple)
        if several and len(y) != len(outputs) and len(y) == len(wanted):
            given = dict(zip(wanted, y, strict=True))
            return [given.get(n) for n in range(len(outputs))]
        if not isinstance(y, list | tuple | dict) and len(wanted) == 1:
            return [y if n in wanted else None for n in range(len(outputs))]
        return outputs.spread(y, argument)

    def needs_target(self, number: int) -> bool:
        """Whether an output has a loss or a metric."""
        return self.losses[number] is not None or any(
            entry.output == number for entry in self.metrics.entries
        )

    def target_dtype(self, number: int) -> torch.dtype | None:
        """What an output's targets must be converted to; None: nobody asks."""
        loss = self.losses[number]
        return None if loss is None else loss.target_dtype

    def reset(self) -> None:
        """Sets all running sums to zero: at the start of an epoch."""
        self.loss.reset_state()
        self.metrics.reset_state()
        for tracker in self.trackers:
            tracker.reset_state()

    def logs(self) -> Logs:
        """The running values by name, in the order of the names, as Keras gives them."""
        found: Logs = {"loss": self.loss.result(), **self.metrics.result()}
        found.update({one.name: one.result() for one in self.trackers})
        return dict(sorted(found.items()))

    def sums(self) -> dict[str, Any]:
        """What `logs` is made from, as numbers that add up over workers."""
        return {
            "rows": int(self.loss.count),
            "loss": self.loss.total,
            "losses": [float(tracker.total) for tracker in self.trackers],
            "metrics": [metric.state.tolist() for metric in self.metrics.metrics],
        }

    def load_sums(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Takes the sums of several workers: `logs()` is then exact over all their rows."""
        self.reset()
        if not parts:
            return
        self.loss.count = sum(int(part["rows"]) for part in parts)
        self.loss.total = sum(float(part["loss"]) for part in parts)
        for number, tracker in enumerate(self.trackers):
            tracker.count = self.loss.count
            tracker.total = sum(float(part["losses"][number]) for part in parts)
        for number, metric in enumerate(self.metrics.metrics):
            metric.merge([part["metrics"][number] for part in parts])


def total(values: Sequence[Tensor]) -> Tensor | None:
    """The sum of scalars; None of none."""
    if not values:
        return None
    found = values[0]
    for value in values[1:]:
        found = found + value
    return found


def is_metric(thing: Any) -> bool:
    """Whether it stands for one metric: a name, an object, a function or a config."""
    return (
        isinstance(thing, str | metric_objects.Metric)
        or callable(thing)
        or (isinstance(thing, Mapping) and "class_name" in thing)
    )


def checked_metrics(metrics: Any, argument: str, known: Callable[[Any], Any]) -> Any:
    """Returns a tree of metrics as `compile` takes it, its leaves looked up by `known`.

    Raises:
        TypeError: it is none, or has something else in it.
    """
    if metrics is None:
        return None
    if is_metric(metrics):
        return known(metrics)
    if isinstance(metrics, Mapping):
        return {key: checked_metrics(one, argument, known) for key, one in metrics.items()}
    if isinstance(metrics, list | tuple | set):
        return [_checked_entry(one, argument, known) for one in metrics]
    raise TypeError(
        f"`{argument}` must be a list of names such as 'accuracy', metrics or functions, or for "
        "models of several outputs a list or dict with an entry for each. "
        f"Received: {argument}={metrics!r}"
    )


def _checked_entry(one: Any, argument: str, known: Callable[[Any], Any]) -> Any:
    if isinstance(one, Mapping | list | tuple | set) or one is None:
        return checked_metrics(one, argument, known)
    return known(one)


def _flat(metrics: Any) -> list[Any]:
    if is_metric(metrics):
        return [metrics]
    parts = metrics.values() if isinstance(metrics, Mapping) else metrics or ()
    return [one for part in parts for one in _flat(part)]


def _metrics(
    outputs: Structure,
    given: Any,
    argument: str,
    found: Sequence[losses.Loss | None],
    shapes: Sequence[Any],
) -> list[list[Any]]:
    if not given:
        return [[] for _ in shapes]
    if len(outputs) == 1:
        _check_one(given, argument)
        several = [_flat(given)]
    else:
        if is_metric(given):
            given = [given]
        several = [_flat(one) for one in _spread(outputs, given, argument)]
    return [
        [metric_objects.get(m, loss=loss, output_shape=shape) for m in some]
        for some, loss, shape in zip(several, found, shapes, strict=True)
    ]


def _check_one(given: Any, argument: str) -> None:
    if isinstance(given, Mapping) and "class_name" not in given and len(given) > 1:
        raise ValueError(
            f"The model has one output, so `{argument}` can have one entry. "
            f"Received: {argument}={dict(given)!r}"
        )


def _losses(outputs: Structure, given: Any) -> list[losses.Loss | None]:
    if isinstance(given, list | tuple | Mapping):
        if len(outputs) == 1 and isinstance(given, Mapping):
            _check_one(given, "loss")
        return list(_spread(outputs, given, "loss"))
    return [given] * len(outputs)


def _loss_weights(
    outputs: Structure, given: Any, found: Sequence[losses.Loss | None]
) -> list[float | None]:
    if given is None:
        return [None] * len(outputs)
    numbers = [n for n, loss in enumerate(found) if loss is not None]
    if isinstance(given, list | tuple) and len(given) == len(numbers) < len(outputs):
        some = dict(zip(numbers, given, strict=True))
        return [some.get(n) for n in range(len(outputs))]
    return list(_spread(outputs, given, "loss_weights"))


def _spread(outputs: Structure, given: Any, argument: str) -> list[Any]:
    try:
        return outputs.spread(given, argument)
    except DataError as error:
        raise ValueError(str(error)) from None  # nothing is wrong with data here


def _leaf_shapes(outputs: Structure, shapes: Any) -> list[Any]:
    if outputs.single:
        return [shapes]
    found = []
    for path in outputs.paths:
        shape = shapes
        for key in path:
            shape = shape[key]
        found.append(shape)
    return found


def _loss_name(outputs: Structure, found: Sequence[Any], number: int) -> str:
    loss = found[number]
    return outputs.names[number] or getattr(loss, "identifier", None) or loss.name


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        unique.append(f"{name}_{count}" if count else name)
    return unique


def _loss_of(
    outputs: Structure | None, number: int, loss: losses.Loss, y: Any, y_pred: Any, weight: Any
) -> Tensor:
    if y is None:
        label = outputs.label(number) if outputs is not None else str(number)
        raise DataError(
            f"Output {label} has the loss {loss.name!r}, but no targets: `y` needs an entry for it."
        )
    return loss(y, y_pred, weight)


__all__ = ["Goals", "checked_metrics", "is_metric", "is_shape", "total"]
