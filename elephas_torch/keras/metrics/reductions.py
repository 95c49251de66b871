"""Sums and means of values, weighted: what most metrics are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import masks
from elephas_torch.keras.dtypes import widest
from elephas_torch.keras.identifiers import shown_name
from elephas_torch.keras.losses.base import FUNCTIONS, Loss
from elephas_torch.keras.losses.functions import numbers, same_rank
from elephas_torch.keras.losses.lookup import describe, get
from elephas_torch.keras.losses.reduction import masked_weights, spread
from elephas_torch.keras.losses.wrapped import find_function, function_config, is_function_config
from elephas_torch.keras.metrics.base import Metric
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.variables import State

#: The package's metric functions, by name: filled as the classes of `NamedMetric` are made.
METRIC_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def samplewise(values: Tensor, sample_weight: Any, mean: bool) -> tuple[Tensor, Tensor | None]:
    """Returns a value for each sample, times its weight, and the weights.

    Args:
        values: samples along the first axis; further ones are averaged, or with `mean` False
            added up.
        sample_weight: for `values` or its first axes, array or tensor; None for 1.

    Raises:
        ValueError: the weights' shape doesn't fit.
    """
    if sample_weight is None:
        return _reduced(values, 1, mean), None
    mask = masks.get(values)
    values = _floats(values)
    weights = masked_weights(sample_weight, mask, "sum", values.dtype, values.device)
    assert weights is not None
    values, weights = same_rank(values, weights)
    if values.ndim > weights.ndim:
        values = _reduced(values, weights.ndim, mean)
    weights = spread(weights, values)
    return _reduced(values * weights, 1, mean), _reduced(weights, 1, mean)


def _reduced(values: Tensor, axis: int, mean: bool) -> Tensor:
    if values.ndim <= axis:
        return values
    flat = values.flatten(axis)
    return _floats(flat).mean(-1) if mean else flat.sum(-1)


def _floats(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.float()


class Sum(Metric):
    """The sum of values, weighted by sample: `update_state(values, sample_weight)`.

    Follows https://keras.io/api/metrics/reduction_metrics/#sum-class

    Args:
        name, dtype: see `Metric`. Default "sum".
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Counts values in: samples along the first axis."""
        values, _ = samplewise(
            numbers("values", values, type(self).__name__), sample_weight, mean=False
        )
        self.total.assign_add(values.sum())

    def result(self) -> float:
        return float(self.total)


class Mean(Metric):
    """The mean of values, weighted by sample: `update_state(values, sample_weight)`.

    Follows https://keras.io/api/metrics/reduction_metrics/#mean-class

    Args:
        name, dtype: see `Metric`. Default "mean".
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._sums = torch.zeros(2, dtype=torch.float64)
        # Rows without weights are counted here first: every batch saves a tensor operation.
        self._rows = 0

    @property
    def total(self) -> State:
        """The sum of the values, each times its weight."""
        return State(self._sums[0])

    @property
    def count(self) -> State:
        """The sum of the weights."""
        self._sums[1] += self._rows
        self._rows = 0
        return State(self._sums[1])

    @property
    def variables(self) -> list[State]:
        """`total`, `count`, and what a subclass has added."""
        return [self.total, self.count, *super().variables]

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Counts values in: samples along the first axis, further axes are averaged."""
        self._add(numbers("values", values, type(self).__name__), sample_weight)

    def _add(self, values: Tensor, sample_weight: Any) -> None:
        if values.requires_grad:
            mask, values = masks.get(values), values.detach()
            masks.put(values, mask)
        if self._sums.device != values.device:
            self._sums = self._sums.to(values.device, widest(values.device))
        if sample_weight is not None:
            values, weights = samplewise(values, sample_weight, mean=True)
            assert weights is not None
            self._sums.add_(torch.stack([values.sum(), weights.sum()]))
            return
        rows = values.shape[0] if values.ndim else 1
        self._sums[0].add_(values.sum(), alpha=rows / max(values.numel(), 1))
        self._rows += rows

    def result(self) -> float:
        count = float(self.count)
        return float(self.total) / count if count else 0.0


class MeanMetricWrapper(Mean):
    """The mean of a function `fn(y_true, y_pred, **options)` that gives a value a sample.

    Follows https://keras.io/api/metrics/reduction_metrics/#meanmetricwrapper-class. Samples that
    the mask of `y_pred` leaves out don't count.

    Args:
        fn: the function.
        name: as shown in logs; the function's by default.
        dtype: see `Metric`.
        **options: handed to the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(name or shown_name(fn), dtype)
        self.fn = fn
        self.options = options
        if isinstance(fn, Loss) or any(fn is one for one in FUNCTIONS.values()):
            self._direction = "down"

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Counts a batch in: targets, predictions, and weights for the values or None."""
        values = torch.as_tensor(self.fn(y_true, y_pred, **self.options))
        mask = masks.get(y_pred)
        if mask is not None:
            settings = "sum", torch.float32, values.device
            sample_weight = masked_weights(sample_weight, mask, *settings)
        self._add(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        fn = describe(self.fn) if isinstance(self.fn, Loss) else function_config(self.fn)
        return {**super().get_config(), "fn": fn, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        options = dict(config)
        fn = options.pop("fn")
        if isinstance(fn, dict) and not is_function_config(fn):
            return cls(get(fn), **options)
        known = {**METRIC_FUNCTIONS, **FUNCTIONS}
        return cls(find_function("metric", fn, known), **options)


class NamedMetric(MeanMetricWrapper):
    """A function of this package as a metric: `function`, with the arguments in `options`."""

    function: ClassVar[Callable[..., Tensor]]
    default_name: ClassVar[str | None] = None
    _direction = "down"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        METRIC_FUNCTIONS.setdefault(cls.function.__name__, cls.function)

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        cls = type(self)
        default = cls.default_name or snake_case(cls.__name__)
        super().__init__(cls.function, name or default, dtype)
        self._direction = cls._direction

    def __getattr__(self, name: str) -> Any:
        options = vars(self).get("options", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)
