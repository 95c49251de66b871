"""What a metric is: sums over samples, which add up over batches and workers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import initializers, trees
from elephas_torch.keras.legacy.adding import OF_METRICS, name_first
from elephas_torch.keras.losses.base import float_dtype
from elephas_torch.keras.making import Maker
from elephas_torch.keras.naming import auto_name, snake_case
from elephas_torch.keras.variables import State

#: What `result` may give: a number, an array of numbers, or a dict of them by name.
Result = Any


class Metric(metaclass=Maker):
    """Subclass it with an `update_state` that adds to variables, and a `result` made from them.

    Follows https://keras.io/api/metrics/base_metric/

    The variables together are the metric's state. The states of several workers are added up, so
    keep sums and counts in them, and divide in `result`.

    Args:
        dtype: Keras's name of what the metric is computed in, for configs. Sums are kept in
            float64 whatever it is. Default "float32".
        name: as shown in logs. By default the class's name in snake case, with _1, _2 … where
            there is one already.

    Example::

        class Largest(Metric):
            def __init__(self, name="share_of_large", **kwargs):
                super().__init__(name=name, **kwargs)
                self.large = self.add_variable((), "zeros", name="large")
                self.rows = self.add_variable((), "zeros", name="rows")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.large.assign_add((y_pred > 1).sum())
                self.rows.assign_add(y_pred.shape[0])

            def result(self):
                return self.large / self.rows
    """

    #: Whether more is better ("up") or less ("down"), where that is known; callbacks ask for it.
    _direction: str | None = None
    #: The name that this metric was made from by `get`, if it was.
    identifier: str | None = None
    #: The dtype that configs have where none was given.
    default_dtype: ClassVar[str] = "float32"

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(snake_case(type(self).__name__))
        self.dtype = dtype_name(dtype or self.default_dtype, type(self).__name__)
        self._variables: list[State] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "reset_states" in vars(cls) and "reset_state" not in vars(cls):
            cls.reset_state = vars(cls)["reset_states"]  # type: ignore[method-assign]

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> State:
        """Adds a variable to the state.

        Args:
            shape: () for a number.
            initializer: its first value, a name or an initializer; `reset_state` sets it to 0.
            dtype: any; it is kept in float64.
            aggregation: "sum", which is what workers do with it.
            name: shown in its `path`.

        Returns:
            A tensor with `assign`, `assign_add`, `assign_sub`, `numpy`.

        Raises:
            ValueError: another aggregation.
            RuntimeError: `super().__init__()` was forgotten.
        """
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ must call super().__init__() before it adds "
                "variables."
            )
        if aggregation not in ("sum", None):
            raise ValueError(
                f"{type(self).__name__}.add_variable: `aggregation` must be 'sum', because the "
                "variables of several workers are added up: keep a sum and a count, and divide in "
                f"result(). Received: aggregation={aggregation!r}"
            )
        first = initializers.get(initializer or "zeros")
        assert first is not None
        variable = State(first(tuple(shape)).to(torch.float64))
        variable.path = f"{self.name}/{name or 'variable'}"
        self._variables.append(variable)
        return variable

    @name_first(OF_METRICS)
    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> State:
        """Keras 2's name of `add_variable`; its order of arguments, `name` first, works with a
        warning. Keras's `aggregation` and `synchronization` change nothing."""
        if odd := kwargs.keys() - {"aggregation", "synchronization"}:
            known = ("shape", "initializer", "dtype", "name")
            raise unknown_arguments(f"{type(self).__name__}.add_weight", odd, known)
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[State]:
        """The variables, then those of metrics that are attributes of this one."""
        nested = [one for one in trees.leaves(list(vars(self).values())) if isinstance(one, Metric)]
        return [*self._variables, *(v for metric in nested for v in metric.variables)]

    @property
    def state(self) -> Tensor:
        """float64, 1-D, on the CPU: all variables, one after the other. States may be added."""
        parts = [variable.detach().reshape(-1).cpu().double() for variable in self.variables]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def load(self, state: Any) -> None:
        """Takes a state, or the sum of several, in place of its own.

        Raises:
            ValueError: it isn't as long as this metric's.
        """
        state = torch.as_tensor(state, dtype=torch.float64)
        if state.ndim == 1:
            self._fit(state.numel())
        variables = self.variables
        sizes = [variable.numel() for variable in variables]
        if state.shape != (sum(sizes),):
            raise ValueError(
                f"The metric {self.name!r} keeps {sum(sizes)} sums. "
                f"Received: a state of shape {tuple(state.shape)}"
            )
        for variable, part in zip(variables, state.split(sizes), strict=True):
            variable.assign(part.reshape(variable.shape))

    def merge(self, states: Iterable[Any]) -> None:
        """Takes the sum of several workers' states in place of its own.

        A worker that had no rows may not know yet how many sums there are: its shorter state, of
        zeros, counts as zeros.

        Raises:
            ValueError: they don't fit together, or don't fit this metric.
        """
        several = [torch.as_tensor(state, dtype=torch.float64) for state in states]
        if not several:
            self.reset_state()
            return
        size = max(state.numel() for state in several)
        if any(state.numel() < size and bool(state.any()) for state in several):
            raise ValueError(
                f"The states of the metric {self.name!r} must have one length. "
                f"Received: lengths {sorted({state.numel() for state in several})}"
            )
        self.load(torch.stack([s for s in several if s.numel() == size]).sum(0))

    def _fit(self, size: int) -> None:
        """Makes the variables of a state of that many sums, where the data decides on them."""

    def to(self, device: Any) -> Metric:
        """Moves the variables to a device. Returns the metric itself."""
        for variable in self.variables:
            if variable.device != torch.device(device):
                variable.data = variable.data.to(device)
        return self

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Counts a batch in: targets, predictions, and weights for the samples or None."""
        raise TypeError(
            f"{type(self).__name__} must define update_state(self, y_true, y_pred, sample_weight)."
        )

    def result(self) -> Result:
        """Returns the metric over all batches since `reset_state`."""
        raise TypeError(f"{type(self).__name__} must define result(self).")

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """Counts a batch in, and returns the result over all batches so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def reset_state(self) -> None:
        """Forgets all batches so far."""
        for variable in self.variables:
            variable.assign(0.0)

    def reset_states(self) -> None:
        """Keras 2's name of `reset_state`."""
        warnings.warn(
            "Metric.reset_states() is the old name of `reset_state()`.",
            DeprecationWarning,
            stacklevel=2,
        )
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Makes the metric again that gave the config."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def dtype_name(dtype: Any, owner: str) -> str:
    """Returns Keras's name of a dtype: "float32"; whole numbers' too."""
    name = str(getattr(dtype, "compute_dtype", dtype)).removeprefix("torch.")
    if name in ("int", "int8", "int16", "int32", "int64", "uint8"):
        return "int32" if name == "int" else name
    return str(float_dtype(name, owner)).removeprefix("torch.")


def plain(result: Tensor) -> Any:
    """Returns a number for a scalar, a float64 array for a tensor."""
    return result.item() if result.ndim == 0 else result.detach().cpu().numpy().astype(np.float64)


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """Returns a / b, and 0 where b is 0."""
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))
