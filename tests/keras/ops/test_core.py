"""Conversion and control flow against Keras 3's."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import ops

VALUES = [
    3, -(2**40), 2.5, True, 1j, [1, 2], [1, 2.5], [[True], [False]], (1.0, 2.0), [],
    np.float64(2), np.arange(3), np.ones(2), np.ones(2, "float16"), np.array([1, 2], "uint8"),
    [np.ones(2), np.zeros(2)], [np.float32(1), 2],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_tensors_of_values(same, value):
    same("convert_to_tensor", value)
    same("convert_to_tensor", value, dtype="complex64")


def test_tensors_of_tensors():
    x = torch.ones(2)
    assert ops.convert_to_tensor(x) is x
    assert ops.convert_to_tensor([x, 2 * x]).tolist() == [[1, 1], [2, 2]]
    assert ops.convert_to_tensor([[x[0], 2.0], [3, x[1]]]).tolist() == [[1, 2], [3, 1]]
    reverse = np.arange(3)[::-1]
    assert ops.convert_to_tensor(reverse).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ("abc", TypeError, "'abc'"),
        (["a"], TypeError, "use numbers"),
        ([[1], [2, 3]], ValueError, "different lengths"),
        (None, TypeError, "NoneType"),
    ],
)
def test_what_makes_no_tensor(value, error, says):
    with pytest.raises(error, match=says):
        ops.convert_to_tensor(value)


def test_only_dense_tensors():
    with pytest.raises(ValueError, match="sparse=True"):
        ops.convert_to_tensor([1], sparse=True)


def test_arrays_of_tensors():
    x = torch.ones(2, requires_grad=True)
    assert ops.convert_to_numpy(x).tolist() == [1, 1]
    assert ops.convert_to_numpy([x, x]).shape == (2, 2)
    assert ops.convert_to_numpy(x.bfloat16()).dtype == np.float32
    assert ops.convert_to_numpy(3) == 3


def test_questions():
    x = np.ones((2, 3), "float16")
    assert ops.shape(x) == (2, 3) and ops.ndim(x) == 2 and ops.size(x) == 6
    assert ops.dtype(x) == "float16" and ops.dtype(1) == "int32" and ops.shape(2.0) == ()
    assert ops.is_tensor(torch.ones(1)) and not ops.is_tensor(x)


@pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "uint8", "float64", "complex64"])
def test_casts(same, dtype):
    x = torch.tensor([-1.5, 0.0, 300.7])
    same("cast", x.abs() if dtype == "uint8" else x, dtype, differentiate=False)
    if dtype != "complex64":
        same("saturate_cast", x, dtype, differentiate=False)
    with pytest.raises(ValueError, match="Did you mean 'float32'"):
        ops.cast(x, "flaot32")


def test_other_views(same):
    same("view", torch.randn(2, 4), "int32", differentiate=False)
    x = torch.ones(2, requires_grad=True)
    assert not ops.stop_gradient(x * 2).requires_grad


@pytest.mark.parametrize(
    "call",
    [
        lambda k: k.cond(k.sum([1, 2]) > 2, lambda: 1, lambda: 2),
        lambda k: k.switch(1, [lambda x: x, lambda x: 2 * x], torch.ones(2)),
        lambda k: k.switch(9, [lambda x: x, lambda x: 2 * x], torch.ones(2)),
        lambda k: k.while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, x * 2), (0, 1.0)),
        lambda k: k.while_loop(lambda i: i < 9, lambda i: i + 1, 0, maximum_iterations=3),
        lambda k: k.fori_loop(1, 5, lambda i, x: x + i, torch.zeros(2)),
        lambda k: k.scan(lambda c, x: (c + x, c * x), torch.zeros(2), torch.randn(4, 2)),
        lambda k: k.scan(lambda c, x: (c + x, c), 0.0, torch.ones(4), reverse=True),
        lambda k: k.scan(lambda c, x: (c * 2, c), 1.0, length=3),
        lambda k: k.map(lambda x: x * 2, torch.randn(3, 2)),
        lambda k: k.map(lambda x: x[0] + x[1], (torch.ones(3), torch.ones(3))),
        lambda k: k.associative_scan(lambda a, b: a + b, torch.arange(7.0)),
        lambda k: k.associative_scan(lambda a, b: a * b, torch.arange(1.0, 6.0), reverse=True),
        lambda k: k.associative_scan(torch.maximum, torch.tensor([[1.0, 3, 2, 5]]), axis=1),
        lambda k: k.vectorized_map(lambda x: k.sum(x * x), torch.ones(3, 2)),
        lambda k: k.vectorize(lambda x, y: x + y)(torch.ones(3, 1), torch.ones(2)),
        lambda k: k.jvp(lambda x: x * x, (torch.tensor(3.0),), (torch.tensor(1.0),)),
    ],
)
def test_control_flow(call):
    torch.manual_seed(1)
    ours = call(ops)
    torch.manual_seed(1)
    theirs = call(keras.ops)
    torch.testing.assert_close(ours, theirs)


def test_scans_over_trees():
    xs = {"a": torch.arange(3.0), "b": torch.ones(3)}
    carry, ys = ops.scan(lambda c, x: (c + x["a"], {"sum": x["a"] + x["b"]}), 0.0, xs)
    assert carry == 3 and ys["sum"].tolist() == [1, 2, 3]
    assert ops.scan(lambda c, x: (c + x, None), torch.zeros(2), torch.ones(3, 2))[1].shape == (3, 2)


def test_vectorize_leaves_arguments_out():
    add = ops.vectorize(lambda x, y, factor: x + factor * y, excluded={"factor"})
    assert add([1.0, 2.0], 3.0, factor=2).tolist() == [7, 8]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ops.scan(3, 0.0, [1.0]), TypeError, "f=3"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0), ValueError, "`length`"),
        (lambda: ops.associative_scan(None, [1.0]), TypeError, "f=None"),
        (
            lambda: ops.associative_scan(max, [torch.ones(2), torch.ones(3)]),
            ValueError,
            r"\[2, 3\]",
        ),
        (lambda: ops.vectorize(max, signature="(n)->()"), ValueError, "vectorized_map"),
    ],
)
def test_bad_arguments(call, error, says):
    with pytest.raises(error, match=says):
        call()
