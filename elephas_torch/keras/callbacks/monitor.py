"""What watches a value, and knows what is better."""

from __future__ import annotations

import re
from typing import Any

from elephas_torch.errors import nearest, unknown
from elephas_torch.keras import legacy
from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.naming import snake_case

_MODES = ("auto", "min", "max")
_RISES = re.compile("acc|auc|precision|recall|f1|f_1|f_beta|cosine_(similarity|proximity)|iou|r2")
_FALLS = re.compile(
    "loss|error|mse|mae|mape|msle|hinge|entropy|bce|ce$|kld|diverg|poisson|cosh|huber"
)


class Monitor(Callback):
    """The part of a callback that watches a value.

    Attributes:
        mode: "min", "max", or "auto" where neither the value's name nor the model has told it.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in _MODES:
            raise unknown(f"{type(self).__name__} mode", mode, _MODES)
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self._asked = mode
        self.mode = (_direction(monitor) or "auto") if mode == "auto" else mode

    def _settle(self) -> None:
        """Learns the direction from the model's metrics, which know it better than a name does.

        Raises:
            ValueError: nothing tells it.
        """
        if self._asked != "auto":
            return
        names = ["loss"]
        for metric in getattr(self.model, "metrics", None) or ():
            names.append(str(getattr(metric, "name", "")))
            if names[-1] == self.monitor.removeprefix("val_"):
                self.mode = _of_metric(metric) or self.mode
        if self.mode == "auto":
            hint = _hint(self.monitor, [*names, *(f"val_{name}" for name in names)])
            raise ValueError(
                f"{type(self).__name__} can't tell whether {self.monitor!r} should rise or fall."
                f"{hint} Pass mode='max' or mode='min'. "
                f"Received: monitor={self.monitor!r}, mode='auto'"
            )

    def _improved(self, value: float, reference: float | None) -> bool:
        if self.mode == "auto":
            self._settle()
        if reference is None:
            return True
        if self.mode == "max":
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _value(self, logs: Logs | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            legacy.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which isn't there."
                f"{_hint(self.monitor, list(logs or {}))} There is: {', '.join(logs or {})}.",
                UserWarning,
            )
        return value


def _hint(monitor: str, names: list[str]) -> str:
    """What is meant by a name that isn't there: "acc" may be any accuracy."""
    prefix = "val_" if monitor.startswith("val_") else ""
    alike = [name for name in names if name.startswith("val_") == bool(prefix)]
    if prefix and names and not alike:
        return " Values of validation need rows to validate on: fit(validation_split=0.1), say."
    bare = monitor.removeprefix(prefix)
    within = [name for name in alike if bare in name]
    return f" Did you mean {within[0]!r}?" if len(within) == 1 else nearest(monitor, alike)


def _direction(name: str) -> str | None:
    if _RISES.search(name):
        return "max"
    return "min" if _FALLS.search(name) else None


def _of_metric(metric: Any) -> str | None:
    told = {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None) or "")
    return told or _direction(snake_case(type(metric).__name__))
