"""Reductions against Keras 3's, over shapes and axes."""

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import ops

FLOATS = [
    "sum", "prod", "mean", "var", "std", "amax", "amin", "max", "min", "ptp", "all", "any",
    "logsumexp", "median",
]  # fmt: skip
WITHOUT_NAN = ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian"]
ALONG = [
    "argmax", "argmin", "cumsum", "cumprod", "nanargmax", "nanargmin", "nancumsum", "nancumprod",
]  # fmt: skip
INTEGERS = [
    "sum", "prod", "mean", "var", "std", "amax", "max", "min", "ptp", "all", "any", "argmax",
    "cumsum", "cumprod", "median",
]  # fmt: skip
AXES = [None, 0, -1, (0, 2), [1, 2]]


@pytest.mark.parametrize("name", [*FLOATS, *WITHOUT_NAN])
@pytest.mark.parametrize("axis", AXES)
def test_values_and_gradients(same, name, axis):
    x = torch.randn(3, 4, 2)
    same(name, x, axis=axis)
    if axis is not None:  # without an axis, Keras on torch forgets some of these
        same(name, x, axis=axis, keepdims=True)


@pytest.mark.parametrize("name", [*FLOATS, *WITHOUT_NAN])
def test_keepdims_of_all_axes(name):
    x = torch.randn(3, 4)
    assert getattr(ops, name)(x, keepdims=True).shape == (1, 1)


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_along_one_axis(same, name, axis):
    same(name, torch.randn(3, 4), axis=axis)
    if name.removeprefix("nan").startswith("arg"):
        same(name, torch.randn(3, 4), axis, True)


@pytest.mark.parametrize("name", [*WITHOUT_NAN, *ALONG[4:]])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nan_is_left_out(same, name, axis):
    x = torch.randn(3, 4)
    x[0, 1] = x[2, :] = float("nan")
    same(name, x, axis=axis, differentiate=False)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int32])
def test_the_result_s_dtype(same, name, dtype):
    if name == "ptp" and dtype is torch.bool:
        dtype = torch.int16  # there is no difference of booleans
    same(name, torch.tensor([[1, 0, 1], [1, 1, 0]]).to(dtype), axis=1, differentiate=False)


@settings(max_examples=15, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "prod", "logsumexp", "all"])
def test_any_shape_and_axes(name, data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    signs = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    keep = data.draw(st.booleans())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))
    ours, theirs = (
        getattr(module, name)(x, axis=tuple(signs), keepdims=keep) for module in (ops, keras.ops)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "var", "all", "count_nonzero"])
def test_no_axis_at_all(same, name):
    same(name, torch.randn(3, 4), axis=(), differentiate=False)


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_with_a_start(same, name):
    same(name, torch.randn(3, 4), 1, initial=0.0)
    assert getattr(ops, name)(torch.zeros(0, 3), 0, initial=2.0).tolist() == [2.0] * 3
    with pytest.raises((RuntimeError, IndexError)):
        getattr(ops, name)(torch.zeros(0, 3), 0)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_quantiles(same, method, axis):
    x = torch.randn(3, 4, 2)
    for name, q in (("quantile", 0.3), ("nanquantile", 0.7), ("percentile", 20.0)):
        same(name, x, q, axis, method)
        same(name, x, [q, q / 2], axis, method, True)
    same("nanpercentile", x, 50, axis, method)


def test_averages(same):
    x = torch.randn(3, 4)
    same("average", x)
    same("average", x, 1, torch.rand(4))
    weights = torch.rand(3, 4)
    torch.testing.assert_close(ops.average(x, 0, weights), (x * weights).sum(0) / weights.sum(0))
    torch.testing.assert_close(ops.average(x, 0, torch.ones(3)), x.mean(0))
    with pytest.raises(ValueError, match=r"weights of shape \(5,\)"):
        ops.average(x, 0, torch.ones(5))


@pytest.mark.parametrize("axis", [0, (0, 1), [0, 2]])
def test_moments(same, axis):
    same("moments", torch.randn(3, 4, 2), axis)
    same("moments", torch.randn(3, 4, 2), axis, keepdims=True)
    with pytest.raises(ValueError, match="synchronized=True"):
        ops.moments(torch.ones(2), 0, synchronized=True)


def test_counts_and_integrals(same):
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]])
    same("count_nonzero", x)
    assert ops.count_nonzero(x, 1).tolist() == [1, 0, 2]
    same("trapezoid", x)
    same("trapezoid", x, torch.tensor([0.0, 2.0]))
    same("trapezoid", x, dx=0.5, axis=0)
    same("diff", x)
    same("diff", x, 2, 0)


def test_sums_of_a_list_of_tensors(same):
    same("sum", [torch.randn(3), torch.randn(3)], 0)


def test_a_wrong_axis_is_named():
    with pytest.raises(ValueError, match="no axis 2"):
        ops.sum(torch.ones(2, 3), axis=2)
