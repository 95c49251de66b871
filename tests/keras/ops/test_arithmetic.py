"""Functions of two tensors against Keras 3's."""

import itertools

import pytest
import torch

FLOATS = [
    "add", "subtract", "multiply", "divide", "true_divide", "divide_no_nan", "floor_divide",
    "mod", "fmod", "maximum", "minimum", "fmax", "fmin", "arctan2", "hypot", "logaddexp",
    "logaddexp2", "equal", "not_equal", "greater", "greater_equal", "less", "less_equal",
    "isclose", "allclose", "logical_and", "logical_or", "logical_xor", "isin", "heaviside",
    "nextafter",
]  # fmt: skip
FLAT = {"floor_divide", "nextafter", "heaviside"}
INTEGERS = [
    "add", "subtract", "multiply", "divide", "floor_divide", "mod", "fmod", "maximum",
    "minimum", "gcd", "lcm", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift",
    "right_shift", "bitwise_left_shift", "bitwise_right_shift", "power", "equal", "less",
    "logical_and", "isin", "ldexp",
]  # fmt: skip
DTYPES = [torch.bool, torch.uint8, torch.int32, torch.int64, torch.bfloat16, torch.float32]
PROMOTED = [
    "add", "multiply", "divide", "maximum", "minimum", "fmax", "arctan2", "logaddexp", "hypot",
    "equal", "less",
]  # fmt: skip


@pytest.mark.parametrize("name", FLOATS)
def test_floats(same, name):
    smooth = name not in FLAT
    same(name, torch.randn(3, 4), torch.randn(4) + 3, differentiate=smooth)
    same(name, torch.randn(3, 1), torch.randn(4), differentiate=smooth)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers(same, name):
    same(name, torch.randint(1, 9, (3, 4)).int(), torch.randint(1, 5, (4,)).int())


@pytest.mark.parametrize("name", PROMOTED)
@pytest.mark.parametrize(
    ("first", "second"), list(itertools.combinations_with_replacement(DTYPES, 2))
)
def test_the_result_s_dtype(same, name, first, second):
    if name == "hypot" and first is second is torch.bool:
        first = torch.uint8  # Keras has no hypot of booleans
    x = torch.tensor([1, 0, 1]).to(first), torch.tensor([1, 1, 0]).to(second)
    # Keras shortens int64 to int32 in these, as JAX does.
    shortened = torch.int64 in (first, second) and name in ("maximum", "minimum", "fmax")
    same(name, *x, dtypes=not shortened, differentiate=False, rtol=1e-2)


@pytest.mark.parametrize("name", [*PROMOTED, "power", "mod", "subtract", "floor_divide"])
@pytest.mark.parametrize("number", [2, 2.5])
@pytest.mark.parametrize("dtype", [torch.int32, torch.float16, torch.float32])
def test_python_s_numbers_give_way(same, name, number, dtype):
    x = torch.tensor([1, 2, 3]).to(dtype)
    # In Keras on torch float16 gives way to the number in these.
    short = dtype is torch.float16 and name in ("arctan2", "logaddexp", "hypot")
    same(name, x, number, dtypes=not short, differentiate=False, rtol=1e-2)
    same(name, number, x, dtypes=not short, differentiate=False, rtol=1e-2)


def test_power(same):
    same("power", torch.rand(3, 4) + 0.1, torch.randn(4))
    same("power", torch.randn(3), 2)


def test_quotients_by_zero(same):
    same("divide_no_nan", torch.randn(3), torch.tensor([0.0, 1.0, 2.0]))
    same("divide", torch.ones(3), torch.tensor([0.0, 1.0, 2.0]))


def test_logic_of_one(same):
    same("logical_not", torch.tensor([0.0, 1.5]))
    same("bitwise_not", torch.tensor([0, 5]))
    same("bitwise_invert", torch.tensor([True, False]))


def test_closeness(same):
    x, y = torch.tensor([1.0, 2.0, float("nan")]), torch.tensor([1.1, 2.0, float("nan")])
    for name in ("isclose", "allclose"):
        same(name, x, y, 0.2, 0.0, True)
        same(name, x, y, equal_nan=True)
    same("isin", torch.tensor([1, 2, 3]), torch.tensor([2]), invert=True)
