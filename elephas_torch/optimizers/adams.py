"""Adam and its kin: AdamW, Adamax, Nadam, ScheduleFreeAdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.optimizers import rules
from elephas_torch.optimizers.base import Optimizer, Rate
from elephas_torch.optimizers.settings import not_negative, share, whole


class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start
    (Kingma and Ba, 2014).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-8.
        amsgrad: divide by the largest mean square so far (Reddi et al., 2018). Default False.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("momentum", "velocity"),
        ("velocity_hat",),
    )

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        self.beta_1 = share(owner, "beta_1", beta_1)
        self.beta_2 = share(owner, "beta_2", beta_2)
        self.epsilon = not_negative(owner, "epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        self._decay = 0.0

    def slot_values(self) -> dict[str, float]:
        return dict.fromkeys(["momentum", "velocity"] + ["velocity_hat"] * self.amsgrad, 0.0)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        slots = self.slots
        rules.adam(
            w, g, slots["momentum"], slots["velocity"], self.iterations, lr,
            self.beta_1, self.beta_2, self.epsilon, slots.get("velocity_hat"), self._decay,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """Adam with weight decay that the gradient's scale has no part in
    (Loshchilov and Hutter, 2017).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        weight_decay: share of the weights, times the learning rate, that is taken from them
            before a step. Default 0.004.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-7.
        amsgrad: divide by the largest mean square so far. Default False.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )
        not_negative(type(self).__name__, "weight_decay", weight_decay)

    def _decay_weights(self, w: Tensor, lr: float) -> None:
        # The rule decays all weights in the same pass over memory.
        self._decay = 0.0 if self._some_excluded() else self.weight_decay or 0.0
        if not self._decay:
            super()._decay_weights(w, lr)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        super()._rule(w, g, lr)
        self._decay = 0.0


class Moments(Optimizer):
    """What Adamax, Nadam, Lamb and ScheduleFreeAdamW have in common: their arguments."""

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        self.beta_1 = share(owner, "beta_1", beta_1)
        self.beta_2 = share(owner, "beta_2", beta_2)
        self.epsilon = not_negative(owner, "epsilon", epsilon)

    def slot_values(self) -> dict[str, float]:
        return {name: 0.0 for group in self.slot_order for name in group}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


class Adamax(Moments):
    """Adam with the largest gradient, fading, in place of the mean square
    (Kingma and Ba, 2014).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the largest gradient that is kept. Default 0.999.
        epsilon: added to the largest gradient. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum", "norm"),)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        rules.adamax(
            w, g, self.slots["momentum"], self.slots["norm"], self.iterations, lr,
            self.beta_1, self.beta_2, self.epsilon,
        )  # fmt: skip


class Nadam(Moments):
    """Adam with Nesterov's look ahead (Dozat, 2016).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    #: The product of the betas so far, and of how many steps.
    _product = (0, 1.0)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        t = self.iterations
        rules.nadam(
            w, g, self.slots["momentum"], self.slots["velocity"], t, self._product_of(t), lr,
            self.beta_1, self.beta_2, self.epsilon,
        )  # fmt: skip

    def _product_of(self, t: int) -> float:
        done, product = self._product if self._product[0] <= t else (0, 1.0)
        while done < t and product:
            done += 1
            product *= rules.nadam_beta(done, self.beta_1)
        self._product = (t, product)
        return product

    def keras_variables(self, order: Sequence[int] | None = None) -> list[Tensor]:
        return [*super().keras_variables(order), torch.tensor(self._product_of(self.iterations))]


class ScheduleFreeAdamW(Moments):
    """Adam that needs no schedule: the weights lie between those that steps are taken from and
    their mean (Defazio et al., 2024).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.0025.
        beta_1: how near the mean the weights lie, above 0. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-8.
        warmup_steps: steps over which the rate rises from 0. Default 0.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        owner = type(self).__name__
        if not self.beta_1:
            raise ValueError(f"{owner}: `beta_1` must be above 0. Received: beta_1={beta_1!r}")
        self.warmup_steps = whole(owner, "warmup_steps", warmup_steps, 0)

    def _new_slots(self, parameters: Tensor) -> dict[str, Tensor]:
        slots = super()._new_slots(parameters)
        slots["momentum"].copy_(parameters.detach())
        return slots

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        t = self.iterations
        if t < self.warmup_steps:
            lr *= t / self.warmup_steps
        rules.schedule_free(
            w, g, self.slots["momentum"], self.slots["velocity"], t, lr,
            self.beta_1, self.beta_2, self.epsilon,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "warmup_steps": self.warmup_steps}
