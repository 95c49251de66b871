"""`LossScaleOptimizer`: keeps gradients of float16 from becoming 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.optimizers.base import Optimizer, Rate
from elephas_torch.optimizers.settings import positive, whole

# What Keras once wrote into configs, though only the inner optimizer has it.
_INNER_S: dict[str, Any] = {
    "learning_rate": 0.0, "weight_decay": None, "clipnorm": None, "global_clipnorm": None,
    "clipvalue": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
    "loss_scale_factor": None, "gradient_accumulation_steps": None, "dynamic": True,
}  # fmt: skip


class LossScaleOptimizer(Optimizer):
    """Another optimizer, for a loss that is scaled up: gradients are divided by the scale; where
    one isn't finite, the step is left out and the scale halved.

    The loss must go through `scale_loss` before its gradients are taken; `fit` does that. What
    isn't said here (`slots`, `iterations` …) is the inner optimizer's.

    Args:
        inner_optimizer: the optimizer that steps; its `loss_scale_factor` is set to None.
        initial_scale: above 0. Default 2 ** 15.
        dynamic_growth_steps: the scale doubles after so many steps without halving. Default 2000.
        name: a name of your own.

    Attributes:
        dynamic_scale: what the loss is multiplied with.
        step_counter: steps since the scale changed.

    Raises:
        TypeError: `inner_optimizer` is no optimizer.
        ValueError: a setting is out of its range, or is one of the inner optimizer's.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(
                f"{owner}: `inner_optimizer` must be an optimizer. "
                f"Received: inner_optimizer={inner_optimizer!r}"
            )
        for argument, value in kwargs.items():
            if argument not in _INNER_S or value != _INNER_S[argument]:
                raise ValueError(
                    f"{owner} takes no `{argument}`: give it to the inner optimizer. "
                    f"Received: {argument}={value!r}"
                )
        self.inner_optimizer = inner_optimizer
        self.name = name or self._default_name()
        self.initial_scale = positive(owner, "initial_scale", initial_scale)
        self.dynamic_growth_steps = whole(owner, "dynamic_growth_steps", dynamic_growth_steps, 1)
        self.dynamic_scale = self.initial_scale
        self.step_counter = 0
        inner_optimizer.loss_scale_factor = None

    def __getattr__(self, name: str) -> Any:
        # A copy or unpickled object asks before it has anything.
        if name == "inner_optimizer" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner_optimizer, name)

    @property
    def learning_rate(self) -> float:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        self.inner_optimizer.learning_rate = value

    lr = learning_rate

    @property
    def steps(self) -> int:
        return self.inner_optimizer.steps

    @property
    def has_options(self) -> bool:
        return True

    def slot_values(self) -> dict[str, float]:
        return self.inner_optimizer.slot_values()

    def build(self, parameters: Tensor | Iterable[Tensor]) -> None:
        self.inner_optimizer.build(parameters)

    def reset(self) -> None:
        self.inner_optimizer.reset()
        self.dynamic_scale, self.step_counter = self.initial_scale, 0

    def describe(
        self,
        names: Sequence[str],
        shapes: Sequence[Sequence[int]],
        variables: Sequence[Tensor] | None = None,
    ) -> None:
        self.inner_optimizer.describe(names, shapes, variables)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Tensor] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, parameters: Tensor | Iterable[Tensor]) -> None:
        self.inner_optimizer.finalize_variable_values(parameters)

    def scale_loss(self, loss: Any) -> Any:
        """Returns the loss times `dynamic_scale`."""
        return loss * self.dynamic_scale

    @property
    def scales_loss(self) -> bool:
        return True

    @torch.no_grad()
    def unscale(self, gradients: Tensor) -> bool:
        """Divides gradients by `dynamic_scale`, in place; where one isn't finite, the scale is
        halved and they can't be used."""
        if not math.isfinite(float(torch.linalg.vector_norm(gradients, math.inf))):
            self.dynamic_scale, self.step_counter = self.dynamic_scale / 2, 0
            return False
        gradients.div_(self.dynamic_scale)
        self.step_counter += 1
        if self.step_counter == self.dynamic_growth_steps:
            self.dynamic_scale, self.step_counter = self.dynamic_scale * 2, 0
        return True

    @torch.no_grad()
    def step(
        self, parameters: Tensor, gradients: Tensor, sizes: Sequence[int] | None = None
    ) -> None:
        if self.unscale(gradients):
            self.inner_optimizer.step(parameters, gradients, sizes)

    def slot_of(self, name: str, number: int) -> Tensor | None:
        return self.inner_optimizer.slot_of(name, number)

    def _numbers(self) -> list[Tensor]:
        # Keras counts the inner optimizer's steps only, and has a rate here that is never used.
        return [
            torch.tensor(0, dtype=torch.int32),
            torch.tensor(0.0),
            torch.tensor(self.step_counter, dtype=torch.int32),
            torch.tensor(self.dynamic_scale),
        ]

    def keras_variables(self, order: Sequence[int] | None = None) -> list[Tensor]:
        return [*self._numbers(), *self.inner_optimizer.keras_variables(order)]

    def _take_numbers(self, state: list[Tensor]) -> None:
        self.step_counter, self.dynamic_scale = int(state[2]), float(state[3])
        self.inner_optimizer._take_numbers(state[4:])

    def get_config(self) -> dict[str, Any]:
        from elephas_torch.optimizers import lookup

        return {
            "name": self.name,
            "inner_optimizer": lookup.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        from elephas_torch.optimizers import lookup

        return cls(**{**config, "inner_optimizer": lookup.get(config["inner_optimizer"])})

    def state_dict(self) -> dict[str, Any]:
        """The inner optimizer's, with "step_counter" and "dynamic_scale"."""
        scale = {"step_counter": self.step_counter, "dynamic_scale": self.dynamic_scale}
        return {**self.inner_optimizer.state_dict(), **scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        missing = {"step_counter", "dynamic_scale"} - set(state)
        if missing:
            raise ValueError(
                f"{type(self).__name__} keeps {', '.join(sorted(missing))}, which the state "
                f"doesn't have. Received: a state of {', '.join(map(str, state)) or 'nothing'}"
            )
        self.inner_optimizer.load_state_dict(state)
        self.step_counter = int(state["step_counter"])
        self.dynamic_scale = float(state["dynamic_scale"])
