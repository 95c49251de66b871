"""Tensors without values: what the functional API is written with.

A layer called on a `KerasTensor` gives one, and a `Node` remembers the call. `Graph` makes a
computation of the nodes. See https://keras.io/guides/functional_api/
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from elephas_torch.keras import naming, trees

Shape = tuple[int | None, ...]


class History(NamedTuple):
    """Where a tensor comes from: the layer, which of its calls, which of that call's outputs."""

    operation: Any
    node_index: int
    tensor_index: int


class KerasTensor:
    """A tensor that has a shape and a dtype, and no values yet.

    Args:
        shape: batch (None) first; None for lengths that aren't known.
        dtype: its name, such as "float32".
        name: default keras_tensor, keras_tensor_1 …

    Arithmetic, comparisons and indexing work and give such tensors again.
    """

    _keras_history: History

    def __init__(self, shape: Any, dtype: str = "float32", name: str | None = None) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype
        self.name = name or naming.auto_name("keras_tensor")

    @property
    def ndim(self) -> int:
        """The number of axes, the batch's among them."""
        return len(self.shape)

    @property
    def node(self) -> Node:
        """The call that gives this tensor."""
        return self._keras_history.operation._inbound_nodes[self._keras_history.node_index]

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no value yet, so Python's `if`, `and`, `or` and `while` can't look at "
            "it. Put what depends on values into the `call` of a Layer."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(self._without_values())

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        symbolic = next(one for one in trees.leaves([args, kwargs or {}]) if is_symbolic(one))
        raise TypeError(symbolic._without_values())

    def _without_values(self) -> str:
        return (
            f"{self!r} has no values: NumPy's and torch's functions can't take it. Use "
            "elephas_torch.keras.ops, or put them into the `call` of a Layer."
        )

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} can't be iterated over. Index it: x[:, 0].")

    def __len__(self) -> int:
        raise TypeError(f"{self!r} has no length; its shape is in `.shape`.")

    def __getitem__(self, key: Any) -> Any:
        return _operation("get_item", self, key)


def _operation(name: str, *args: Any, **kwargs: Any) -> Any:
    from elephas_torch.keras.layers.operation import Operation  # a layer, above this module

    return Operation(name)(*args, **kwargs)


def _binary(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: Any, other: Any) -> Any:
        return _operation(name, self, other)

    def reflected(self: Any, other: Any) -> Any:
        return _operation(name, other, self)

    return forward, reflected


for _python, _name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
    "floordiv": "floor_divide", "mod": "mod", "pow": "power", "matmul": "matmul",
    "and": "logical_and", "or": "logical_or", "xor": "logical_xor",
}.items():  # fmt: skip
    _forward, _reflected = _binary(_name)
    setattr(KerasTensor, f"__{_python}__", _forward)
    setattr(KerasTensor, f"__r{_python}__", _reflected)
for _python, _name in {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "ne": "not_equal",
}.items():  # fmt: skip
    setattr(KerasTensor, f"__{_python}__", _binary(_name)[0])
for _python, _name in {"neg": "negative", "abs": "absolute", "invert": "logical_not"}.items():

    def _unary(self: Any, _name: str = _name) -> Any:
        return _operation(_name, self)

    setattr(KerasTensor, f"__{_python}__", _unary)


_calls = itertools.count()


class Node:
    """One call of a layer on symbolic tensors.

    Args:
        layer: what was called; its list of calls grows by this one.
        args, kwargs: what it was called with: trees with KerasTensors among the leaves.
        outputs: a tree of KerasTensors, which learn where they come from.

    Attributes:
        parents: the KerasTensors among the arguments.
        number: grows from call to call.
    """

    def __init__(self, layer: Any, args: Any, kwargs: Any, outputs: Any) -> None:
        self.layer, self.args, self.kwargs, self.outputs = layer, args, kwargs, outputs
        self.parents = [one for one in trees.leaves([args, kwargs]) if is_symbolic(one)]
        self.number = next(_calls)
        index = len(layer._inbound_nodes)
        layer._inbound_nodes.append(self)
        for position, tensor in enumerate(trees.leaves(outputs)):
            tensor._keras_history = History(layer, index, position)

    @property
    def is_input(self) -> bool:
        """Whether this is the start of a graph: the tensor of an `Input`."""
        return not self.parents

    @property
    def output_tensors(self) -> list[Any]:
        return trees.leaves(self.outputs)


def is_symbolic(thing: Any) -> bool:
    """Whether it is a KerasTensor."""
    return isinstance(thing, KerasTensor)


def has_symbolic(*things: Any) -> bool:
    """Whether a KerasTensor is among the leaves of trees."""
    return any(map(is_symbolic, trees.leaves(things)))


def record(function: Callable[..., Any], args: Any, kwargs: Any, name: str | None = None) -> Any:
    """Notes the call of a function of `keras.ops` on symbolic tensors; returns symbolic tensors.

    Args:
        name: of the function in `keras.ops`. Default, its own.
    """
    return _operation(name or function.__name__, *args, **kwargs)
