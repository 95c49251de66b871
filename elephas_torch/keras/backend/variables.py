"""Tensors, variables, and the values in them, as Keras 1 and 2 have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras import dtypes, naming, ops, random, symbolic
from elephas_torch.keras.config import floatx
from elephas_torch.keras.ops import cast, shape
from elephas_torch.keras.optimizers.rate import LearningRate
from elephas_torch.keras.variables import Variable


def is_keras_tensor(x: Any) -> bool:
    """Whether it is a symbolic tensor of the functional API."""
    return symbolic.is_symbolic(x)


def is_sparse(tensor: Any) -> bool:
    """Whether it is a sparse tensor."""
    return isinstance(tensor, Tensor) and tensor.is_sparse


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A tensor that `set_value` and `update` change and that takes part in gradients.

    Args:
        dtype: default `floatx()`.
        constraint: None: constraints belong to layers' weights.

    Raises:
        ValueError: a constraint.
    """
    if constraint is not None:
        raise ValueError(
            "K.variable takes no `constraint`: use Layer.add_weight(constraint=…). "
            f"Received: constraint={constraint!r}"
        )
    made = Variable(dtypes.tensor(value, dtype or floatx()).detach().clone())
    made.path = name or naming.auto_name("variable")
    return made


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of a value, repeated to `shape`."""
    made = dtypes.tensor(value, dtype or floatx())
    return made if shape is None else made.expand(tuple(shape)).clone()


def get_value(x: Any) -> Any:
    """The elements as a NumPy array."""
    return ops.convert_to_numpy(x)


eval = get_value


def batch_get_value(tensors: Sequence[Any]) -> list[Any]:
    """The elements of several tensors as NumPy arrays."""
    return [get_value(x) for x in tensors]


def set_value(x: Any, value: Any) -> None:
    """Sets the elements of a variable, or an optimizer's learning rate."""
    if isinstance(x, LearningRate):
        x.assign(value)
        return
    with torch.no_grad():
        x.copy_(dtypes.tensor(value, x.dtype, x.device))


def batch_set_value(tuples: Sequence[tuple[Any, Any]]) -> None:
    """Sets the elements of several variables: (variable, value) pairs."""
    for x, value in tuples:
        set_value(x, value)


def update(x: Any, new_x: Any) -> Any:
    """Sets the elements of a variable at once; returns it."""
    set_value(x, new_x)
    return x


def update_add(x: Any, increment: Any) -> Any:
    """Adds to the elements of a variable at once; returns it."""
    return update(x, ops.add(x.detach(), increment))


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtracts from the elements of a variable at once; returns it."""
    return update(x, ops.subtract(x.detach(), decrement))


def moving_average_update(x: Any, value: Any, momentum: float) -> Any:
    """Moves a variable towards a value: x * momentum + value * (1 - momentum)."""
    return update(x, x.detach() * momentum + dtypes.tensor(value) * (1 - momentum))


int_shape = shape


def count_params(x: Any) -> int:
    """The number of elements."""
    return int(np.prod([1, *shape(x)]))


def cast_to_floatx(x: Any) -> Any:
    """x as `floatx()`: a tensor stays one, anything else becomes a NumPy array."""
    if isinstance(x, Tensor) or symbolic.is_symbolic(x):
        return cast(x, floatx())
    return np.asarray(x, dtype=floatx())


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of zeros."""
    return variable(ops.zeros(shape, dtype), dtype, name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of ones."""
    return variable(ops.ones(shape, dtype), dtype, name)


def eye(size: int, dtype: Any = None, name: str | None = None) -> Any:
    """A variable: the identity matrix."""
    return variable(ops.eye(size, dtype=dtype), dtype, name)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Tensor:
    """The numbers from `start` (0 if only one is given) to before `stop`."""
    return ops.arange(start, stop, step, dtype)


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers of a normal distribution."""
    return random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers from `minval` to below `maxval`."""
    return random.uniform(shape, minval, maxval, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers of a normal distribution, none further than two deviations from the mean."""
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def random_bernoulli(shape: Any, p: float = 0.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """1 with the probability p, else 0."""
    return (random.uniform(shape, seed=seed) < p).to(dtypes.torch_dtype(dtype))


random_binomial = random_bernoulli


def random_normal_variable(
    shape: Any, mean: float, scale: float, dtype: Any = None, name: Any = None, seed: Any = None
) -> Any:
    """A variable of a normal distribution's numbers."""
    return variable(random.normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Any, low: float, high: float, dtype: Any = None, name: Any = None, seed: Any = None
) -> Any:
    """A variable of numbers from `low` to below `high`."""
    return variable(random.uniform(shape, low, high, dtype, seed), dtype, name)
