"""Optimizers: update rules on one flat vector of weights.

The same rules serve the facade (`elephas_torch.keras.optimizers`, which has Keras 3's
defaults), the parameter server, and any torch loop of your own. The classes *here* keep
elephas's defaults, which are Keras 0.3's: Adagrad starts with an empty accumulator and a
rate of 0.01, Adadelta has a rate of 1.0. It matters: as an outer optimizer Keras 3's
Adagrad (rate 0.001, accumulator 0.1) hardly moves.

    >>> import torch
    >>> from elephas_torch import optimizers
    >>> weights, gradients = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    >>> optimizers.SGD(lr=0.1).step(weights, gradients)
    >>> weights
    tensor([0.9500, 2.0500])
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.optimizers import rules
from elephas_torch.optimizers.base import Optimizer, not_negative, positive, share

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "DiLoCo",
    "Optimizer",
    "RMSprop",
    "get",
    "serialize",
]


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant of it.

    Args:
        learning_rate: step size; `lr` is the same. Default 0.01.
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

    def __init__(
        self,
        learning_rate: float = 0.001,
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

    def __init__(
        self,
        learning_rate: float = 0.01,
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

    def __init__(
        self,
        learning_rate: float = 1.0,
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

    def __init__(
        self,
        learning_rate: float = 0.001,
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

    def slot_values(self) -> dict[str, float]:
        return dict.fromkeys(["momentum", "velocity"] + ["velocity_hat"] * self.amsgrad, 0.0)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        slots = self.slots
        rules.adam(
            w, g, slots["momentum"], slots["velocity"], self.iterations, lr,
            self.beta_1, self.beta_2, self.epsilon, slots.get("velocity_hat"),
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


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
        learning_rate: float = 0.7,
        momentum: float = 0.9,
        nesterov: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, nesterov, **kwargs)


_CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, DiLoCo)
}


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Returns the optimizer as JSON-able data; `get` takes it back."""
    cls = type(optimizer)
    module = optimizer.module if cls.__name__.lower() in _CLASSES else cls.__module__
    return {
        "module": module,
        "class_name": cls.__name__,
        "config": optimizer.get_config(),
        "registered_name": None,
    }


def get(
    identifier: str | dict[str, Any] | Optimizer,
    classes: dict[str, type[Optimizer]] | None = None,
    importing: bool = False,
) -> Optimizer:
    """Returns an optimizer.

    Args:
        identifier: an optimizer (returned as it is), the name of one ("adagrad", any case; with
            this module's defaults), or what `serialize` gave.
        classes: names in lower case -> classes, in place of this module's.
        importing: a class of somebody else's is imported from the module where `serialize` found
            it. Only for what comes from this program, never for what comes from a file.

    Raises:
        ValueError: no optimizer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    classes = classes or _CLASSES
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        cls = classes.get(identifier.lower())
        if cls is None:
            raise unknown("optimizer", identifier, classes)
        return cls()
    if isinstance(identifier, dict) and "class_name" in identifier:
        name, config = str(identifier["class_name"]), dict(identifier.get("config") or {})
        cls = classes.get(name.lower())
        if cls is None:
            cls = _imported(identifier.get("module") if importing else None, name, classes)
        return cls.from_config(config)
    raise TypeError(
        "`optimizer` must be an optimizer of elephas_torch.optimizers or "
        f"elephas_torch.keras.optimizers, or the name of one. Received: {identifier!r} "
        f"(of type {type(identifier).__name__})"
    )


def _imported(
    module: str | None, name: str, classes: dict[str, type[Optimizer]]
) -> type[Optimizer]:
    try:
        cls = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError, ValueError):
        raise unknown("optimizer", name, classes) from None
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise unknown("optimizer", name, classes)
    return cls
