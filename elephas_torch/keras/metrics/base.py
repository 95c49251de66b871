"""What a metric is: sums over samples, which add up over batches and workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.identifiers import find, name_of, shown_name
from elephas_torch.keras.losses.functions import same_rank
from elephas_torch.keras.naming import snake_case


class Metric:
    """Subclass it with an `update_state` that adds to `self.state`, and a `result`.

    Args:
        name: as shown in logs; the class's name in snake case by default.
        size: the number of sums that it keeps.

    Attributes:
        state: float64, 1-D: the sums. States of several workers may be added.
    """

    def __init__(self, name: str | None = None, size: int = 2) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.state = torch.zeros(size, dtype=torch.float64)
        #: The name that this metric was made from by `get`, if it was.
        self.identifier: str | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch in: targets, predictions, and weights for the samples or None."""
        raise TypeError(f"{type(self).__name__} must define update_state(self, y_true, y_pred).")

    def result(self) -> float:
        """Returns the metric over all batches since `reset_state`."""
        raise TypeError(f"{type(self).__name__} must define result(self).")

    def reset_state(self) -> None:
        """Forgets all batches so far."""
        self.state.zero_()

    def load(self, state: Tensor) -> None:
        """Takes a state, or the sum of several, in place of its own.

        Raises:
            ValueError: it isn't as long as this metric's.
        """
        if state.shape != self.state.shape:
            raise ValueError(
                f"The metric {self.name!r} keeps {self.state.numel()} sums. "
                f"Received: a state of shape {tuple(state.shape)}"
            )
        self.state.copy_(state)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**{name: value for name, value in config.items() if name != "dtype"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class Mean(Metric):
    """The mean of values, weighted by sample: `update_state(values, sample_weight)`."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Counts values in: samples along the first axis, further axes are averaged."""
        self._add(torch.as_tensor(values), sample_weight)

    _sums: Tensor
    _rows: int

    @property
    def state(self) -> Tensor:
        """float64, (2,): the sum of the values, and of the weights."""
        self._sums[1] += self._rows
        self._rows = 0
        return self._sums

    @state.setter
    def state(self, sums: Tensor) -> None:
        self._sums = sums
        # Rows without weights are counted here first: every batch saves a tensor operation.
        self._rows = 0

    def _add(self, values: Tensor, sample_weight: Any) -> None:
        if self._sums.device != values.device:
            self.state = self.state.to(values.device)
        if sample_weight is not None:
            values, weights = _weighted(values, sample_weight)
            self._sums.add_(torch.stack([values.sum(), weights.sum()]))
            return
        rows = values.shape[0] if values.ndim else 1
        self._sums[0].add_(values.sum(), alpha=rows / max(values.numel(), 1))
        self._rows += rows

    def result(self) -> float:
        total, count = self.state.tolist()
        return total / count if count else 0.0


def _weighted(values: Tensor, sample_weight: Any) -> tuple[Tensor, Tensor]:
    """Returns a value and a weight for each sample, the value times its weight."""
    weights = torch.as_tensor(sample_weight, dtype=values.dtype, device=values.device)
    values, weights = same_rank(values, weights)
    if values.ndim > weights.ndim:
        values = values.flatten(weights.ndim).mean(-1)
    weights = weights.expand(values.shape)
    values = values * weights
    return (values.flatten(1).mean(-1), weights.flatten(1).mean(-1)) if values.ndim > 1 else (
        values, weights
    )  # fmt: skip


class MeanMetricWrapper(Mean):
    """The mean of a function `fn(y_true, y_pred, **options)` that gives a value a sample.

    Args:
        fn: the function.
        name: as shown in logs; the function's by default.
        **options: handed to the function.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **options: Any) -> None:
        super().__init__(name or shown_name(fn))
        self.fn = fn
        self.options = options

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        self._add(torch.as_tensor(self.fn(y_true, y_pred, **self.options)), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": name_of(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        options = {name: value for name, value in config.items() if name != "dtype"}
        fn = options.pop("fn")
        return cls(find("metric", fn, {}) if isinstance(fn, str) else fn, **options)


class NamedMetric(MeanMetricWrapper):
    """A function of this package as a metric: `function`, with arguments named in `defaults`."""

    function: ClassVar[Callable[..., Tensor]]
    default_name: ClassVar[str | None] = None

    def __init__(self, name: str | None = None, **options: Any) -> None:
        cls = type(self)
        super().__init__(cls.function, name or cls.default_name or snake_case(cls.__name__))
        self.options = options

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**{name: value for name, value in config.items() if name != "dtype"})
