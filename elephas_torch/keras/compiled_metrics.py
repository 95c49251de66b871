"""What is measured while a model trains: the running loss, and the compiled metrics as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import masks
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.structure import Structure

Logs = dict[str, Any]


class Running:
    """The running mean of a loss.

    Args:
        name: as shown in logs.

    Attributes:
        total, count: the sum of the values times their weights, and of the weights. A sum of
            values on a device is a tensor there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.total: Any = 0.0
        self.count = 0.0

    def add(self, value: Tensor, weight: float) -> None:
        """Counts a scalar in. One that is on a device isn't read before the result is."""
        if value.device.type == "cpu":
            self.total += value.item() * weight
        else:
            self.total = self.total + value.detach().to(widest(value.device)) * weight
        self.count += weight

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Counts a value in, or the mean of several; `sample_weight` (1) is its weight."""
        value = float(torch.as_tensor(values).detach().float().mean())
        weight = 1.0 if sample_weight is None else float(torch.as_tensor(sample_weight).sum())
        self.total += value * weight
        self.count += weight

    def result(self) -> float:
        """The mean of all values since `reset_state`; 0 where there are none."""
        return float(self.total) / self.count if self.count else 0.0

    def reset_state(self) -> None:
        self.total = self.count = 0.0


@dataclass
class Measured:
    """A metric of one output.

    Attributes:
        metric: a `Metric`.
        output: the number of its output.
        name: in logs.
        weighted: whether it is given the sample weights.
    """

    metric: Any
    output: int
    name: str
    weighted: bool


class CompiledMetrics:
    """All metrics that `compile` was given; one entry of `Model.metrics`, as in Keras.

    They are known once the outputs are: see `resolve`.
    """

    name = "compile_metrics"

    def __init__(self) -> None:
        self.outputs: Structure | None = None
        self.entries: list[Measured] = []

    def resolve(
        self,
        outputs: Structure,
        plain: Sequence[Sequence[Any]],
        weighted: Sequence[Sequence[Any]],
    ) -> None:
        """Takes the metrics of each output, and names them as Keras does.

        Raises:
            ValueError: one of them would be called "loss", which is the loss.
        """
        self.outputs = outputs
        names = _Names()
        prefixes = [f"{n}_" if n and len(outputs) > 1 else "" for n in outputs.names]
        self.entries = [
            Measured(m, number, names.plain(prefixes[number], m.name), False)
            for number, several in enumerate(plain)
            for m in several
        ] + [
            Measured(m, number, names.weighted(prefixes[number], m.name), True)
            for number, several in enumerate(weighted)
            for m in several
        ]

    @property
    def metrics(self) -> list[Any]:
        """The metrics, in order; [] while the outputs aren't known."""
        return [entry.metric for entry in self.entries]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions and weights in the outputs' structure."""
        if self.outputs is None:
            raise ValueError("The metrics are known once the model has seen data.")
        outputs = self.outputs
        y = outputs.spread(y_true, "y")
        weights = [None] * len(outputs)
        if sample_weight is not None:
            weights = spread_weights(outputs, sample_weight)
        with torch.no_grad():
            self.update(y, outputs.leaves(y_pred), weights)

    def update(self, y: Sequence[Any], y_pred: Sequence[Any], weights: Sequence[Any]) -> None:
        """The same with a list for each, in the outputs' order; without gradients."""
        for entry in self.entries:
            number = entry.output
            _update(entry, y[number], y_pred[number], weights[number])

    def update_only(self, y: Any, y_pred: Any, weight: Any) -> None:
        """The same for a model of one output, from its tensors."""
        for entry in self.entries:
            _update(entry, y, y_pred, weight)

    def result(self) -> Logs:
        """Values by their names in logs."""
        found: Logs = {}
        for entry in self.entries:
            value = entry.metric.result()
            if isinstance(value, dict):
                found.update({name: plain_number(one) for name, one in value.items()})
            else:
                found[entry.name] = plain_number(value)
        return found

    def reset_state(self) -> None:
        for entry in self.entries:
            entry.metric.reset_state()


def _update(entry: Measured, y: Any, y_pred: Any, weight: Any) -> None:
    if weight is None or not entry.weighted:
        entry.metric.update_state(y, y_pred)
    else:
        entry.metric.update_state(y, y_pred, weight)


class _Names:
    """Names in logs; a name that is there already gets a number, or says that it is weighted."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def plain(self, prefix: str, name: str) -> str:
        return self._numbered(prefix + name)

    def weighted(self, prefix: str, name: str) -> str:
        free = prefix + name not in self.counts
        return self._numbered(prefix + name if free else f"{prefix}weighted_{name}")

    def _numbered(self, name: str) -> str:
        if name == "loss":
            raise ValueError(
                '`metrics` has a value of the name "loss", which is always there. '
                "Give it another, such as MeanSquaredError(name='squares')."
            )
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}_{count}" if count else name


def spread_weights(outputs: Structure, weights: Any) -> list[Any]:
    """Weights for each output; one tensor counts for all of them."""
    several = isinstance(weights, list | tuple | dict)
    return outputs.spread(weights, "sample_weight") if several else [weights] * len(outputs)


def plain_number(value: Any) -> Any:
    """A scalar as a float; what isn't one as NumPy."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    return float(value) if getattr(value, "ndim", 0) == 0 else value


def detached(outputs: Tensor, activation: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Outputs for metrics: without history, after their activation, with their mask."""
    mask = masks.get(outputs)
    found = outputs.detach()
    if activation is not None:
        found = activation(found)
    if mask is not None:
        masks.put(found, mask)
    return found
