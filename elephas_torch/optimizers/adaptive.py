"""Optimizers that divide the gradient by what it was: RMSprop, Adagrad, Adadelta, Ftrl."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from elephas_torch.optimizers import rules
from elephas_torch.optimizers.base import Optimizer, Rate
from elephas_torch.optimizers.settings import not_negative, positive, share


class RMSprop(Optimizer):
    """Divides the gradient by a running root mean square of it (Tieleman and Hinton, 2012).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        rho: share of the running mean that is kept. Default 0.9.
        momentum: share of the last step that is kept. Default 0.
        epsilon: added under the root. Default 1e-6.
        centered: subtract the running mean, so divide by the deviation. Default False.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("velocity",), ("momentum",), ("average",))

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-6,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        self.rho = share(owner, "rho", rho)
        self.momentum = share(owner, "momentum", momentum, closed=True)
        self.epsilon = not_negative(owner, "epsilon", epsilon)
        self.centered = bool(centered)

    def slot_values(self) -> dict[str, float]:
        names = ["velocity"] + ["momentum"] * bool(self.momentum) + ["average"] * self.centered
        return dict.fromkeys(names, 0.0)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        slot = self.slots.get
        rules.rmsprop(
            w, g, self.slots["velocity"], lr, self.rho, self.epsilon,
            self.momentum, slot("momentum"), slot("average"),
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of its squares (Duchi et al., 2011).

    Args:
        learning_rate: step size; `lr` is the same. Default 0.01.
        initial_accumulator_value: where the sum starts, 0 or more. Default 0.
        epsilon: added under the root. Default 1e-6.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("accumulator",),)

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        self.initial_accumulator_value = not_negative(
            owner, "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = not_negative(owner, "epsilon", epsilon)

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        rules.adagrad(w, g, self.slots["accumulator"], lr, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Steps in the units of the weights, from running means of squares (Zeiler, 2012).

    Args:
        learning_rate: step size; `lr` is the same. Default 1.0, as in the paper.
        rho: share of the running means that is kept. Default 0.95.
        epsilon: added under the roots. Default 1e-6.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("accumulated_grad", "accumulated_delta"),)

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        rho: float = 0.95,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = share(type(self).__name__, "rho", rho)
        self.epsilon = positive(type(self).__name__, "epsilon", epsilon)

    def slot_values(self) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta": 0.0}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        slots = self.slots
        rules.adadelta(
            w, g, slots["accumulated_grad"], slots["accumulated_delta"], lr, self.rho, self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., 2013): weights that matter little become 0.

    Args:
        learning_rate: step size, above 0; `lr` is the same. Default 0.001.
        learning_rate_power: how the rate falls with the sum of squared gradients, 0 or less.
            Default -0.5.
        initial_accumulator_value: where the sum starts, 0 or more. Default 0.1.
        l1_regularization_strength: 0 or more. Default 0.
        l2_regularization_strength: 0 or more. Default 0.
        l2_shrinkage_regularization_strength: 0 or more; added to the gradient. Default 0.
        beta: added to the root of the sum. Default 0.
        **kwargs: see `Optimizer`.
    """

    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("accumulator", "linear"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        owner = type(self).__name__
        for argument in self._arguments()[1:]:
            not_negative(owner, argument, getattr(self, argument))
        if not learning_rate_power <= 0:
            raise ValueError(
                f"{owner}: `learning_rate_power` must be 0 or less. "
                f"Received: learning_rate_power={learning_rate_power!r}"
            )

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        rules.ftrl(
            w, g, self.slots["accumulator"], self.slots["linear"],
            positive(type(self).__name__, "learning_rate", lr), self.learning_rate_power,
            self.l1_regularization_strength, self.l2_regularization_strength,
            self.l2_shrinkage_regularization_strength, self.beta,
        )  # fmt: skip

    def _arguments(self) -> tuple[str, ...]:
        return (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{one: getattr(self, one) for one in self._arguments()}}
