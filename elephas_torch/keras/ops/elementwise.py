"""Functions of single elements. Follows https://keras.io/api/ops/numpy/

Each takes a tensor of any shape and returns one of that shape; what has no integer result gives
floats for integers (`config.floatx`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import config
from elephas_torch.keras.dtypes import is_integer, tensor, torch_dtype
from elephas_torch.keras.operations import op

__all__ = [
    "abs",
    "absolute",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "cbrt",
    "ceil",
    "clip",
    "conj",
    "conjugate",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "i0",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan_to_num",
    "negative",
    "rad2deg",
    "real",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]  # fmt: skip


def _countable(x: Tensor) -> Tensor:
    """Booleans as integers, for what torch doesn't do with booleans."""
    return x.to(torch.int32) if x.dtype is torch.bool else x


def _floating(x: Tensor) -> Tensor:
    """Integers and booleans as floats."""
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return x
    return x.to(torch_dtype(config.floatx()))


@op
def absolute(x: Tensor) -> Tensor:
    """The value without its sign."""
    return x if x.dtype is torch.bool else torch.abs(x)


abs = absolute


@op
def fabs(x: Tensor) -> Tensor:
    """The value without its sign, as a float."""
    return torch.abs(_floating(x))


@op
def negative(x: Tensor) -> Tensor:
    """-x."""
    return torch.negative(x)


@op
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


@op
def signbit(x: Tensor) -> Tensor:
    """Whether the sign is negative; -0.0 is."""
    return torch.signbit(x)


@op
def exp(x: Tensor) -> Tensor:
    """e to the power of x."""
    return torch.exp(_floating(x))


@op
def exp2(x: Tensor) -> Tensor:
    """2 to the power of x."""
    return torch.exp2(_floating(x))


@op
def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, exact near 0."""
    return torch.expm1(_floating(x))


@op
def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return torch.log(_floating(x))


@op
def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return torch.log10(_floating(x))


@op
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact near 0."""
    return torch.log1p(_floating(x))


@op
def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return torch.log2(_floating(x))


@op
def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return torch.sqrt(_floating(x))


@op
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return torch.rsqrt(_floating(x))


@op
def square(x: Tensor) -> Tensor:
    """x * x."""
    return torch.square(_countable(x))


@op
def reciprocal(x: Tensor) -> Tensor:
    """1 / x."""
    return torch.reciprocal(_floating(x))


@op
def cbrt(x: Tensor) -> Tensor:
    """The cube root, negative for negative x."""
    x = _floating(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@op
def sin(x: Tensor) -> Tensor:
    """The sine of an angle in radians."""
    return torch.sin(_floating(x))


@op
def cos(x: Tensor) -> Tensor:
    """The cosine of an angle in radians."""
    return torch.cos(_floating(x))


@op
def tan(x: Tensor) -> Tensor:
    """The tangent of an angle in radians."""
    return torch.tan(_floating(x))


@op
def arcsin(x: Tensor) -> Tensor:
    """The angle in radians with that sine, -pi/2 to pi/2."""
    return torch.arcsin(_floating(x))


@op
def arccos(x: Tensor) -> Tensor:
    """The angle in radians with that cosine, 0 to pi."""
    return torch.arccos(_floating(x))


@op
def arctan(x: Tensor) -> Tensor:
    """The angle in radians with that tangent, -pi/2 to pi/2."""
    return torch.arctan(_floating(x))


@op
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return torch.sinh(_floating(x))


@op
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return torch.cosh(_floating(x))


@op
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(_floating(x))


@op
def arcsinh(x: Tensor) -> Tensor:
    """The inverse of `sinh`."""
    return torch.arcsinh(_floating(x))


@op
def arccosh(x: Tensor) -> Tensor:
    """The inverse of `cosh`, for x of 1 and more."""
    return torch.arccosh(_floating(x))


@op
def arctanh(x: Tensor) -> Tensor:
    """The inverse of `tanh`, for x between -1 and 1."""
    return torch.arctanh(_floating(x))


@op
def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    return torch.sinc(_floating(x))


@op
def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, order 0."""
    return torch.i0(_floating(x))


@op
def erf(x: Tensor) -> Tensor:
    """The error function."""
    return torch.erf(_floating(x))


@op
def erfc(x: Tensor) -> Tensor:
    """1 - erf(x), exact for large x."""
    return torch.erfc(_floating(x))


@op
def erfinv(x: Tensor) -> Tensor:
    """The inverse of `erf`."""
    return torch.erfinv(_floating(x))


@op
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians."""
    return torch.deg2rad(_floating(x))


@op
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees."""
    return torch.rad2deg(_floating(x))


@op
def floor(x: Tensor) -> Tensor:
    """The next whole number below, as a float."""
    return torch.floor(_floating(x))


@op
def ceil(x: Tensor) -> Tensor:
    """The next whole number above, as a float."""
    return torch.ceil(_floating(x))


@op
def trunc(x: Tensor) -> Tensor:
    """The whole number towards 0."""
    return x if x.dtype is torch.bool else torch.trunc(x)


@op
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals; halves go to the even one."""
    if is_integer(x.dtype):
        return torch.round(_floating(x), decimals=decimals).to(x.dtype)
    return torch.round(x, decimals=decimals)


@op
def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """x cut to [x_min, x_max]; numbers, or tensors that broadcast against x."""
    low, high = (tensor(bound, device=x.device) for bound in (x_min, x_max))
    return torch.clip(_countable(x), low, high)


@op
def isnan(x: Tensor) -> Tensor:
    """Whether it is not a number."""
    return torch.isnan(x)


@op
def isinf(x: Tensor) -> Tensor:
    """Whether it is infinite."""
    return torch.isinf(x)


@op
def isposinf(x: Tensor) -> Tensor:
    """Whether it is plus infinity."""
    return torch.isposinf(x)


@op
def isneginf(x: Tensor) -> Tensor:
    """Whether it is minus infinity."""
    return torch.isneginf(x)


@op
def isfinite(x: Tensor) -> Tensor:
    """Whether it is neither infinite nor NaN."""
    return torch.isfinite(x)


@op
def isreal(x: Tensor) -> Tensor:
    """Whether it has no imaginary part."""
    return torch.isreal(x)


@op
def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with NaN and the infinities replaced; None is the type's largest and smallest number."""
    return torch.nan_to_num(x, nan, posinf, neginf)


@op
def angle(x: Tensor) -> Tensor:
    """The angle of a complex number, in radians."""
    return torch.angle(x)


@op
def conjugate(x: Tensor) -> Tensor:
    """The complex conjugate."""
    return torch.conj(x).resolve_conj()


conj = conjugate


@op
def real(x: Tensor) -> Tensor:
    """The real part."""
    return torch.real(x)


@op
def imag(x: Tensor) -> Tensor:
    """The imaginary part of complex numbers."""
    return torch.imag(x)
