"""What a loss is: a value for each sample, reduced to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import masks
from elephas_torch.keras.identifiers import shown_name
from elephas_torch.keras.losses.functions import numbers, same_rank
from elephas_torch.keras.losses.reduction import MEANS, REDUCTIONS, reduce_weighted
from elephas_torch.keras.losses.wrapped import find_function, function_config
from elephas_torch.keras.making import Maker
from elephas_torch.keras.naming import auto_name, snake_case

#: The package's loss functions, by name: filled as the classes of `NamedLoss` are made.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


class Loss(metaclass=Maker):
    """Subclass it with a `call(y_true, y_pred)` that gives a value for each sample.

    Follows https://keras.io/api/losses/#base-loss-api

    Args:
        name: a name of your own; the class's in snake case by default.
        reduction: what is made of the samples' values, each times its weight:
            "sum_over_batch_size" or "mean" (default): the sum divided by the number of values;
            "mean_with_sample_weight": divided by the sum of the weights; "sum"; "none" or None:
            nothing.
        dtype: what the loss is computed in, such as "float32". None is float32, or float64 where
            the predictions are.

    Raises:
        ValueError: no reduction or dtype has that name.

    Example::

        class Cubed(Loss):
            def call(self, y_true, y_pred):
                return (y_true - y_pred).abs().pow(3).mean(-1)
    """

    #: The dtype that the targets are given in.
    target_dtype: ClassVar[torch.dtype] = torch.float32
    #: What the targets are, for `check_targets`.
    targets: ClassVar[str] = "any"
    #: The name that this loss was made from by `get`, if it was.
    identifier: str | None = None

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        # Keras 2's name, in its files too, for what Keras 3 has as the default.
        reduction = "sum_over_batch_size" if reduction == "auto" else reduction
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: `reduction` must be one of "
                f"{', '.join(map(str, REDUCTIONS))}. Received: reduction={reduction!r}"
            )
        self.reduction = reduction
        self.name = name or auto_name(snake_case(type(self).__name__))
        self._given_dtype = None if dtype is None else float_dtype(dtype, type(self).__name__)
        self._dtype = self._given_dtype or torch.float32

    @property
    def dtype(self) -> str:
        """What the loss is computed in: "float32"."""
        return str(self._dtype).removeprefix("torch.")

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns a value for each sample: `y_pred`'s shape without its last axis."""
        raise TypeError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the mean of `call`'s values; a faster way to it, where there is one."""
        return self._reduced(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Returns the loss.

        Samples that the mask of `y_pred` leaves out (see `elephas_torch.keras.masks`) don't count.

        Args:
            y_true: targets, array or tensor.
            y_pred: predictions, array or tensor; gradients go back through it.
            sample_weight: weights of the values, of `call`'s shape or of its first axes.

        Returns:
            A scalar tensor; with the reduction None, `call`'s tensor.

        Raises:
            ValueError: the weights' shape doesn't fit.
        """
        if not isinstance(y_pred, Tensor):
            y_pred = numbers("y_pred", y_pred, type(self).__name__)
        if not isinstance(y_true, Tensor):
            y_true = numbers("y_true", y_true, type(self).__name__)
        mask = masks.get(y_pred)
        if y_pred.dtype is not self._dtype:
            y_pred = self._cast(y_pred)
        if sample_weight is None and mask is None and self.reduction in MEANS:
            return self.mean(y_true, y_pred)
        return self._reduced(y_true, y_pred, sample_weight, mask)

    def _cast(self, y_pred: Tensor) -> Tensor:
        keeps = self._given_dtype is None and y_pred.dtype is torch.float64
        return y_pred if keeps else y_pred.to(self._dtype)

    def _reduced(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if self.target_dtype.is_floating_point and not y_true.is_floating_point():
            y_true = y_true.to(y_pred.dtype)
        values = self.call(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(
                f"The loss {self.name!r} must give a tensor, a value for each row. "
                f"It gave: {values!r} (of type {type(values).__name__})"
            )
        own = masks.get(values)
        if own is not None:
            mask = own if mask is None else mask & own
        return reduce_weighted(values, sample_weight, mask, self.reduction)

    def fused(self, activation: str) -> Loss | None:
        """Returns the loss that takes what goes into the model's last activation instead of
        what comes out of it, or None if there is none for this activation."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        config: dict[str, Any] = {"name": self.name, "reduction": self.reduction}
        return config if self._given_dtype is None else {**config, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Makes the loss again that gave the config."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


class LossFunctionWrapper(Loss):
    """A function `f(y_true, y_pred, **options)` as a loss.

    Args:
        fn: gives a value for each sample.
        reduction: see `Loss`.
        name: a name of your own; the function's by default.
        dtype: see `Loss`.
        **options: handed to the function.
    """

    def __init__(
        self,
        fn: Callable[..., Tensor],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name or shown_name(fn), reduction, dtype)
        self.fn = fn
        self.options = options

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.fn(*same_rank(y_true, y_pred), **self.options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": function_config(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        options = dict(config)
        return cls(find_function("loss", options.pop("fn"), FUNCTIONS), **options)


class NamedLoss(Loss):
    """A function of this package as a loss: `function`, with the attributes named in `options`."""

    function: ClassVar[Callable[..., Tensor]]
    default_name: ClassVar[str | None] = None
    options: ClassVar[tuple[str, ...]] = ()
    targets = "values"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        FUNCTIONS.setdefault(cls.function.__name__, cls.function)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        default = self.default_name or snake_case(type(self).__name__)
        super().__init__(name or default, reduction, dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in self.options}
        return type(self).function(y_true, y_pred, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}


def float_dtype(dtype: Any, owner: str) -> torch.dtype:
    """Returns torch's dtype of a name ("float32", "mixed_bfloat16"), a torch dtype or a policy.

    Raises:
        ValueError: it is none of a float.
    """
    name = getattr(dtype, "compute_dtype", None) or getattr(dtype, "name", None) or str(dtype)
    found = getattr(torch, str(name).removeprefix("torch.").removeprefix("mixed_"), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f"{owner}: `dtype` must be a float's, such as 'float32'. Received: dtype={dtype!r}"
        )
    return found
