"""What a loss is: a value for each sample, reduced to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.identifiers import find, name_of, shown_name
from elephas_torch.keras.losses.functions import same_rank
from elephas_torch.keras.naming import snake_case

MEANS = ("sum_over_batch_size", "mean")
_REDUCTIONS = (*MEANS, "sum", "mean_with_sample_weight", "none", None)


class Loss:
    """Subclass it with a `call(y_true, y_pred)` that gives a value for each sample.

    Args:
        reduction: what is made of the samples' values, each times its weight:
            "sum_over_batch_size" or "mean" (default): the sum divided by the number of values;
            "mean_with_sample_weight": divided by the sum of the weights; "sum"; "none" or None:
            nothing.
        name: a name of your own; the class's in snake case by default.

    Raises:
        ValueError: no reduction has that name.
    """

    #: The dtype that the targets are given in.
    target_dtype: ClassVar[torch.dtype] = torch.float32
    #: What the targets are, for `check_targets`.
    targets: ClassVar[str] = "any"
    #: The name that this loss was made from by `get`, if it was.
    identifier: str | None = None

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"`reduction` must be one of {', '.join(map(str, _REDUCTIONS))}. "
                f"Received: reduction={reduction!r}"
            )
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns a value for each sample: `y_pred`'s shape without its last axis."""
        raise TypeError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def mask(self, y_true: Tensor) -> Tensor | None:
        """Returns which of `call`'s values count, as a bool tensor, or None for all."""
        return None

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the mean of `call`'s values; a faster way to it, where there is one."""
        return self._reduced(y_true, y_pred, None)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Returns the loss.

        Args:
            y_true: targets, array or tensor.
            y_pred: predictions, array or tensor; gradients go back through it.
            sample_weight: weights of the values, of `call`'s shape or of its first axes.

        Returns:
            A scalar tensor; with the reduction None, `call`'s tensor.
        """
        if not isinstance(y_pred, Tensor):
            y_pred = torch.as_tensor(y_pred)
        if not isinstance(y_true, Tensor):
            y_true = torch.as_tensor(y_true)
        if sample_weight is None and self.reduction in MEANS:
            return self.mean(y_true, y_pred)
        return self._reduced(y_true, y_pred, sample_weight)

    def _reduced(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any) -> Tensor:
        values = self.call(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(
                f"The loss {self.name!r} must give a tensor, a value for each row. "
                f"It gave: {values!r} (of type {type(values).__name__})"
            )
        count: Tensor | int = values.numel()
        weights = None
        if sample_weight is not None:
            weights = torch.as_tensor(sample_weight, dtype=values.dtype, device=values.device)
        mask = self.mask(y_true)
        if mask is not None:
            mask = mask.reshape(values.shape).to(values.dtype)
            if self.reduction in MEANS:
                count = mask.sum().clamp(min=1)
            weights = mask if weights is None else _times(mask, weights)
        if weights is not None:
            values = _times(values, weights)
        if self.reduction in (None, "none"):
            return values
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            total = weights.sum()
            return torch.where(total == 0, 0.0, values.sum() / total)
        return values.sum() if self.reduction == "sum" else values.sum() / count

    def fused(self, activation: str) -> Loss | None:
        """Returns the loss that takes what goes into the model's last activation instead of
        what comes out of it, or None if there is none for this activation."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**{name: value for name, value in config.items() if name != "dtype"})

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


class LossFunctionWrapper(Loss):
    """A function `f(y_true, y_pred, **options)` as a loss.

    Args:
        fn: gives a value for each sample.
        reduction: see `Loss`.
        name: a name of your own; the function's by default.
        **options: handed to the function.
    """

    def __init__(
        self,
        fn: Callable[..., Tensor],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(reduction, name or shown_name(fn))
        self.fn = fn
        self.options = options

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.fn(*same_rank(y_true, y_pred), **self.options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": name_of(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        options = dict(config)
        return cls(find("loss", options.pop("fn"), {}), **options)


class NamedLoss(Loss):
    """A function of this package as a loss: `function`, with the attributes named in `options`."""

    function: ClassVar[Callable[..., Tensor]]
    default_name: ClassVar[str | None] = None
    options: ClassVar[tuple[str, ...]] = ()
    targets = "values"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name or self.default_name)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in self.options}
        return type(self).function(y_true, y_pred, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}


def _times(values: Tensor, weights: Tensor) -> Tensor:
    values, weights = same_rank(values, weights)
    # Weights of the first axes count for all that follows them.
    missing = values.ndim - weights.ndim
    return values * weights.reshape(*weights.shape, *(1,) * missing)
