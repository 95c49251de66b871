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

Each rule is a short function that changes its vectors in place, with its equation above it:
w weights, g gradient, lr learning rate, t steps done including this one.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.errors import unknown, unknown_arguments


# w <- w - lr g
def sgd(w: Tensor, g: Tensor, lr: float) -> None:
    w.add_(g, alpha=-lr)


# v <- m v - lr g;  w <- w + v,  or with Nesterov  w <- w + m v - lr g
def momentum_sgd(
    w: Tensor, g: Tensor, v: Tensor, lr: float, momentum: float, nesterov: bool
) -> None:
    v.mul_(momentum).add_(g, alpha=-lr)
    if nesterov:
        w.add_(v, alpha=momentum).add_(g, alpha=-lr)
    else:
        w.add_(v)


# s <- rho s + (1 - rho) g^2;  w <- w - lr g / sqrt(s - [centered] a^2 + eps)
def rmsprop(
    w: Tensor,
    g: Tensor,
    s: Tensor,
    lr: float,
    rho: float,
    epsilon: float,
    momentum: float = 0.0,
    v: Tensor | None = None,
    a: Tensor | None = None,
) -> None:
    s.mul_(rho).addcmul_(g, g, value=1 - rho)
    if a is not None:
        a.mul_(rho).add_(g, alpha=1 - rho)
        scale = s.addcmul(a, a, value=-1).add_(epsilon).rsqrt_()
    else:
        scale = s.add(epsilon).rsqrt_()
    if v is not None:
        v.mul_(momentum).addcmul_(g, scale, value=lr)
        w.sub_(v)
    else:
        w.addcmul_(g, scale, value=-lr)


# s <- s + g^2;  w <- w - lr g / sqrt(s + eps)
def adagrad(w: Tensor, g: Tensor, s: Tensor, lr: float, epsilon: float) -> None:
    s.addcmul_(g, g)
    w.addcmul_(g, s.add(epsilon).rsqrt_(), value=-lr)


# s <- rho s + (1 - rho) g^2;  d = g sqrt(u + eps) / sqrt(s + eps)
# u <- rho u + (1 - rho) d^2;  w <- w - lr d
def adadelta(
    w: Tensor, g: Tensor, s: Tensor, u: Tensor, lr: float, rho: float, epsilon: float
) -> None:
    s.mul_(rho).addcmul_(g, g, value=1 - rho)
    d = s.add(epsilon).div_(u.add(epsilon)).rsqrt_().mul_(g)
    u.mul_(rho).addcmul_(d, d, value=1 - rho)
    w.add_(d, alpha=-lr)


# m <- b1 m + (1 - b1) g;  s <- b2 s + (1 - b2) g^2
# w <- w - lr sqrt(1 - b2^t) / (1 - b1^t)  m / (sqrt(s) + eps),  AMSGrad: with the largest s so far
def adam(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    s: Tensor,
    t: int,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    largest: Tensor | None = None,
) -> None:
    root = math.sqrt(1 - beta_2**t)
    if _FUSED_ADAM is not None and _alike(w, g, m, s):
        # One pass in place of four. torch adds its epsilon after the correction, so it's
        # divided by what the correction multiplies it with.
        _FUSED_ADAM(
            [w], [g], [m], [s], [] if largest is None else [largest],
            [torch.full((), float(t), device=w.device)],
            lr=lr, beta1=beta_1, beta2=beta_2, weight_decay=0.0, eps=epsilon / root,
            amsgrad=largest is not None, maximize=False,
        )  # fmt: skip
        return
    m.lerp_(g, 1 - beta_1)
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    if largest is not None:
        s = torch.maximum(largest, s, out=largest)
    w.addcdiv_(m, s.sqrt().add_(epsilon), value=-lr * root / (1 - beta_1**t))


# What torch.optim.Adam(fused=True) calls; some builds of torch lack it.
_FUSED_ADAM = getattr(torch, "_fused_adam_", None)


def _alike(*vectors: Tensor) -> bool:
    dtype = vectors[0].dtype
    return all(one.dtype is dtype and one.is_contiguous() for one in vectors)


class Optimizer:
    """An update rule with its settings and the vectors that it keeps between steps.

    Subclass it with a `_rule(w, g, lr)`, `slot_values()` for the vectors it keeps, and a
    `get_config()` that adds the constructor's own arguments.

    Args:
        learning_rate: step size, positive; `lr` is the same.
        decay: the rate of step k (from 0) is `learning_rate / (1 + decay * k)`, as Keras 1 had it.
        clipnorm: each weight's gradient is scaled down to this norm where it is larger.
        clipvalue: each element of the gradient is cut to [-clipvalue, clipvalue].
        global_clipnorm: the whole gradient is scaled down to this norm where it is larger.
        name: a name of your own; the class's by default.

    Raises:
        ValueError: a setting is out of its range, or two ways of clipping are given.
        TypeError: an argument that nobody knows, named with the nearest known one.
    """

    #: Where Keras keeps the class of this name: written into saved models.
    module: ClassVar[str] = "elephas_torch.optimizers"

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        decay: float = 0.0,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        learning_rate = self._legacy_rate(kwargs, learning_rate)
        if kwargs:
            raise unknown_arguments(owner, kwargs, _accepted(type(self)))
        if sum(one is not None for one in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{owner} takes one of `clipnorm`, `clipvalue` and `global_clipnorm`. Received: "
                f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}"
            )
        for argument, value in (
            ("clipnorm", clipnorm),
            ("clipvalue", clipvalue),
            ("global_clipnorm", global_clipnorm),
        ):
            if value is not None:
                positive(owner, argument, value)
        not_negative(owner, "decay", decay)
        self.name = name or owner.lower()
        self.learning_rate = learning_rate
        self.decay = float(decay)
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = 0
        self.slots: dict[str, Tensor] = {}

    def _legacy_rate(self, kwargs: dict[str, Any], learning_rate: float) -> float:
        return kwargs.pop("lr", learning_rate)

    @property
    def learning_rate(self) -> float:
        """The step size before `decay`; can be set between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        not_negative(type(self).__name__, "learning_rate", value)
        self._learning_rate = float(value)

    lr = learning_rate

    def slot_values(self) -> dict[str, float]:
        """The vectors that this rule keeps between steps, by name, with their first value."""
        return {}

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        raise TypeError(f"{type(self).__name__} has no update rule: define _rule(self, w, g, lr).")

    def build(self, parameters: Tensor) -> None:
        """Makes the vectors that the rule keeps, where they don't exist yet for this length."""
        if any(slot.numel() != parameters.numel() for slot in self.slots.values()):
            self.reset()
        if not self.slots:
            self.slots = {
                name: torch.full_like(parameters, value, requires_grad=False)
                for name, value in self.slot_values().items()
            }

    def reset(self) -> None:
        """Forgets all steps so far."""
        self.slots, self.iterations = {}, 0

    @torch.no_grad()
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
        if self.slots or self.iterations == 0:
            self.build(parameters)
        self._clip(gradients, sizes)
        rate = self._learning_rate
        if self.decay:
            rate /= 1 + self.decay * self.iterations
        self.iterations += 1
        self._rule(parameters, gradients, rate)

    def _clip(self, gradients: Tensor, sizes: Sequence[int] | None) -> None:
        if self.clipvalue is not None:
            gradients.clamp_(-self.clipvalue, self.clipvalue)
        elif self.global_clipnorm is not None:
            _limit_norm(gradients, self.global_clipnorm)
        elif self.clipnorm is not None:
            for part in gradients.split(list(sizes)) if sizes else [gradients]:
                _limit_norm(part, self.clipnorm)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {
            "name": self.name,
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        return cls(**config)

    def state_dict(self) -> dict[str, Any]:
        """`{"iterations": int, slot: Tensor ...}`, tensors shared with the optimizer."""
        return {"iterations": self.iterations, **self.slots}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a `state_dict()` of the same kind of optimizer; its tensors are copied.

        Raises:
            ValueError: it lacks something that this rule keeps; nothing is taken then.
        """
        kept = self.slot_values() if state.get("iterations") else ()
        missing = {"iterations", *kept} - set(state)
        if missing:
            raise ValueError(
                f"{type(self).__name__} keeps {', '.join(sorted(missing))}, which the state "
                f"doesn't have. Received: a state of {', '.join(map(str, state)) or 'nothing'}"
            )
        self.iterations = int(state["iterations"])
        self.slots = {name: state[name].clone() for name in self.slot_values() if name in state}

    def __repr__(self) -> str:
        config = {k: v for k, v in self.get_config().items() if v is not None and k != "name"}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in config.items())})"


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
            momentum_sgd(w, g, self.slots["momentum"], lr, self.momentum, self.nesterov)
        else:
            sgd(w, g, lr)

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
        rmsprop(
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
        adagrad(w, g, self.slots["accumulator"], lr, self.epsilon)

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
        adadelta(
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
        adam(
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


def _accepted(cls: type) -> list[str]:
    """Returns the names of the arguments that a class and its bases take."""
    names: dict[str, None] = {}
    for one in cls.__mro__[:-1]:
        parameters = inspect.signature(one.__init__).parameters.values()  # type: ignore[misc]
        named = (p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        names.update(dict.fromkeys(named))
    return [*(name for name in names if name != "self"), "lr"]


def not_negative(owner: str, argument: str, value: float) -> float:
    """Returns `value` as a float; raises ValueError unless it is finite and 0 or more."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ValueError(
            f"{owner}: `{argument}` must be a number, 0 or more. Received: {argument}={value!r}"
        )
    return float(value)


def positive(owner: str, argument: str, value: float) -> float:
    """Returns `value` as a float; raises ValueError unless it is finite and above 0."""
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(
            f"{owner}: `{argument}` must be a number above 0. Received: {argument}={value!r}"
        )
    return float(value)


def share(owner: str, argument: str, value: float, closed: bool = False) -> float:
    """Returns `value` as a float; raises ValueError unless 0 <= value < 1 (closed: <= 1)."""
    if not _is_number(value) or not (0 <= value < 1 or (closed and value == 1)):
        raise ValueError(
            f"{owner}: `{argument}` must be from 0 to {'1' if closed else 'below 1'}. "
            f"Received: {argument}={value!r}"
        )
    return float(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str | bool)


def _limit_norm(gradients: Tensor, limit: float) -> None:
    norm = float(torch.linalg.vector_norm(gradients))
    if norm > limit:
        gradients.mul_(limit / norm)


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
) -> Optimizer:
    """Returns an optimizer.

    Args:
        identifier: an optimizer (returned as it is), the name of one ("adagrad", any case; with
            this module's defaults), or what `serialize` gave. A class that isn't one of ours is
            imported from the module where `serialize` found it.
        classes: names in lower case -> classes, in place of this module's.

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
        return (cls or _imported(identifier.get("module"), name, classes)).from_config(config)
    raise TypeError(
        "`optimizer` must be an optimizer of elephas_torch.optimizers or "
        f"elephas_torch.keras.optimizers, or the name of one. Received: {identifier!r} "
        f"(of type {type(identifier).__name__})"
    )


def _imported(
    module: str | None, name: str, classes: dict[str, type[Optimizer]]
) -> type[Optimizer]:
    try:
        cls = getattr(importlib.import_module(str(module)), name)
    except (ImportError, AttributeError, ValueError):
        raise unknown("optimizer", name, classes) from None
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise unknown("optimizer", name, classes)
    return cls
