"""Optimizers that step along the gradient, or its running mean: SGD, DiLoCo, Lion."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from elephas_torch.optimizers import rules
from elephas_torch.optimizers.base import Optimizer, Rate
from elephas_torch.optimizers.settings import share


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant of it.

    Args:
        learning_rate: step size; `lr` is the same. Default 0.01.
        momentum: share of the last step that is kept, 0 to 1. Default 0.
        nesterov: look ahead along the momentum. Default False.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema` …: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum",),)

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = share(type(self).__name__, "momentum", momentum, closed=True)
        self.nesterov = bool(nesterov)

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        if self.momentum:
            rules.momentum_sgd(w, g, self.slots["momentum"], lr, self.momentum, self.nesterov)
        else:
            rules.sgd(w, g, lr)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class DiLoCo(SGD):
    """The outer optimizer of DiLoCo (Douillard et al., 2023): Nesterov momentum on the mean
    pseudo-gradient of workers that took many steps on their own. Use it with
    `frequency='epoch'` or an integer, in synchronous mode.

    Args:
        learning_rate: Default 0.7.
        momentum: Default 0.9.
        nesterov: Default True.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, nesterov, **kwargs)


class Lion(Optimizer):
    """Steps of one length: along the sign of the momentum (Chen et al., 2023).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        beta_1: share of the momentum in the step's direction, above 0 to 1. Default 0.9.
        beta_2: share of the momentum that is kept. Default 0.99.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum",),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        self.beta_1 = share(owner, "beta_1", beta_1, closed=True)
        if not self.beta_1:
            raise ValueError(f"{owner}: `beta_1` must be above 0. Received: beta_1={beta_1!r}")
        self.beta_2 = share(owner, "beta_2", beta_2, closed=True)

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        rules.lion(w, g, self.slots["momentum"], lr, self.beta_1, self.beta_2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
