"""Products, factorizations and equations against Keras 3's."""

import keras
import pytest
import torch

from elephas_torch.keras import ops

A, B = (2, 3, 4), (2, 4, 5)
PRODUCTS = [
    ("matmul", (3, 4), (4, 5)), ("matmul", A, B), ("matmul", (4,), (4, 5)),
    ("matmul", (3, 4), (4,)),
    ("matmul", A, (4, 5)), ("dot", (3, 4), (4, 5)), ("dot", (4,), (4,)), ("dot", A, (4,)),
    ("dot", A, (4, 5)), ("dot", (), (3,)), ("inner", (3, 4), (5, 4)), ("outer", (3,), (2, 2)),
    ("vdot", (3,), (3,)), ("kron", (2, 2), (3, 2)), ("cdist", A, (2, 5, 4)),
]  # fmt: skip
SQUARE = ["det", "inv", "eig", "logdet", "slogdet", "lu_factor", "matrix_rank"]


def positive():
    x = torch.randn(2, 4, 4)
    return x @ x.mT + 4 * torch.eye(4)


@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_products(same, case):
    name, first, second = case
    same(name, torch.randn(first), torch.randn(second))


@pytest.mark.parametrize("axes", [0, 1, 2, (1, 0), ([1, 2], [0, 1]), [[2], [1]]])
def test_tensordot(same, axes):
    second = {0: (2,), 1: (4, 5), 2: (3, 4, 2)}.get(axes if isinstance(axes, int) else -1)
    shapes = {"(1, 0)": (3, 2), "([1, 2], [0, 1])": (3, 4, 2), "[[2], [1]]": (5, 4)}
    same("tensordot", torch.randn(2, 3, 4), torch.randn(second or shapes[str(axes)]), axes)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [("bij,bjk->bik", (A, B)), ("ij->ji", ((3, 4),)), ("i,j,k->ijk", ((2,), (3,), (4,))),
     ("...ij,j", (A, (4,)))],
)  # fmt: skip
def test_einsum(same, subscripts, shapes):
    same("einsum", subscripts, *map(torch.randn, shapes))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.bool, torch.float16])
def test_products_of_other_dtypes(same, dtype):
    x, y = (torch.randint(0, 2, (3, 3)).to(dtype) for _ in range(2))
    for name in ("matmul", "dot", "tensordot", "inner", "outer"):
        same(name, x, y, *([1] if name == "tensordot" else []), differentiate=False, rtol=1e-2)
    same("matmul", x, torch.randn(3, 3), differentiate=False, rtol=1e-2)
    if dtype is not torch.bool:
        same("einsum", "ij,jk", x, y, differentiate=False)


def test_cross_products(same):
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    same("cross", x, y, axis=1)
    torch.testing.assert_close(ops.cross(x.T, y.T, 0, 0, 0), ops.cross(x, y).T)


@pytest.mark.parametrize("name", SQUARE)
def test_square_matrices(same, name):
    same(name, positive(), differentiate=name not in ("eig", "matrix_rank"), rtol=1e-4)


def test_symmetric_matrices(same):
    same("cholesky", positive(), rtol=1e-4)
    same("cholesky_inverse", torch.linalg.cholesky(positive()), rtol=1e-4)
    same("eigh", positive(), differentiate=False)
    same("corrcoef", torch.randn(3, 6))


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4)])
def test_factors(same, shape):
    x = torch.randn(shape)
    same("svd", x, differentiate=False)
    same("svd", x, False, differentiate=False)
    same("svd", x, compute_uv=False)
    same("qr", x, differentiate=False)
    same("qr", x, mode="complete", differentiate=False)
    same("pinv", x, rtol=1e-4, atol=1e-5)
    same("matrix_rank", x, differentiate=False)
    with pytest.raises(ValueError, match="Unknown mode: 'raw'"):
        ops.qr(x, "raw")


def test_equations(same):
    a, b = positive(), torch.randn(2, 4, 3)
    same("solve", a, b, rtol=1e-4)
    same("solve_triangular", a, b, rtol=1e-4)
    same("solve_triangular", a.tril(), b, lower=True, rtol=1e-4)
    same("solve_triangular", a[0], b[0, :, 0], rtol=1e-4)
    for right in (torch.randn(6), torch.randn(6, 2)):
        same("lstsq", torch.randn(6, 3), right, rtol=1e-4, atol=1e-5)


def test_equations_without_full_rank():
    a, b = torch.ones(4, 2), torch.tensor([1.0, 2.0, 3.0, 4.0])
    ours, theirs = ops.lstsq(a, b, 1e-5), keras.ops.lstsq(a, b, 1e-5)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", [None, 1, 2, 3, float("inf"), -float("inf")])
def test_norms_of_vectors(same, order):
    x = torch.randn(3, 4)
    same("norm", x, order, axis=1)
    same("norm", x, order, axis=-1, keepdims=True)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, 2, float("inf")])
def test_norms_of_matrices(same, order):
    same("norm", torch.randn(2, 3, 4), order, axis=(1, 2), rtol=1e-4)
    same("norm", torch.randn(3, 4), order, axis=[0, 1], keepdims=True, rtol=1e-4)
    same("norm", torch.randn(3, 4))
