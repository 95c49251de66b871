"""Weights as Keras's users know them: tensors with `assign`, `assign_add`, `value`, `numpy`.

Both kinds are plain tensors to torch: what is computed from them are plain tensors again, at no
cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["State", "Variable", "variable"]


class _Assignable:
    """Keras's methods of a variable. Follows https://keras.io/api/layers/base_layer/"""

    path: str = "variable"

    @property
    def name(self) -> str:
        """The end of `path`: "kernel" of "dense/kernel"."""
        return self.path.rpartition("/")[2]

    def assign(self, value: Any) -> Any:
        """Sets the elements. Returns the variable itself."""
        with torch.no_grad():
            self.copy_(torch.as_tensor(value, device=self.device))  # type: ignore[attr-defined]
        return self

    def assign_add(self, value: Any) -> Any:
        """Adds to the elements. Returns the variable itself."""
        with torch.no_grad():
            self.add_(torch.as_tensor(value, device=self.device))  # type: ignore[attr-defined]
        return self

    def assign_sub(self, value: Any) -> Any:
        """Subtracts from the elements. Returns the variable itself."""
        with torch.no_grad():
            self.sub_(torch.as_tensor(value, device=self.device))  # type: ignore[attr-defined]
        return self

    @property
    def value(self) -> Any:
        """The tensor: itself."""
        return self

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A copy of the elements."""
        return self.detach().cpu().as_subclass(Tensor).numpy().copy()  # type: ignore[attr-defined]

    @property
    def trainable(self) -> bool:
        """Whether training changes it."""
        return bool(self.requires_grad)  # type: ignore[attr-defined]


class Variable(_Assignable, nn.Parameter):
    """A weight that training changes."""

    #: Of a large one in training: where its gradient is kept, an `elephas_torch.flat.Place`.
    place: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        if id(self) not in memo:
            copied = Variable(self.detach().clone(), self.requires_grad)
            copied.path = self.path
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _variable, (self.detach(), self.requires_grad, self.path)


class State(_Assignable, Tensor):
    """A weight that training doesn't change by gradients, such as a moving mean."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Tensor) -> State:
        return Tensor._make_subclass(cls, data, False)

    def __deepcopy__(self, memo: dict[int, Any]) -> State:
        if id(self) not in memo:
            copied = State(self.detach().clone())
            copied.path = self.path
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _state, (self.detach().as_subclass(Tensor), self.path)


def _variable(data: Tensor, requires_grad: bool, path: str) -> Variable:
    made = Variable(data, requires_grad)
    made.path = path
    return made


def _state(data: Tensor, path: str) -> State:
    made = State(data)
    made.path = path
    return made


def variable(
    initializer: Any,
    shape: Any = None,
    dtype: Any = None,
    trainable: bool = True,
    name: str | None = None,
    **kwargs: Any,
) -> Variable | State:
    """Keras's `Variable`: a weight to set as an attribute of a layer, or to use alone.

    Args:
        initializer: the first elements; or what makes them, with a `shape`.
        shape: needed where `initializer` is a function or a name.
        dtype: float32 by default; whole numbers only with `trainable=False`.
        trainable: whether training changes it. Default True.
        name: for messages.
        **kwargs: Keras's `autocast`, `aggregation` and `synchronization`; they change nothing.

    Raises:
        ValueError: a function without a shape.
        TypeError: an argument that nobody knows.
    """
    from elephas_torch.keras import initializers  # they are larger than this module

    odd = kwargs.keys() - {"autocast", "aggregation", "synchronization", "layout"}
    if odd:
        raise TypeError(f"Variable got an argument that it doesn't know: {sorted(odd)}")
    if callable(initializer) or isinstance(initializer, str):
        if shape is None:
            raise ValueError("Variable: an initializer that is a function or a name needs `shape`.")
        start: Any = initializers.get(initializer)
        initializer = start(tuple(shape), dtype=torch.float32)
    kind = getattr(torch, str(dtype or "float32").removeprefix("torch."))
    values = torch.as_tensor(initializer).detach().clone().to(kind)
    made = Variable(values) if trainable and kind.is_floating_point else State(values)
    made.path = name or made.path
    return made
