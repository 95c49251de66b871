"""One step of training: a batch forward, its loss backward into the flat gradient."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elephas_torch.flat import Flat
from elephas_torch.keras import activations
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.compiled_metrics import detached
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.forward import Forward
from elephas_torch.keras.goals import Goals, total
from elephas_torch.keras.layers.base import collected_losses
from elephas_torch.keras.losses import Loss

if TYPE_CHECKING:
    from elephas_torch.keras.compiled_model import CompiledModel


class Step:
    """What happens to one batch, for a built and compiled model.

    A last softmax or sigmoid is fused into the crossentropy behind it: the loss is taken on
    logits, which is exact where probabilities round to 0 or 1, and faster. Predictions and
    metrics see probabilities all the same.

    Args:
        model: built and compiled.

    Attributes:
        flat: the model's weights and gradients as flat vectors.
        goals: losses and metrics of each output, with their running sums.
        losses: for each output what its loss is taken with, None where it has none.
    """

    def __init__(self, model: CompiledModel) -> None:
        self.model = model
        self.optimizer = model.optimizer
        self._warned = False
        self.flat = Flat(model)
        #: Losses times rows, where reading each one would let a device wait for the host.
        self._there = _sum_on(self.flat.parameters.device)
        self._describe()
        self.goals: Goals = model._resolved()
        self.losses = list(self.goals.losses)
        self._activations: list[Any] = [None] * len(self.losses)
        self._fuse(model)
        self._forward = Forward(model, self._raw(), model._needs_compile().jit_compile)
        self._penalties = model.regularized_weights()
        self._constraints = model.constrained_weights()
        outputs = self.goals.outputs
        self._single = outputs is not None and outputs.single
        self._measures = bool(self.goals.metrics.entries)
        #: The loss of the one output that there is, where nothing is to be done beside it.
        self._only = self.losses[0] if self._single and self.goals.weights == [None] else None

    def _describe(self) -> None:
        weights = [w for w in self.model.parameters() if w.requires_grad]
        shapes = [tuple(weight.shape) for weight in weights]
        self.optimizer.describe(self.flat.names, shapes, weights)

    def _fuse(self, model: CompiledModel) -> None:
        last = model.last_activations()
        if self.goals.outputs is None or len(last) != len(self.losses):
            return
        last = self.goals.outputs.from_tree_order(last)
        for number, (loss, activation) in enumerate(zip(self.losses, last, strict=True)):
            if loss is None or activation is None:
                continue
            fused = loss.fused(activations.serialize(activation))
            if fused is not None:
                self.losses[number], self._activations[number] = fused, activation

    def _raw(self) -> list[int]:
        """The numbers of outputs, in the tree's order, whose activation goes into the loss."""
        outputs = self.goals.outputs
        numbers = outputs.numbers if outputs is not None else []
        return [place for place, n in enumerate(numbers) if self._activations[n] is not None]

    @property
    def loss(self) -> Loss | None:
        """The loss of a model of one output: the fused one, where it is."""
        return self.losses[0]

    @property
    def target_dtype(self) -> torch.dtype:
        """What the targets of a model of one output must be converted to."""
        return self.losses[0].target_dtype if self.losses[0] is not None else torch.float32

    @property
    def metrics(self) -> list[Any]:
        """The compiled metrics, in order; `reset()` sets them and the loss to zero."""
        return self.goals.metrics.metrics

    def reset(self) -> None:
        """Sets the running loss and metrics to zero: at the start of an epoch."""
        self.goals.reset()
        if self._there is not None:
            self._there.zero_()

    def train(self, batch: Samples) -> None:
        """Makes an update from one batch with the compiled optimizer."""
        self.gradients(batch, scaled=True)
        flat = self.flat
        self.optimizer.step(flat.parameters, flat.gradients, flat.sizes)
        if self._constraints:
            self.constrain()

    def gradients(self, batch: Samples, scaled: bool = False) -> Tensor:
        """Computes the gradient of the batch's loss into `flat.gradients`.

        Args:
            scaled: times the factor of an optimizer that scales losses (`LossScaleOptimizer`).

        Returns:
            The loss, a scalar tensor without history.
        """
        if not self.flat.sizes:
            self._warn_of_frozen()
            return self.evaluate(batch)
        self.flat.zero_gradients()
        outputs, loss = self._computed(batch)
        self.flat.backward(self.optimizer.scale_loss(loss) if scaled else loss)
        loss = loss.detach()
        self._count(loss, batch)
        if self._measures:
            with torch.no_grad():
                self._measure(batch, outputs)
        return loss

    def _warn_of_frozen(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"Model {self.model.name!r} has no trainable weights: training changes nothing.",
                stacklevel=2,
            )

    @torch.no_grad()
    def constrain(self) -> None:
        """Applies the weights' constraints; to be called after each update."""
        for weight, constraint in self._constraints:
            weight.copy_(constraint(weight))

    def evaluate(self, batch: Samples) -> Tensor:
        """Computes and records the loss and metrics of a batch, without gradients."""
        with torch.no_grad():
            outputs, loss = self._computed(batch)
            self._count(loss, batch)
            if self._measures:
                self._measure(batch, outputs)
        return loss

    def _computed(self, batch: Samples) -> tuple[Any, Tensor]:
        with collected_losses() as added:
            outputs = self._forward(batch.x)
        if self._only is None:
            value = self._several(batch, outputs)
        else:
            value = self._only(batch.y, outputs, batch.weight)
        if not added and not self._penalties:
            return outputs, value if value is not None else self._nothing()
        more = [one.sum() for one in added]
        more += [rule(weight) for weight, rule in self._penalties]
        found = total(more if value is None else [value, *more])
        return outputs, found if found is not None else self._nothing()

    def _several(self, batch: Samples, outputs: Any) -> Tensor | None:
        form = self.goals.outputs
        assert form is not None
        none = [None] * len(form)
        y = none if batch.y is None else _listed(form.single, batch.y)
        weights = none if batch.weight is None else _listed(form.single, batch.weight)
        return self.goals.value(y, form.leaves(outputs), weights, len(batch), self.losses)

    def _nothing(self) -> Tensor:
        raise self.model._no_loss()

    def _count(self, loss: Tensor, batch: Samples) -> None:
        running, rows = self.goals.loss, len(batch)
        running.count += rows
        if self._there is None:
            running.total += loss.item() * rows
        else:
            self._there.add_(loss.detach(), alpha=rows)

    def _settle(self) -> None:
        """Fetches the sum of losses from the device; how often, makes no difference to it."""
        if self._there is not None:
            self.goals.loss.total = self._there.item()

    def _measure(self, batch: Samples, outputs: Any) -> None:
        if self._single:
            outputs = detached(outputs, self._activations[0])
            self.goals.metrics.update_only(batch.y, outputs, batch.weight)
            return
        form = self.goals.outputs
        assert form is not None
        leaves = [
            detached(one, activation)
            for one, activation in zip(form.leaves(outputs), self._activations, strict=True)
        ]
        weights = [None] * len(leaves) if batch.weight is None else batch.weight
        self.goals.metrics.update(batch.y, leaves, weights)

    def logs(self) -> dict[str, Any]:
        """The loss, the mean over rows since `reset()`, and the metrics, by name."""
        self._settle()
        return self.goals.logs()

    def sums(self) -> dict[str, Any]:
        """What `logs` is made from, as numbers that add up over workers."""
        self._settle()
        return self.goals.sums()

    def load_sums(self, parts: list[dict[str, Any]]) -> None:
        """Takes the sums of several workers: `logs()` is then exact over all their rows."""
        self.goals.load_sums(parts)
        if self._there is not None:
            self._there.fill_(self.goals.loss.total)


def _sum_on(device: torch.device) -> Tensor | None:
    """A sum on a device; None on the CPU, where a Python number is quicker."""
    if device.type == "cpu":
        return None
    return torch.zeros((), dtype=widest(device), device=device)


def _listed(single: bool, part: Any) -> list[Any]:
    """A part of samples as a list with an entry for each output."""
    return [part] if single else part
