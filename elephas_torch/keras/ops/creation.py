"""New tensors. Follows https://keras.io/api/ops/numpy/

`dtype` None is `config.floatx()`, or what the arguments ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.dtypes import result_type, tensor, torch_dtype
from elephas_torch.keras.operations import Value, op

__all__ = [
    "arange", "array", "bartlett", "blackman", "copy", "diag", "diagflat", "diagonal", "empty",
    "empty_like", "eye", "full", "full_like", "geomspace", "hamming", "hanning", "identity",
    "kaiser", "linspace", "logspace", "ones", "ones_like", "trace", "tri", "tril", "triu",
    "vander", "zeros", "zeros_like",
]  # fmt: skip


def _shape(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(int(n) for n in value)


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """Zeros."""
    return torch.zeros(_shape(shape), dtype=torch_dtype(dtype))


def ones(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """Ones."""
    return torch.ones(_shape(shape), dtype=torch_dtype(dtype))


def empty(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """Whatever the memory had in it."""
    return torch.empty(_shape(shape), dtype=torch_dtype(dtype))


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere, or one that broadcasts to the shape."""
    value = tensor(fill_value, torch_dtype(dtype))
    return value.expand(_shape(shape)).clone()


@op
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of x's shape, and its dtype by default."""
    return torch.zeros_like(x, dtype=_of(x, dtype))


@op
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of x's shape, and its dtype by default."""
    return torch.ones_like(x, dtype=_of(x, dtype))


@op
def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Whatever the memory had in it, of x's shape and by default its dtype."""
    return torch.empty_like(x, dtype=_of(x, dtype))


@op
def full_like(x: Tensor, fill_value: Value, dtype: Any = None) -> Tensor:
    """One value everywhere, of x's shape and by default its dtype."""
    return tensor(fill_value, _of(x, dtype), x.device).expand(x.shape).clone()


def _of(x: Tensor, dtype: Any) -> torch.dtype:
    return x.dtype if dtype is None else torch_dtype(dtype)


@op
def array(x: Tensor, dtype: Any = None) -> Tensor:
    """A tensor of numbers, lists or arrays."""
    return x.to(_of(x, dtype))


@op
def copy(x: Tensor) -> Tensor:
    """A copy."""
    return x.clone()


def _type_of(*values: Any, floating: bool = False) -> torch.dtype:
    kinds = [getattr(value, "dtype", type(value)) for value in values if value is not None]
    return torch_dtype(result_type(*kinds, *([float] if floating else [])))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """The numbers from `start` (0 if only one is given) to before `stop`, in steps."""
    kind = _type_of(start, stop, step) if dtype is None else torch_dtype(dtype)
    if stop is None:
        start, stop = 0, start
    return torch.arange(start, stop, 1 if step is None else step, dtype=kind)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers at equal distances from `start` to `stop`.

    Args:
        start, stop: numbers, or tensors of one shape.
        endpoint: whether `stop` is the last of them. Default True.
        retstep: give the distance too.
        axis: where the numbers lie if `start` and `stop` are tensors. Default 0.
    """
    kind = _type_of(start, stop, floating=True) if dtype is None else torch_dtype(dtype)
    wide = torch.promote_types(kind, torch.float64)  # the last is `stop` to the last bit
    first, last = torch.broadcast_tensors(tensor(start, wide), tensor(stop, wide))
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else torch.full_like(first, torch.nan)
    places = torch.arange(num, dtype=wide).reshape(-1, *[1] * first.ndim)
    found = (first + places * torch.nan_to_num(step)).movedim(0, axis).to(kind)
    return (found, step.to(kind)) if retstep else found


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """`base` to the power of `linspace`'s numbers."""
    kind = _type_of(start, stop, floating=True) if dtype is None else torch_dtype(dtype)
    return (base ** linspace(start, stop, num, endpoint, False, "float64", axis)).to(kind)


def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before."""
    kind = _type_of(start, stop, floating=True) if dtype is None else torch_dtype(dtype)
    first, last = tensor(start, "float64"), tensor(stop, "float64")
    powers = linspace(first.abs().log(), last.abs().log(), num, endpoint, False, None, axis)
    return (torch.exp(powers) * torch.sign(first)).to(kind)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """N rows and M columns (N by default), ones on the diagonal k places right of the main."""
    columns = torch.arange(N if M is None else M)
    return (columns - k == torch.arange(N).unsqueeze(1)).to(torch_dtype(dtype))


def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on and below the diagonal k places right of the main, zeros above it."""
    columns = torch.arange(N if M is None else M)
    return (columns - k <= torch.arange(N).unsqueeze(1)).to(torch_dtype(dtype))


@op
def tril(x: Tensor, k: int = 0) -> Tensor:
    """Matrices with zeros above the diagonal k places right of the main."""
    return torch.tril(x, k)


@op
def triu(x: Tensor, k: int = 0) -> Tensor:
    """Matrices with zeros below the diagonal k places right of the main."""
    return torch.triu(x, k)


@op
def diag(x: Tensor, k: int = 0) -> Tensor:
    """A matrix's diagonal, or the matrix that has a vector as its diagonal."""
    return torch.diag(x, k)


@op
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """The matrix that has the flattened tensor as its diagonal."""
    return torch.diagflat(x, k)


@op
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonals of two axes, as a last axis."""
    return torch.diagonal(x, offset, axis1, axis2)


@op
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes."""
    short = x.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16)
    kind = torch.int32 if short else x.dtype
    return torch.diagonal(x, offset, axis1, axis2).sum(-1, dtype=kind)


@op
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """A row of powers for each element of a vector, the highest first by default."""
    powers = torch.arange(len(x) if N is None else N, device=x.device)
    return x.unsqueeze(-1) ** (powers if increasing else powers.flip(0))


def bartlett(x: int) -> Tensor:
    """The Bartlett window of x values."""
    return torch.signal.windows.bartlett(int(x))


def blackman(x: int) -> Tensor:
    """The Blackman window of x values."""
    return torch.signal.windows.blackman(int(x))


def hamming(x: int) -> Tensor:
    """The Hamming window of x values."""
    return torch.signal.windows.hamming(int(x))


def hanning(x: int) -> Tensor:
    """The Hann window of x values."""
    return torch.signal.windows.hann(int(x))


def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of x values."""
    return torch.signal.windows.kaiser(int(x), beta=float(beta))
