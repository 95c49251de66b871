"""Learning-rate schedules: the step size as a function of the number of steps done.

Follows https://keras.io/api/optimizers/learning_rate_schedules. A schedule goes in an
optimizer's `learning_rate`; it is plain Python, called with the number of the step, from 0:

    >>> from elephas_torch.optimizers import schedules
    >>> rate = schedules.InverseTimeDecay(0.5, decay_steps=2, decay_rate=1.0)
    >>> [rate(step) for step in (0, 2, 6)]
    [0.5, 0.25, 0.125]
"""

from __future__ import annotations

import importlib
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.optimizers.settings import positive


class LearningRateSchedule:
    """A step size that changes. Subclass it with `__call__(step)` and `get_config()`."""

    def __call__(self, step: int) -> float:
        """Returns the step size of a step; the first is number 0."""
        raise TypeError(f"{type(self).__name__} must define __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        raise TypeError(f"{type(self).__name__} must define get_config(self) to be saved or sent.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: the rate of step 0.
        decay_steps: steps after which the rate has been multiplied with `decay_rate`.
        decay_rate: what the rate is multiplied with.
        staircase: change the rate every `decay_steps` steps only. Default False.
        name: a name of your own.

    Raises:
        ValueError: `decay_steps` isn't above 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = "ExponentialDecay",
    ) -> None:
        positive(type(self).__name__, "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:
        return float(self.initial_learning_rate * self.decay_rate ** self._decays(step))

    def _decays(self, step: int) -> float:
        return step // self.decay_steps if self.staircase else step / self.decay_steps

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(ExponentialDecay):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: the rate of step 0.
        decay_steps: steps after which the divisor has grown by `decay_rate`.
        decay_rate: what the divisor grows by.
        staircase: change the rate every `decay_steps` steps only. Default False.
        name: a name of your own.

    Raises:
        ValueError: `decay_steps` isn't above 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: int) -> float:
        return float(self.initial_learning_rate / (1 + self.decay_rate * self._decays(step)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to a step, another after it.

    Args:
        boundaries: numbers of steps, rising: `values[0]` holds up to and with step
            `boundaries[0]`, `values[1]` from there to `boundaries[1]` ….
        values: the rates, one more than boundaries.
        name: a name of your own.

    Raises:
        ValueError: the lengths don't fit, or the boundaries don't rise.
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str | None = "PiecewiseConstant",
    ) -> None:
        if len(boundaries) != len(values) - 1 or list(boundaries) != sorted(boundaries):
            raise ValueError(
                "PiecewiseConstantDecay needs rising `boundaries`, and one more of `values`. "
                f"Received: boundaries={boundaries!r}, values={values!r}"
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: int) -> float:
        return float(self.values[bisect_left(self.boundaries, step)])

    def get_config(self) -> dict[str, Any]:
        return {
            "boundaries": list(self.boundaries),
            "values": list(self.values),
            "name": self.name,
        }


class PolynomialDecay(LearningRateSchedule):
    """`(initial - end) * (1 - step / decay_steps) ** power + end`; `end` after `decay_steps`.

    Args:
        initial_learning_rate: the rate of step 0.
        decay_steps: steps until the end is reached.
        end_learning_rate: Default 0.0001.
        power: Default 1, a straight line.
        cycle: start anew after `decay_steps` steps, towards the end of twice as many steps, then
            of three times as many …. Default False.
        name: a name of your own.

    Raises:
        ValueError: `decay_steps` isn't above 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = "PolynomialDecay",
    ) -> None:
        positive("PolynomialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        left = (1 - min(step / steps, 1.0)) ** self.power
        end = self.end_learning_rate
        return float((self.initial_learning_rate - end) * left + end)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine wave down, after a straight line up (Loshchilov and Hutter, 2016).

    Args:
        initial_learning_rate: the rate of step 0.
        decay_steps: steps of the way down.
        alpha: where it ends, as a share of where it starts. Default 0.
        name: a name of your own.
        warmup_target: the rate at the end of the way up; None (default) for no way up.
        warmup_steps: steps of the way up. Default 0.

    Raises:
        ValueError: `decay_steps` isn't above 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str | None = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        positive("CosineDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        first, top = self.initial_learning_rate, self.warmup_target
        if top is None:
            return self._down(first, step)
        if step < self.warmup_steps:
            return float(first + (top - first) * step / self.warmup_steps)
        return self._down(top, step - self.warmup_steps)

    def _down(self, top: float, step: int) -> float:
        wave = _half_wave(min(step / self.decay_steps, 1.0))
        return float(top * ((1 - self.alpha) * wave + self.alpha))

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves down, one after the other (Loshchilov and Hutter, 2016).

    Args:
        initial_learning_rate: the rate of step 0.
        first_decay_steps: steps of the first wave.
        t_mul: each wave takes so many times the steps of the one before. Default 2.
        m_mul: each wave starts at so many times the height of the one before. Default 1.
        alpha: where a wave ends, as a share of the initial rate. Default 0.
        name: a name of your own.

    Raises:
        ValueError: `first_decay_steps` or `t_mul` isn't above 0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = "SGDRDecay",
    ) -> None:
        positive("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        positive("CosineDecayRestarts", "t_mul", t_mul)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: int) -> float:
        wave, done = self._place(step / self.first_decay_steps)
        height = self.m_mul**wave * _half_wave(done)
        return float(self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha))

    def _place(self, done: float) -> tuple[int, float]:
        """Returns the number of the wave, and the share of it that is done."""
        if self.t_mul == 1:
            return math.floor(done), done - math.floor(done)
        wave, length = 0, 1.0
        # Waves that shrink come to an end: the last of them that counts stays.
        while done >= length and length > 1e-12:
            wave, done, length = wave + 1, done - length, length * self.t_mul
        return wave, min(done / length, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


# 1 at 0, 0 at 1
def _half_wave(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


CLASSES: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
        CosineDecay, CosineDecayRestarts,
    )
}  # fmt: skip


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """Returns the schedule as JSON-able data, in Keras's form; `deserialize` takes it back."""
    cls = type(schedule)
    own = CLASSES.get(cls.__name__) is cls
    return {
        "module": "keras.optimizers.schedules" if own else cls.__module__,
        "class_name": cls.__name__,
        "config": schedule.get_config(),
        "registered_name": None if own else cls.__name__,
    }


def deserialize(config: Mapping[str, Any], importing: bool = False) -> LearningRateSchedule:
    """Returns the schedule that `serialize` described.

    Args:
        config: what it gave, or Keras's.
        importing: a class of somebody else's is imported from the module where `serialize` found
            it. Only for what comes from this program, never for what comes from a file.

    Raises:
        ValueError: no schedule has that name; the message has the nearest one.
    """
    name = str(config.get("class_name"))
    cls = CLASSES.get(name)
    if cls is None and importing:
        cls = imported(config.get("module"), name, LearningRateSchedule)
    if cls is None:
        raise unknown("learning-rate schedule", name, CLASSES)
    return cls.from_config(dict(config.get("config") or {}))


def imported(module: Any, name: str, base: type) -> Any:
    """Returns a subclass of `base` out of a module, or None where there is none."""
    try:
        cls = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError, ValueError):
        return None
    return cls if isinstance(cls, type) and issubclass(cls, base) else None
