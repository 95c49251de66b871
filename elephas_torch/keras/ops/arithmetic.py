"""Functions of two tensors, element by element; shapes broadcast as NumPy's.

Follows https://keras.io/api/ops/numpy/
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.dtypes import result_type, tensor, torch_dtype
from elephas_torch.keras.operations import Value, op

__all__ = [
    "add", "allclose", "arctan2", "bitwise_and", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "divide",
    "divide_no_nan", "equal", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater",
    "greater_equal", "heaviside", "hypot", "isclose", "isin", "lcm", "ldexp", "left_shift",
    "less", "less_equal", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nextafter",
    "not_equal", "power", "right_shift", "subtract", "true_divide",
]  # fmt: skip


def common(*xs: Any, floating: bool = False) -> tuple[Tensor, ...]:
    """The tensors in one type; Python's numbers take that of the others.

    Args:
        floating: make integers floats.
    """
    device = next((x.device for x in xs if isinstance(x, Tensor)), None)
    ready = [x if isinstance(x, bool | int | float) else tensor(x, device=device) for x in xs]
    types = [x.dtype if isinstance(x, Tensor) else type(x) for x in ready]
    dtype = torch_dtype(result_type(*types, *([float] if floating else [])))
    return tuple(tensor(x, dtype, device) for x in ready)


def _counted(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Two booleans as integers."""
    if x1.dtype is torch.bool and x2.dtype is torch.bool:
        return x1.to(torch.int32), x2.to(torch.int32)
    return x1, x2


@op
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 + x2."""
    return torch.add(x1, x2)


@op
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 - x2."""
    x1 = x1.to(x2.dtype) if x1.dtype is torch.bool else x1
    return torch.subtract(x1, x2.to(x1.dtype) if x2.dtype is torch.bool else x2)


@op
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * x2."""
    return torch.multiply(x1, x2)


@op
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, a float also for integers."""
    return torch.divide(x1, x2)


true_divide = divide


@op
def divide_no_nan(x1: Value, x2: Value) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    x1, x2 = common(x1, x2, floating=True)
    safe = torch.where(x2 == 0, torch.ones_like(x2), x2)
    return torch.where(x2 == 0, 0.0, x1 / safe).to(x1.dtype)


@op
def floor_divide(x1: Value, x2: Value) -> Tensor:
    """x1 / x2, rounded down."""
    return torch.floor_divide(*common(x1, x2))


@op
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """What is left of x1 / x2, with x2's sign."""
    return torch.remainder(*_counted(x1, x2))


@op
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """What is left of x1 / x2, with x1's sign."""
    return torch.fmod(*_counted(x1, x2))


@op
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 to the power of x2."""
    return torch.pow(x1, x2)


@op
def maximum(x1: Value, x2: Value) -> Tensor:
    """The larger of both; NaN where one is NaN."""
    return torch.maximum(*common(x1, x2))


@op
def minimum(x1: Value, x2: Value) -> Tensor:
    """The smaller of both; NaN where one is NaN."""
    return torch.minimum(*common(x1, x2))


@op
def fmax(x1: Value, x2: Value) -> Tensor:
    """The larger of both; the other one where one is NaN."""
    return torch.fmax(*common(x1, x2))


@op
def fmin(x1: Value, x2: Value) -> Tensor:
    """The smaller of both; the other one where one is NaN."""
    return torch.fmin(*common(x1, x2))


@op
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return torch.gcd(x1, x2)


@op
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return torch.lcm(x1, x2)


@op
def arctan2(x1: Value, x2: Value) -> Tensor:
    """The angle of the point (x2, x1) in radians, -pi to pi."""
    return torch.arctan2(*common(x1, x2, floating=True))


@op
def hypot(x1: Value, x2: Value) -> Tensor:
    """sqrt(x1^2 + x2^2)."""
    return torch.hypot(*common(x1, x2, floating=True))


@op
def logaddexp(x1: Value, x2: Value) -> Tensor:
    """log(exp(x1) + exp(x2)), without overflow."""
    return torch.logaddexp(*common(x1, x2, floating=True))


@op
def logaddexp2(x1: Value, x2: Value) -> Tensor:
    """log2(2^x1 + 2^x2), without overflow."""
    return torch.logaddexp2(*common(x1, x2, floating=True))


@op
def heaviside(x1: Value, x2: Value) -> Tensor:
    """0 where x1 is negative, 1 where it is positive, x2 where it is 0."""
    return torch.heaviside(*common(x1, x2, floating=True))


@op
def nextafter(x1: Value, x2: Value) -> Tensor:
    """The next number of the type after x1 towards x2."""
    return torch.nextafter(*common(x1, x2, floating=True))


@op
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * 2^x2 for whole x2."""
    if x2.dtype.is_floating_point or x2.dtype is torch.bool:
        raise TypeError(f"ldexp: `x2` must be of an integer type. Received: {x2.dtype}")
    return torch.ldexp(x1, x2).to(torch_dtype(result_type(x1.dtype, x2.dtype, float)))


@op
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 == x2."""
    return torch.eq(x1, x2)


@op
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 != x2."""
    return torch.ne(x1, x2)


@op
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 > x2."""
    return torch.gt(x1, x2)


@op
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 >= x2."""
    return torch.ge(x1, x2)


@op
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 < x2."""
    return torch.lt(x1, x2)


@op
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether x1 <= x2."""
    return torch.le(x1, x2)


@op
def isclose(
    x1: Value, x2: Value, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol |x2|."""
    x1, x2 = common(x1, x2)
    if not x1.dtype.is_floating_point:
        return torch.eq(x1, x2)
    return torch.isclose(x1, x2, rtol, atol, equal_nan)


@op
def allclose(
    x1: Value, x2: Value, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all elements are close as `isclose` has it; a boolean of shape ()."""
    return torch.all(isclose(x1, x2, rtol, atol, equal_nan))


@op
def isin(x1: Value, x2: Value, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether elements of x1 are among those of x2."""
    return torch.isin(
        *_counted(*common(x1, x2)),
        assume_unique=assume_unique,
        invert=invert,
    )


@op
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether both are true."""
    return torch.logical_and(x1, x2)


@op
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether one is true, or both."""
    return torch.logical_or(x1, x2)


@op
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether exactly one is true."""
    return torch.logical_xor(x1, x2)


@op
def logical_not(x: Tensor) -> Tensor:
    """Whether it is false."""
    return torch.logical_not(x)


@op
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """The bits that both have."""
    return torch.bitwise_and(x, y)


@op
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """The bits that one has, or both."""
    return torch.bitwise_or(x, y)


@op
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """The bits that exactly one has."""
    return torch.bitwise_xor(x, y)


@op
def bitwise_not(x: Tensor) -> Tensor:
    """The bits that it hasn't."""
    return torch.bitwise_not(x)


bitwise_invert = bitwise_not


@op
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits moved up by y places."""
    return torch.bitwise_left_shift(x, y)


left_shift = bitwise_left_shift


@op
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits moved down by y places."""
    return torch.bitwise_right_shift(x, y)


right_shift = bitwise_right_shift
