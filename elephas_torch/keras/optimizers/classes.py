"""The optimizers with Keras 3's names, defaults and configs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch import optimizers as ground
from elephas_torch.keras import legacy
from elephas_torch.keras.making import Maker
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.optimizers import schedules
from elephas_torch.keras.optimizers.rate import LearningRate
from elephas_torch.keras.variables import State
from elephas_torch.optimizers import Optimizer
from elephas_torch.optimizers.base import Rate

# What Keras's configs have had, and what makes no difference.
_IGNORED = ("is_legacy_optimizer", "jit_compile")


class _Made(Maker):
    """Makes optimizers; arguments as Keras 1 and 2 spelled them become today's before."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **legacy.optimizer(cls.__name__, kwargs))


class KerasOptimizer(Optimizer, metaclass=_Made):
    """What the optimizers here have in common: Keras's names for them, and its configs."""

    module = "keras.optimizers"

    @property
    def learning_rate(self) -> LearningRate:
        """The step size of the next step; can be set, or assigned to, between steps."""
        return LearningRate(super().learning_rate, self)

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        # The next class's, which may hand it on to an optimizer within.
        of_base: Any = super(KerasOptimizer, type(self))
        of_base.learning_rate.fset(self, value)

    lr = learning_rate

    @property
    def built(self) -> bool:
        """Whether it knows the weights that it steps."""
        return self._length is not None or self.layout is not None

    def assign(self, variable: Any, value: Any) -> None:
        """Sets the elements of a weight, or of another variable."""
        _variable(variable).assign(value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """Adds to the elements of a variable."""
        _variable(variable).assign_add(value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Subtracts from the elements of a variable."""
        _variable(variable).assign_sub(value)

    def _default_name(self) -> str:
        return snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # Keras 3 warns of `decay`.
        if not config.get("decay"):
            config.pop("decay", None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Returns the optimizer of a config, ours or Keras's.

        Raises:
            ValueError: it names a schedule or function that nobody knows.
            TypeError: it has a setting that nobody knows.
        """
        kept = {name: value for name, value in config.items() if name not in _IGNORED}
        rate = kept.get("learning_rate")
        if isinstance(rate, dict):
            kept["learning_rate"] = schedules.deserialize(rate)
        return cls(**kept)


def _variable(thing: Any) -> Any:
    """What has `assign`: the thing itself, or for a plain tensor a variable of its elements."""
    if isinstance(thing, Tensor) and not hasattr(thing, "assign"):
        return State(thing.detach())
    if not hasattr(thing, "assign"):
        raise TypeError(
            "An optimizer assigns to weights, tensors and its learning rate. "
            f"Received: {thing!r} (of type {type(thing).__name__})"
        )
    return thing


class SGD(KerasOptimizer, ground.SGD):
    """Gradient descent, with momentum and Nesterov's variant of it.

    Args:
        learning_rate: step size. Default 0.01.
        momentum: share of the last step that is kept, 0 to 1. Default 0.
        nesterov: look ahead along the momentum. Default False.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema` …: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, nesterov, **kwargs)


class RMSprop(KerasOptimizer, ground.RMSprop):
    """Divides the gradient by a running root mean square of it.

    Args:
        learning_rate: step size. Default 0.001.
        rho: share of the running mean that is kept. Default 0.9.
        momentum: share of the last step that is kept. Default 0.
        epsilon: added under the root. Default 1e-7.
        centered: take the variance in place of the mean square. Default False.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, rho, momentum, epsilon, centered, **kwargs)


class Adagrad(KerasOptimizer, ground.Adagrad):
    """Divides the gradient by the root of the sum of its squares.

    Args:
        learning_rate: step size. Default 0.001.
        initial_accumulator_value: where the sum starts. Default 0.1.
        epsilon: added under the root. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, initial_accumulator_value, epsilon, **kwargs)


class Adadelta(KerasOptimizer, ground.Adadelta):
    """Steps in the units of the weights, from running means of squares.

    Args:
        learning_rate: step size. Default 0.001.
        rho: share of the running means that is kept. Default 0.95.
        epsilon: added under the roots. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, rho, epsilon, **kwargs)


class Adam(KerasOptimizer, ground.Adam):
    """Running means of the gradient and of its square, corrected for their start.

    Args:
        learning_rate: step size. Default 0.001.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-7.
        amsgrad: divide by the largest mean square so far. Default False.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **kwargs)


class AdamW(KerasOptimizer, ground.AdamW):
    __doc__ = ground.AdamW.__doc__


class Adamax(KerasOptimizer, ground.Adamax):
    __doc__ = ground.Adamax.__doc__


class Nadam(KerasOptimizer, ground.Nadam):
    __doc__ = ground.Nadam.__doc__


class ScheduleFreeAdamW(KerasOptimizer, ground.ScheduleFreeAdamW):
    __doc__ = ground.ScheduleFreeAdamW.__doc__


class Lion(KerasOptimizer, ground.Lion):
    __doc__ = ground.Lion.__doc__


class Ftrl(KerasOptimizer, ground.Ftrl):
    __doc__ = ground.Ftrl.__doc__


class Adafactor(KerasOptimizer, ground.Adafactor):
    __doc__ = ground.Adafactor.__doc__


class Lamb(KerasOptimizer, ground.Lamb):
    __doc__ = ground.Lamb.__doc__


class Muon(KerasOptimizer, ground.Muon):
    __doc__ = ground.Muon.__doc__


class LossScaleOptimizer(KerasOptimizer, ground.LossScaleOptimizer):  # type: ignore[misc]
    __doc__ = ground.LossScaleOptimizer.__doc__

    @property
    def built(self) -> bool:
        inner: Any = self.inner_optimizer
        return inner._length is not None or inner.layout is not None

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        from elephas_torch.keras import optimizers

        return cls(**{**config, "inner_optimizer": optimizers.get(config["inner_optimizer"])})


CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (
        SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, Ftrl, Adafactor, Lamb,
        Muon, ScheduleFreeAdamW, LossScaleOptimizer,
    )
}  # fmt: skip
