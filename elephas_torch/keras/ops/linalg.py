"""Matrices: products, factorizations, equations. Follows https://keras.io/api/ops/linalg/

All but the products work on the last two axes; those before them are batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.dtypes import result_type, torch_dtype
from elephas_torch.keras.operations import op

__all__ = [
    "cdist", "cholesky", "cholesky_inverse", "corrcoef", "cross", "det", "dot", "eig", "eigh",
    "einsum", "inner", "inv", "kron", "logdet", "lstsq", "lu_factor", "matmul", "matrix_rank",
    "norm", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "tensordot",
    "vdot",
]  # fmt: skip


def _pair(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor, torch.dtype]:
    """Both in a type that torch multiplies, and the type of the result."""
    kind = torch_dtype(result_type(x1.dtype, x2.dtype))
    compute = torch.int32 if kind is torch.bool else kind
    if compute is not torch.int32 and not compute.is_floating_point and x1.device.type == "cuda":
        compute = torch.float64
    return x1.to(compute), x2.to(compute), kind


@op
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The product of matrices, as NumPy's `@`; of two int8 ones in int32."""
    a, b, kind = _pair(x1, x2)
    if kind is torch.int8:
        return torch.matmul(a.to(torch.int32), b.to(torch.int32))
    return torch.matmul(a, b).to(kind)


@op
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The product over x1's last and x2's last but one axis (a vector's only one)."""
    a, b, kind = _pair(x1, x2)
    if a.ndim == 0 or b.ndim == 0:
        return torch.multiply(a, b).to(kind)
    return torch.tensordot(a, b, ([-1], [max(b.ndim - 2, 0)])).to(kind)


@op
def tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Tensor:
    """The product over several axes.

    Args:
        axes: so many of x1's last and x2's first axes, or (axes of x1, axes of x2).
    """
    a, b, kind = _pair(x1, x2)
    if not isinstance(axes, int):
        first, second = axes
        axes = tuple([one] if isinstance(one, int) else list(one) for one in (first, second))
    return torch.tensordot(a, b, axes).to(kind)


@op
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    """Sums of products in Einstein's notation: "bij,bjk->bik"."""
    if all(one.dtype is torch.int8 for one in operands):
        return torch.einsum(subscripts, *(one.to(torch.int32) for one in operands))
    kind = torch_dtype(result_type(*(one.dtype for one in operands)))
    return torch.einsum(subscripts, *(one.to(kind) for one in operands))


@op
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The product over the last axes of both."""
    a, b, kind = _pair(x1, x2)
    return torch.inner(a, b).to(kind)


@op
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """Every element of the flattened x1 times every one of x2: a matrix."""
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@op
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The product of two vectors, the first conjugated."""
    a, b, kind = _pair(x1.reshape(-1), x2.reshape(-1))
    return torch.vdot(a, b).to(kind)


@op
def cross(
    x1: Tensor,
    x2: Tensor,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Tensor:
    """The cross product of vectors of three along an axis.

    Args:
        axisa, axisb, axisc: where x1, x2 and the result have the vectors; `axis` sets all three.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b, kind = _pair(x1.movedim(axisa, -1), x2.movedim(axisb, -1))
    return torch.linalg.cross(a, b).movedim(-1, axisc).to(kind)


@op
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """The Kronecker product: x2 for every element of x1, times it."""
    return torch.kron(x1, x2)


@op
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """The distances of all rows of x (..., n, features) from all of y (..., m, features)."""
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), dim=-1)


@op
def corrcoef(x: Tensor) -> Tensor:
    """The correlations of the rows."""
    return torch.corrcoef(x.to(torch_dtype(result_type(x.dtype, float))))


@op
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors (one axis) or matrices (two).

    Args:
        ord: None (default) is the root of the sum of squares; else a number, infinity, "fro" or
            "nuc", as `numpy.linalg.norm` takes them.
        axis: None takes all.
    """
    x = x.to(torch_dtype(result_type(x.dtype, float)))
    return torch.linalg.norm(x, ord, tuple(axis) if isinstance(axis, list) else axis, keepdims)


@op
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular factor of symmetric positive definite matrices."""
    return torch.linalg.cholesky(x, upper=upper)


@op
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrices whose Cholesky factor x is."""
    return torch.cholesky_inverse(x, upper=upper)


@op
def det(x: Tensor) -> Tensor:
    """The determinant."""
    return torch.linalg.det(x)


@op
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative."""
    return torch.logdet(x)


@op
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of the determinant, and the logarithm of its absolute value."""
    return tuple(torch.linalg.slogdet(x))


@op
def inv(x: Tensor) -> Tensor:
    """The inverse."""
    return torch.linalg.inv(x)


@op
def pinv(x: Tensor, rcond: Any = None) -> Tensor:
    """The pseudo-inverse; singular values up to `rcond` times the largest count as 0."""
    return torch.linalg.pinv(x, rtol=rcond)


@op
def matrix_rank(x: Tensor, tol: Any = None) -> Tensor:
    """The number of singular values above `tol`, as int32."""
    return torch.linalg.matrix_rank(x, atol=tol).to(torch.int32)


@op
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues and eigenvectors, complex."""
    return tuple(torch.linalg.eig(x))


@op
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues, rising, and eigenvectors of symmetric matrices."""
    return tuple(torch.linalg.eigh(x))


@op
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """L and U in one matrix, and the rows exchanged at each step, counted from 0."""
    factors, pivots = torch.linalg.lu_factor(x)
    return factors, pivots - 1


@op
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """The orthogonal and the triangular factor; mode "reduced" (default) or "complete".

    Raises:
        ValueError: another mode.
    """
    if mode not in ("reduced", "complete"):
        raise unknown("mode", mode, ("reduced", "complete"))
    return tuple(torch.linalg.qr(x, mode))


@op
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular values, falling: (U, values, V transposed), or without `compute_uv` alone."""
    if not compute_uv:
        return torch.linalg.svdvals(x)
    return tuple(torch.linalg.svd(x, full_matrices))


@op
def solve(a: Tensor, b: Tensor) -> Tensor:
    """The x of a @ x = b."""
    return torch.linalg.solve(a, b)


@op
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """The x of a @ x = b for triangular a, upper by default; b a vector or a matrix."""
    columns = b.unsqueeze(-1) if b.ndim == a.ndim - 1 else b
    found = torch.linalg.solve_triangular(a, columns, upper=not lower)
    return found.squeeze(-1) if columns is not b else found


@op
def lstsq(a: Tensor, b: Tensor, rcond: Any = None) -> Tensor:
    """The x with the smallest sum of squares of a @ x - b; b a vector or a matrix.

    Args:
        rcond: singular values up to `rcond` times the largest count as 0.
    """
    columns = b.unsqueeze(-1) if b.ndim == 1 else b
    # By the pseudo-inverse: torch's lstsq wants full rank on a GPU.
    found = torch.linalg.pinv(a, rtol=rcond) @ columns
    return found.squeeze(-1) if columns is not b else found
