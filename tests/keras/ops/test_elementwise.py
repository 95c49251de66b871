"""Functions of single elements against Keras 3's."""

import numpy as np
import pytest
import torch

from elephas_torch.keras import config, ops

ANYWHERE = [
    "abs", "absolute", "arcsinh", "arctan", "cbrt", "cos", "cosh", "deg2rad", "erf", "erfc",
    "exp", "exp2", "expm1", "fabs", "i0", "isfinite", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "nan_to_num", "negative", "rad2deg", "sign", "signbit", "sin", "sinc", "sinh",
    "square", "tan", "tanh", "angle",
]  # fmt: skip
STEPS = ["ceil", "floor", "round", "trunc"]
POSITIVE = ["log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"]
INSIDE = ["arccos", "arcsin", "arctanh", "erfinv"]
ODD = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.5])


@pytest.mark.parametrize("name", [*ANYWHERE, *STEPS])
def test_functions_of_all_numbers(same, name):
    same(name, torch.randn(3, 4) * 2)


@pytest.mark.parametrize("name", POSITIVE)
def test_functions_of_positive_numbers(same, name):
    same(name, torch.rand(3, 4) + 0.1)


@pytest.mark.parametrize("name", INSIDE)
def test_functions_of_numbers_around_zero(same, name):
    same(name, torch.rand(3, 4) * 1.8 - 0.9)


def test_arccosh(same):
    same("arccosh", torch.rand(5) + 1.1)


@pytest.mark.parametrize("name", [*ANYWHERE, *STEPS, *POSITIVE, *INSIDE])
def test_odd_numbers(same, name):
    same(name, ODD, differentiate=False)


@pytest.mark.parametrize("name", [*ANYWHERE, *STEPS, *POSITIVE, *INSIDE, "clip"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(same, name, dtype):
    extra = (0, 1) if name == "clip" else ()
    # Keras shortens float64 to float32 in these two, as JAX does.
    shortened = dtype is torch.float64 and name in ("ceil", "floor")
    x = torch.tensor([0, 1, 1, 0]).to(dtype)
    same(name, x, *extra, dtypes=not shortened, differentiate=False, rtol=1e-2)


@pytest.mark.parametrize("name", ["abs", "exp", "floor", "log", "sqrt", "square", "trunc", "clip"])
def test_booleans(same, name):
    extra = (0, 1) if name == "clip" else ()
    same(name, torch.tensor([True, False]), *extra, differentiate=False)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("round", (1,)),
        ("round", (-1,)),
        ("clip", (-0.5, 0.5)),
        ("clip", (torch.tensor([-1.0, -0.5, 0.0, 0.1]), 0.7)),
        ("nan_to_num", (1.0, 2.0, 3.0)),
    ],
)
def test_arguments(same, name, args):
    same(name, torch.randn(3, 4) * 3, *args)


@pytest.mark.parametrize("name", ["real", "imag", "conj", "conjugate", "angle"])
def test_complex_numbers(same, name):
    same(name, torch.complex(torch.randn(4), torch.randn(4)), differentiate=False)


@pytest.mark.parametrize("x", [3, 2.5, [1, 2], [[1.0], [2.0]], np.ones(2), np.arange(3), True])
def test_numbers_lists_and_arrays_are_taken(same, x):
    same("square", x)
    same("exp", x)


def test_python_s_floats_follow_floatx():
    with pytest.warns(UserWarning, match="Layers keep float32"):
        config.set_floatx("float64")
    try:
        assert ops.exp(1.0).dtype == ops.exp([1, 2]).dtype == torch.float64
    finally:
        config.set_floatx("float32")
    assert ops.exp(1.0).dtype == torch.float32
