"""One step of training: a batch forward, its loss backward into the flat gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from elephas_torch.flat import Flat
from elephas_torch.keras import activations
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.metrics import Metric

if TYPE_CHECKING:
    from elephas_torch.keras.compiled import CompiledModel


class Step:
    """What happens to one batch, for a built and compiled model.

    A last softmax or sigmoid is fused into the crossentropy behind it: the loss is taken on
    logits, which is exact where probabilities round to 0 or 1, and faster. Predictions and
    metrics see probabilities all the same.

    Args:
        model: built and compiled.

    Attributes:
        flat: the model's weights and gradients as flat vectors.
        metrics: the compiled metrics, in order; `reset()` sets them and the loss to zero.
    """

    def __init__(self, model: CompiledModel) -> None:
        compiled = model._needs_compile()
        self.model = model
        self.flat = Flat(model)
        self.loss = compiled.loss
        self.metrics: list[Metric] = compiled.resolved_metrics(model.output_shape)
        self._total = 0.0
        self._rows = 0
        self._activation: Any = None
        last = model.last_activation()
        if last is not None:
            fused = self.loss.fused(activations.serialize(last))
            if fused is not None:
                self.loss, self._activation = fused, last

    @property
    def target_dtype(self) -> torch.dtype:
        """What targets must be converted to."""
        return self.loss.target_dtype

    def reset(self) -> None:
        """Sets the running loss and metrics to zero: at the start of an epoch."""
        self._total = 0.0
        self._rows = 0
        for metric in self.metrics:
            metric.reset_state()

    def gradients(self, batch: Samples) -> Tensor:
        """Computes the gradient of the batch's mean loss into `flat.gradients`.

        Returns:
            The loss, a scalar tensor without history.
        """
        if not self.flat.sizes:
            return self.evaluate(batch)  # all weights are frozen
        self.flat.zero_gradients()
        outputs = self._outputs(batch.x)
        loss = self.loss(batch.y, outputs, batch.weight)
        loss.backward()
        loss = loss.detach()
        self._record(loss, batch, outputs)
        return loss

    def evaluate(self, batch: Samples) -> Tensor:
        """Computes and records the loss and metrics of a batch, without gradients."""
        with torch.no_grad():
            outputs = self._outputs(batch.x)
            loss = self.loss(batch.y, outputs, batch.weight)
            self._record(loss, batch, outputs)
        return loss

    def _outputs(self, x: Tensor) -> Tensor:
        if self._activation is None:
            return cast(Tensor, self.model(x))
        return self.model.preactivation(x)

    def _record(self, loss: Tensor, batch: Samples, outputs: Tensor) -> None:
        self._rows += len(batch)
        self._total += loss.item() * len(batch)
        if self.metrics:
            with torch.no_grad():
                outputs = outputs.detach()
                if self._activation is not None:
                    outputs = self._activation(outputs)
                for metric in self.metrics:
                    metric.update_state(batch.y, outputs)

    def logs(self) -> dict[str, float]:
        """The loss, the mean over rows since `reset()`, and the metrics, by name."""
        logs = {"loss": self._total / max(self._rows, 1)}
        for metric in self.metrics:
            logs[metric.name] = float(metric.result())
        return logs

    def sums(self) -> dict[str, Any]:
        """What `logs` is made from, as numbers that add up over workers."""
        return {
            "rows": self._rows,
            "loss": self._total,
            "metrics": [metric.state.tolist() for metric in self.metrics],
        }

    def load_sums(self, parts: list[dict[str, Any]]) -> None:
        """Takes the sums of several workers: `logs()` is then exact over all their rows."""
        self.reset()
        if not parts:
            return
        for part in parts:
            self._rows += int(part["rows"])
            self._total += float(part["loss"])
        for number, metric in enumerate(self.metrics):
            states = [torch.tensor(p["metrics"][number], dtype=torch.float64) for p in parts]
            metric.load(torch.stack(states).sum(0))
