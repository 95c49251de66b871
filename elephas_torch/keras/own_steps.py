"""`train_step` and its kin, to be overridden, in Keras's terms.

Follows https://keras.io/guides/custom_train_step_in_torch/. A model that overrides none of them
is trained by the faster `Step`.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import trees
from elephas_torch.keras.batches import Samples, unpack_x_y_sample_weight
from elephas_torch.keras.compiled_metrics import CompiledMetrics, Logs, Running, plain_number
from elephas_torch.keras.compiled_model import CompiledModel
from elephas_torch.keras.results import in_order

_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics", "metrics")


class OwnSteps(CompiledModel):
    """The part of a `Model` that a subclass may do in its own way."""

    _steps_own: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._steps_own = any(getattr(cls, one) is not getattr(OwnSteps, one) for one in _STEPS)

    def train_step(self, data: Any) -> Any:
        """One update from one batch. Override it to train in a way of your own.

        Args:
            data: x, (x,), (x, y) or (x, y, sample_weight), tensors or trees of them; see
                `keras.utils.unpack_x_y_sample_weight`.

        Returns:
            A dict of values for the logs.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self._loss_of_batch(x, y, y_pred, sample_weight, True)
        weights = self.trainable_weights
        if weights:
            self.optimizer.scale_loss(loss).backward()
            with torch.no_grad():
                self.optimizer.apply([weight.grad for weight in weights], weights)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> Any:
        """One batch of `evaluate`; as `train_step`, without an update."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self._loss_of_batch(x, y, y_pred, sample_weight, False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """One batch of `predict`. Returns the outputs."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def _loss_of_batch(self, x: Any, y: Any, y_pred: Any, weight: Any, training: bool) -> Tensor:
        takes = inspect.signature(self.compute_loss).parameters
        more = {"training": training} if "training" in takes else {}
        loss = self.compute_loss(x, y, y_pred, weight, **more)
        self._tracked().loss.update_state(loss, sample_weight=_rows(x))
        return loss

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The whole loss of a batch: the compiled losses, what layers added, the regularizers'.

        Override it for a loss of your own.

        Args:
            x, y, sample_weight: the batch.
            y_pred: what the model gave for x.
            training: whether it is a batch of training.

        Raises:
            ValueError: there is nothing to compute.
        """
        goals = self._tracked()
        compiled = None if goals.is_empty else goals.value_of(y, y_pred, sample_weight)
        found = [] if compiled is None else [compiled]
        found += [one.sum() for one in self.losses]
        if not found:
            raise self._no_loss()
        return found[0] if len(found) == 1 else torch.stack(found).sum()

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Logs:
        """Counts a batch into the compiled metrics. Override it to count into others.

        Returns:
            The values of all of `metrics`, by name.
        """
        goals = self._tracked()
        if goals.measured:
            if goals.outputs is None:
                goals.resolve_for(y_pred)
            goals.metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> Logs:
        """The values of all of `metrics`, by name."""
        found: Logs = {}
        for metric in self.metrics:
            value = metric.result()
            found.update(value if isinstance(value, dict) else {metric.name: value})
        return found

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns, in order."""
        if not self.steps_by_itself:
            self._resolved()
        return in_order(self.get_metrics_result(), self.metrics)

    @property
    def steps_by_itself(self) -> bool:
        """Whether batches go through `train_step` and `test_step`."""
        return self._steps_own or bool(self._own_metrics())

    @property
    def predicts_by_itself(self) -> bool:
        """Whether batches go through a `predict_step` of a subclass's own."""
        return type(self).predict_step is not OwnSteps.predict_step


class OwnStep:
    """The same as `Step`, for a model with a `train_step`, `test_step` or metrics of its own."""

    def __init__(self, model: OwnSteps) -> None:
        self.model = model
        self._last: Any = {}

    def reset(self) -> None:
        """Sets all metrics to zero."""
        self._last = {}
        self.model.reset_metrics()

    def train(self, batch: Samples) -> None:
        """Makes an update from one batch."""
        self._last = self.model.train_step(batch.packed())
        with torch.no_grad():
            for weight, constraint in self.model.constrained_weights():
                weight.copy_(constraint(weight))

    def evaluate(self, batch: Samples) -> None:
        """Counts a batch in, without an update."""
        with torch.no_grad():
            self._last = self.model.test_step(batch.packed())

    def logs(self) -> Logs:
        """The metrics' values where the step gives what the metrics say, else the step's own."""
        last = self._last if isinstance(self._last, dict) else {}
        values = self.model.get_metrics_result() if last else {}
        return flat_logs(values if set(values) == set(last) else last)

    def sums(self) -> dict[str, Any]:
        """Copies of the metrics' states, for `load_sums`."""
        return {"own": [_state(metric) for metric in self.model.metrics], "last": self._last}

    def load_sums(self, parts: list[dict[str, Any]]) -> None:
        """Takes the states of one `sums()` back."""
        self._last = parts[0]["last"]
        for metric, state in zip(self.model.metrics, parts[0]["own"], strict=True):
            _restore(metric, state)


def _state(metric: Any) -> Any:
    if isinstance(metric, Running):
        return metric.total, metric.count
    if isinstance(metric, CompiledMetrics):
        return [_state(one) for one in metric.metrics]
    return metric.state.clone()


def _restore(metric: Any, state: Any) -> None:
    if isinstance(metric, CompiledMetrics):
        for one, part in zip(metric.metrics, state, strict=False):
            _restore(one, part)
    elif isinstance(metric, Running):
        metric.total, metric.count = state
    else:
        metric.load(state)


def flat_logs(logs: Any) -> Logs:
    """Logs as Keras gives them on: dicts in them unpacked, numbers as floats, sorted by name."""
    found: Logs = {}
    for name, value in logs.items():
        if isinstance(value, dict):
            found.update(flat_logs(value))
        else:
            found[name] = plain_number(value)
    return dict(sorted(found.items()))


def _rows(x: Any) -> int:
    return int(next(one for one in trees.leaves(x) if one is not None).shape[0])
