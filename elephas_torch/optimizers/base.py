"""`Optimizer`: a rule with its settings and the vectors that it keeps between steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.errors import unknown_arguments
from elephas_torch.optimizers import lists, schedules
from elephas_torch.optimizers.layout import Layout
from elephas_torch.optimizers.options import Options
from elephas_torch.optimizers.schedules import LearningRateSchedule
from elephas_torch.optimizers.settings import accepted, not_negative, positive, share, whole

Rate = float | LearningRateSchedule | Callable[[], float]


class Optimizer(Options):
    """An update rule with its settings and the vectors that it keeps between steps.

    Subclass it with a `_rule(w, g, lr)`, `slot_values()` for the vectors it keeps, and a
    `get_config()` that adds the constructor's own arguments.

    Args:
        learning_rate: step size, 0 or more; a `LearningRateSchedule`; or a function of no
            arguments that returns it. `lr` is the same.
        decay: the rate of step k (from 0) is `learning_rate / (1 + decay * k)`, as Keras 1 had it.
        weight_decay: before each step the weights shrink by this share of themselves times the
            learning rate. Default None.
        clipnorm: each weight's gradient is scaled down to this norm where it is larger.
        clipvalue: each element of the gradient is cut to [-clipvalue, clipvalue].
        global_clipnorm: the whole gradient is scaled down to this norm where it is larger.
        use_ema: keep a running mean of the weights; `finalize_variable_values` puts it into
            them. Default False.
        ema_momentum: share of the running mean that is kept at a step, 0 to 1. Default 0.99.
        ema_overwrite_frequency: put the running mean into the weights every so many steps.
            Default None, never.
        loss_scale_factor: what `scale_loss` multiplies the loss with, and a step divides the
            gradients by: against underflow in float16. Default None.
        gradient_accumulation_steps: update the weights every so many steps only, with the mean of
            their gradients: 2 or more. Default None.
        name: a name of your own; the class's by default.

    Attributes:
        iterations: updates done.
        slots: the vectors that the rule keeps, by name.

    Raises:
        ValueError: a setting is out of its range, or two ways of clipping are given.
        TypeError: an argument that nobody knows, named with the nearest known one.
    """

    #: Where Keras keeps the class of this name: written into saved models.
    module: ClassVar[str] = "elephas_torch.optimizers"
    #: Whether the rule can't do without `describe`.
    by_weight: ClassVar[bool] = False

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        decay: float = 0.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        learning_rate = self._legacy_rate(kwargs, learning_rate)
        if kwargs:
            raise unknown_arguments(owner, kwargs, accepted(type(self)))
        self.name = name or self._default_name()
        self._learning_rate: Rate = 0.0
        self.learning_rate = learning_rate
        self.decay = not_negative(owner, "decay", decay)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = bool(use_ema)
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check(owner)
        self.iterations = 0
        self.accumulated = 0
        self.slots: dict[str, Tensor] = {}
        self.layout: Layout | None = None
        self._excluded: tuple[set[int], list[str]] = (set(), [])
        self._length: int | None = None
        self._variables: lists.Variables | None = None

    def _check(self, owner: str) -> None:
        clipping = ("clipnorm", "clipvalue", "global_clipnorm")
        if sum(getattr(self, one) is not None for one in clipping) > 1:
            raise ValueError(
                f"{owner} takes one of `clipnorm`, `clipvalue` and `global_clipnorm`. Received: "
                + ", ".join(f"{one}={getattr(self, one)}" for one in clipping)
            )
        for argument in (*clipping, "loss_scale_factor"):
            if getattr(self, argument) is not None:
                positive(owner, argument, getattr(self, argument))
        if self.weight_decay is not None:
            not_negative(owner, "weight_decay", self.weight_decay)
        share(owner, "ema_momentum", self.ema_momentum, closed=True)
        for argument, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
            if getattr(self, argument) is not None:
                whole(owner, argument, getattr(self, argument), least)

    def _default_name(self) -> str:
        return type(self).__name__.lower()

    def _legacy_rate(self, kwargs: dict[str, Any], learning_rate: Rate) -> Rate:
        rate: Rate = kwargs.pop("lr", learning_rate)
        return rate

    @property
    def learning_rate(self) -> float:
        """The step size of the next step, before `decay`; can be set between steps.

        Raises:
            TypeError: set to a number where a schedule decides.
        """
        rate = self._learning_rate
        if isinstance(rate, float):
            return rate
        return float(rate(self.steps) if isinstance(rate, LearningRateSchedule) else rate())

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        if isinstance(value, LearningRateSchedule) or callable(value):
            self._learning_rate = value
            return
        if isinstance(self._learning_rate, LearningRateSchedule):
            raise TypeError(
                f"{type(self).__name__} was made with a LearningRateSchedule, which decides its "
                "learning rate: it can't be set. Make the optimizer with a number to set it. "
                f"Received: learning_rate={value!r}"
            )
        self._learning_rate = not_negative(type(self).__name__, "learning_rate", value)

    lr = learning_rate

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        raise TypeError(f"{type(self).__name__} has no update rule: define _rule(self, w, g, lr).")

    def build(self, parameters: Tensor | Iterable[Tensor]) -> None:
        """Makes the vectors that the rule keeps, where they don't exist yet for this length.

        Args:
            parameters: the weights as one vector; or a list of them, which `apply` then takes.
        """
        if not isinstance(parameters, Tensor):
            self._variables = lists.Variables(parameters)
            self.describe(**self._variables.description)
            parameters = self._variables.vector()[0]
        if any(self.slots[n].numel() != parameters.numel() for n in self._full() & {*self.slots}):
            self.reset()
        elif any(slot.device != parameters.device for slot in self.slots.values()):
            self.slots = {name: slot.to(parameters.device) for name, slot in self.slots.items()}
        if not self.slots:
            self.slots = self._new_slots(parameters)
        self._length = parameters.numel()

    def _full(self) -> set[str]:
        """The slots that have an element for each of the weights'."""
        return set(self._all_slot_values())

    def _new_slots(self, parameters: Tensor) -> dict[str, Tensor]:
        return {
            name: torch.full_like(parameters, value, requires_grad=False)
            for name, value in self._all_slot_values().items()
        }

    def reset(self) -> None:
        """Forgets all steps so far."""
        self.slots, self.iterations, self.accumulated, self._length = {}, 0, 0, None

    def step(
        self, parameters: Tensor, gradients: Tensor, sizes: Sequence[int] | None = None
    ) -> None:
        """Applies one update in place.

        Args:
            parameters: the weights, 1-D float; changed.
            gradients: same shape; may be changed by clipping.
            sizes: numbers of elements of the single weights, in order; `clipnorm` needs them,
                and takes the whole vector as one weight without them.
        """
        if parameters.requires_grad or gradients.requires_grad:
            parameters, gradients = parameters.detach(), gradients.detach()
        if self._length != parameters.numel():
            self.build(parameters)
        rate = self._learning_rate
        if (
            type(rate) is not float
            or self.weight_decay is not None
            or self.use_ema
            or self.loss_scale_factor is not None
            or self.gradient_accumulation_steps is not None
        ):
            self._step_with_options(parameters, gradients, sizes)
            return
        if not (self.clipnorm is self.clipvalue is self.global_clipnorm is None):
            self._clip(gradients, sizes)
        if self.decay:
            rate /= 1 + self.decay * self.iterations
        self.iterations += 1
        self._rule(parameters, gradients, rate)

    def _step_with_options(self, w: Tensor, g: Tensor, sizes: Sequence[int] | None) -> None:
        updates = self.iterations
        if self.loss_scale_factor is not None:
            g.div_(self.loss_scale_factor)
        rate = self.learning_rate / (1 + self.decay * updates)
        if self._accumulate(g):
            self._clip(g, sizes)
            if self.weight_decay is not None:
                self._decay_weights(w, rate)
            self.iterations += 1
            self._rule(w, g, rate)
        if self.use_ema:
            self._average(w, updates)

    def _clip(self, gradients: Tensor, sizes: Sequence[int] | None) -> None:
        if self.clipvalue is not None:
            gradients.clamp_(-self.clipvalue, self.clipvalue)
        elif self.global_clipnorm is not None:
            _limit_norm(gradients, self.global_clipnorm)
        elif self.clipnorm is not None:
            if sizes is None and self.layout is not None:
                sizes = self.layout.sizes
            for part in gradients.split(list(sizes)) if sizes else [gradients]:
                _limit_norm(part, self.clipnorm)

    def apply(
        self,
        grads: Iterable[Tensor | None],
        trainable_variables: Iterable[Tensor] | None = None,
    ) -> None:
        """Applies one update to a list of weights, in place; for training loops of your own.

        Args:
            grads: a gradient for each weight, of its shape; None leaves the weight as it is.
            trainable_variables: the weights; by default those of `build`.

        Raises:
            ValueError: weights that the optimizer wasn't built with, no gradients at all, or
                a number or shape that doesn't fit.
        """
        lists.apply(self, grads, trainable_variables)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Tensor]]) -> int:
        """As `apply`, with pairs of gradient and weight; returns `iterations`."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        rate = self._learning_rate
        return {
            "name": self.name,
            "learning_rate": rate if isinstance(rate, float) else self._rate_config(rate),
            "decay": self.decay,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    def _rate_config(self, rate: Any) -> dict[str, Any]:
        if isinstance(rate, LearningRateSchedule):
            return schedules.serialize(rate)
        name = getattr(rate, "__name__", type(rate).__name__)
        return {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config = {**config, "learning_rate": schedules.deserialize(rate)}
        return cls(**config)

    def __repr__(self) -> str:
        options = inspect.signature(Optimizer.__init__).parameters
        shown = {
            name: value
            for name, value in self.get_config().items()
            if name != "name" and (name not in options or value != options[name].default)
        }
        shown = {"learning_rate": self.get_config().get("learning_rate"), **shown}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in shown.items())})"


def _limit_norm(gradients: Tensor, limit: float) -> None:
    norm = torch.linalg.vector_norm(gradients)
    if gradients.device.type != "cpu":
        gradients.mul_((limit / norm).clamp_(max=1.0))  # read, it would let the device wait
    elif float(norm) > limit:
        gradients.mul_(limit / float(norm))
