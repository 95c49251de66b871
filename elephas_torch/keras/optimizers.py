"""Optimizers with Keras 3's defaults.

See https://keras.io/api/optimizers. They are the rules of `elephas_torch.optimizers`, which
keeps elephas's defaults instead; either kind goes into `compile`.

    >>> from elephas_torch.keras import optimizers
    >>> optimizers.get("adam")
    Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False)
"""

from __future__ import annotations

import warnings
from typing import Any

from elephas_torch import optimizers as ground
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.serialization import find_custom
from elephas_torch.optimizers import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Optimizer", "RMSprop", "get", "serialize"]

# What Keras writes into a config that changes nothing: the value it then has.
_NEUTRAL: dict[str, Any] = {
    "weight_decay": None,
    "use_ema": False,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
_IGNORED = ("ema_momentum", "ema_overwrite_frequency", "is_legacy_optimizer", "jit_compile")


class _Keras(Optimizer):
    module = "keras.optimizers"

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, name=name or snake_case(type(self).__name__), **kwargs)

    def _legacy_rate(self, kwargs: dict[str, Any], learning_rate: float) -> float:
        if "lr" not in kwargs:
            return learning_rate
        # The caller of the class, through the constructors between.
        level = 2 + sum("__init__" in vars(cls) for cls in type(self).__mro__[:-1])
        warnings.warn(
            f"{type(self).__name__}: `lr` is the old name of `learning_rate`: "
            f"use learning_rate={kwargs['lr']!r}.",
            DeprecationWarning,
            stacklevel=level,
        )
        return float(kwargs.pop("lr"))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # Keras 3 warns of `decay`.
        if not config["decay"]:
            del config["decay"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Returns the optimizer; what a config of Keras's has and is off there is left out.

        Raises:
            ValueError: the config asks for something of Keras's that isn't here.
        """
        kept = {name: value for name, value in config.items() if name not in _IGNORED}
        for name, neutral in _NEUTRAL.items():
            value = kept.pop(name, neutral)
            if value is not neutral:
                raise ValueError(
                    f"{cls.__name__}: `{name}` isn't supported. Received: {name}={value!r}"
                )
        return cls(**kept)


class SGD(_Keras, ground.SGD):
    """Gradient descent, with momentum and Nesterov's variant of it.

    Args:
        learning_rate: step size. Default 0.01.
        momentum: share of the last step that is kept, 0 to 1. Default 0.
        nesterov: look ahead along the momentum. Default False.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`, `name`: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, nesterov, **kwargs)


class RMSprop(_Keras, ground.RMSprop):
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
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, rho, momentum, epsilon, centered, **kwargs)


class Adagrad(_Keras, ground.Adagrad):
    """Divides the gradient by the root of the sum of its squares.

    Args:
        learning_rate: step size. Default 0.001.
        initial_accumulator_value: where the sum starts. Default 0.1.
        epsilon: added under the root. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, initial_accumulator_value, epsilon, **kwargs)


class Adadelta(_Keras, ground.Adadelta):
    """Steps in the units of the weights, from running means of squares.

    Args:
        learning_rate: step size. Default 0.001.
        rho: share of the running means that is kept. Default 0.95.
        epsilon: added under the roots. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, rho, epsilon, **kwargs)


class Adam(_Keras, ground.Adam):
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
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **kwargs)


_CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam)
}


def get(identifier: Any) -> Optimizer:
    """Returns an optimizer.

    Args:
        identifier: an optimizer of this module or of `elephas_torch.optimizers` (returned as it
            is); a class of optimizers; a name in any case ("adam", with Keras's defaults), or
            a custom object's; or what `serialize` gave.

    Raises:
        ValueError: no optimizer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    custom = _custom(identifier)
    if custom is not None:
        config = identifier.get("config") if isinstance(identifier, dict) else None
        return custom.from_config(dict(config or {}))
    if isinstance(identifier, dict) and identifier.get("module") == Optimizer.module:
        return ground.get(identifier)
    return ground.get(identifier, _CLASSES)


def _custom(identifier: Any) -> type[Optimizer] | None:
    """Returns a class that is given itself, or as a custom object's name or config."""
    found = identifier
    if isinstance(identifier, dict):
        name = identifier.get("registered_name") or identifier.get("class_name")
        found = find_custom(str(name))
    elif isinstance(identifier, str):
        found = find_custom(identifier)
    return found if isinstance(found, type) and issubclass(found, Optimizer) else None


serialize = ground.serialize
