"""`Optimizer`: a rule with its settings and the vectors that it keeps between steps."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.errors import unknown_arguments


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


def _accepted(cls: type) -> list[str]:
    """Returns the names of the arguments that a class and its bases take."""
    names: dict[str, None] = {}
    for one in cls.__mro__[:-1]:
        parameters = inspect.signature(one.__init__).parameters.values()  # type: ignore[misc]
        named = (p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        names.update(dict.fromkeys(named))
    return [*(name for name in names if name != "self"), "lr"]
