"""What a worker computes with: `Step`, or the steps that a model has of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.flat import Flat
from elephas_torch.keras.batches import Samples, unpack_x_y_sample_weight
from elephas_torch.keras.compiled_metrics import CompiledMetrics, Running
from elephas_torch.keras.models import Model
from elephas_torch.keras.own_steps import OwnStep, flat_logs
from elephas_torch.keras.step import Step


class OwnFlatStep(OwnStep):
    """`OwnStep` on flat weights, with gradients alone, and with sums that add up over workers.

    Args:
        model: compiled, with weights; it has a `train_step`, `compute_loss`, `test_step` or
            metrics of its own.

    Attributes:
        flat: the model's weights and gradients as flat vectors.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.optimizer = model.optimizer
        self.flat = Flat(model)
        self.rows = 0

    def reset(self) -> None:
        """Sets all metrics to zero."""
        super().reset()
        self.rows = 0

    def train(self, batch: Samples) -> None:
        """Makes an update from one batch."""
        super().train(batch)
        self.rows += len(batch)

    def evaluate(self, batch: Samples) -> None:
        """Counts a batch in, without an update."""
        super().evaluate(batch)
        self.rows += len(batch)

    def gradients(self, batch: Samples, scaled: bool = False) -> Tensor:
        """Computes the gradient of the batch's `compute_loss` into `flat.gradients`.

        Args:
            scaled: times the factor of an optimizer that scales losses.

        Returns:
            The loss, a scalar tensor without history.
        """
        model: Any = self.model
        x, y, weight = unpack_x_y_sample_weight(batch.packed())
        self.flat.zero_gradients()
        y_pred = model(x, training=True)
        loss = model._loss_of_batch(x, y, y_pred, weight, True)
        self.flat.backward(self.optimizer.scale_loss(loss) if scaled else loss)
        with torch.no_grad():
            self._last = model.compute_metrics(x, y, y_pred, sample_weight=weight)
        self.rows += len(batch)
        return loss.detach()

    def sums(self) -> dict[str, Any]:
        """The metrics' states, JSON-able, and what the last step gave."""
        last = flat_logs(self._last) if isinstance(self._last, dict) else {}
        return {
            "rows": self.rows,
            "metrics": [_state(metric) for metric in self.model.metrics],
            "last": {name: getattr(v, "tolist", lambda v=v: v)() for name, v in last.items()},
        }

    def load_sums(self, parts: Sequence[dict[str, Any]]) -> None:
        """Takes the sums of several workers: metrics are then exact over all their rows, and
        values that no metric keeps are means of the workers' last ones."""
        self.reset()
        if not parts:
            return
        self.rows = sum(part["rows"] for part in parts)
        self._last = {name: self._mean(name, parts) for name in parts[0]["last"]}
        for number, metric in enumerate(self.model.metrics):
            _merge(metric, [part["metrics"][number] for part in parts])

    def _mean(self, name: str, parts: Sequence[dict[str, Any]]) -> Any:
        shares = [torch.tensor(p["last"][name], dtype=torch.float64) * p["rows"] for p in parts]
        return torch.stack(shares).sum(0) / max(self.rows, 1)


def step_of(model: Model) -> Step | OwnFlatStep:
    """What trains and evaluates a compiled model with weights, batch by batch."""
    return OwnFlatStep(model) if model.steps_by_itself else model._ready()


def _state(metric: Any) -> Any:
    if isinstance(metric, Running):
        return [float(metric.total), float(metric.count)]
    if isinstance(metric, CompiledMetrics):
        return [_state(one) for one in metric.metrics]
    return metric.state.tolist()


def _merge(metric: Any, states: list[Any]) -> None:
    if isinstance(metric, Running):
        metric.total, metric.count = (sum(numbers) for numbers in zip(*states, strict=True))
    elif isinstance(metric, CompiledMetrics):
        for number, one in enumerate(metric.metrics):
            _merge(one, [state[number] for state in states])
    else:
        metric.merge(states)
