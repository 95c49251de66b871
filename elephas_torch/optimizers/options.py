"""Options of all optimizers: weight decay, running means, accumulation, scaled losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from elephas_torch.optimizers import lists
from elephas_torch.optimizers.layout import Layout
from elephas_torch.optimizers.state import State

# The slots of the options; Keras has them in this order, before the rule's.
EMA, SUM = "ema", "gradient_accumulator"


class Options(State):
    """The part of `Optimizer` that does more with a step than clip the gradient and apply the
    rule; its settings are the optimizer's arguments."""

    weight_decay: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    _excluded: tuple[set[int], list[str]]

    def slot_values(self) -> dict[str, float]:
        """The vectors that this rule keeps between steps, by name, with their first value."""
        return {}

    def _all_slot_values(self) -> dict[str, float]:
        """Those of the rule and of the options."""
        options = [EMA] * self.use_ema + [SUM] * bool(self.gradient_accumulation_steps)
        return {**dict.fromkeys(options, 0.0), **self.slot_values()}

    def _slot_names(self) -> list[str]:
        return list(self._all_slot_values())

    @property
    def has_options(self) -> bool:
        """Whether a step does more than clip the gradient and apply the rule."""
        return (
            type(self._learning_rate) is not float
            or self.weight_decay is not None
            or self.use_ema
            or self.loss_scale_factor is not None
            or self.gradient_accumulation_steps is not None
        )

    def describe(
        self,
        names: Sequence[str],
        shapes: Sequence[Sequence[int]],
        variables: Sequence[Tensor] | None = None,
    ) -> None:
        """Says which single weights lie in the flat vector, one after the other.

        Adafactor, Lamb and Muon need it, and so does `exclude_from_weight_decay`.

        Args:
            names: for instance "dense/kernel": what comes after the last "/" or "." is the name
                that `exclude_from_weight_decay` looks at.
            shapes: as long.
            variables: the weights themselves, where some were excluded as such.

        Raises:
            ValueError: some were, and `variables` isn't given.
        """
        if variables is None and self._excluded[0]:
            raise ValueError(
                f"{type(self).__name__}: weights were left out of weight decay, so that describe() "
                "needs `variables` to find them."
            )
        before = self.layout
        self.layout = Layout.of(names, shapes, self._excluded, variables)
        if before is not None and before.shapes == self.layout.shapes and not any(self._excluded):
            # What was left out elsewhere stays left out where the optimizer was sent to.
            self.layout = replace(self.layout, decayed=before.decayed)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Tensor] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Leaves weights out of `weight_decay`. To be called before `describe` and the first step.

        Args:
            var_list: the weights.
            var_names: regular expressions: a weight is left out if one is found in its name.

        Raises:
            ValueError: the optimizer has been built.
        """
        if self._length is not None:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay() must be called before the "
                "optimizer is built."
            )
        self._excluded = {id(one) for one in var_list or ()}, list(var_names or ())
        self.layout = None

    def _accumulate(self, g: Tensor) -> bool:
        """Adds to the sum of gradients; returns whether it is time to step, with `g` the mean."""
        steps = self.gradient_accumulation_steps
        if steps is None:
            return True
        total = self.slots[SUM].add_(g)
        self.accumulated += 1
        if self.accumulated < steps:
            return False
        torch.div(total, steps, out=g)
        total.zero_()
        self.accumulated = 0
        return True

    # w <- (1 - lr decay) w
    def _decay_weights(self, w: Tensor, lr: float) -> None:
        kept = 1 - lr * (self.weight_decay or 0.0)
        if not self._some_excluded():
            w.mul_(kept)
            return
        assert self.layout is not None
        for start, end in self.layout.decayed_spans:
            w[start:end].mul_(kept)

    def _some_excluded(self) -> bool:
        """Whether weights are left out of weight decay."""
        if self.layout is not None:
            return not self.layout.all_decay
        if any(self._excluded):
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay() needs the names of the "
                "weights: call describe(names, shapes) before the first step."
            )
        return False

    # a <- m a + (1 - m) w,  after the first update a = w
    def _average(self, w: Tensor, updates: int) -> None:
        ema = self.slots[EMA]
        if updates:
            ema.mul_(self.ema_momentum).add_(w, alpha=1 - self.ema_momentum)
        else:
            ema.copy_(w)
        every = self.ema_overwrite_frequency
        if every and (updates + 1) % every == 0:
            w.copy_(ema)

    @torch.no_grad()
    def finalize_variable_values(self, parameters: Tensor | Iterable[Tensor]) -> None:
        """Puts the running mean of the weights into them, with `use_ema`; to be called when
        training ends.

        Args:
            parameters: the weights, one vector or the list that `apply` takes.
        """
        if not self.use_ema or not self.slots:
            return
        if isinstance(parameters, Tensor):
            parameters.copy_(self.slots[EMA])
        else:
            lists.fill(list(parameters), self.slots[EMA])

    def scale_loss(self, loss: Any) -> Any:
        """Returns the loss whose gradients a step takes: times `loss_scale_factor`."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    @property
    def scales_loss(self) -> bool:
        """Whether `scale_loss` does anything."""
        return self.loss_scale_factor is not None

    def unscale(self, gradients: Tensor) -> bool:
        """Divides gradients by what `scale_loss` multiplied their loss with, in place; `step`
        does that itself.

        Returns:
            Whether they can be used.
        """
        if self.loss_scale_factor is not None:
            gradients.div_(self.loss_scale_factor)
        return True
