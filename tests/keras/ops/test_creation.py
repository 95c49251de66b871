"""New tensors against Keras 3's."""

import pytest
import torch

from elephas_torch.keras import ops

CASES = [
    ("zeros", (2, 3)), ("zeros", 3, "int32"), ("ones", [2, 3]), ("ones", (2,), "bool"),
    ("full", (2, 3), 1.5), ("full", (2, 3), 2, "int32"), ("full", (2, 3), [1.0, 2.0, 3.0]),
    ("arange", 5), ("arange", 2, 8, 3), ("arange", 0.0, 1.0, 0.25), ("arange", 3, None, 2),
    ("arange", 3.0), ("linspace", 0, 1), ("linspace", 0.0, 2.0, 5), ("linspace", 2, -1, 4, False),
    ("linspace", 0.0, 1.0, 5, True, False, "float64"), ("logspace", 0.0, 2.0, 5),
    ("logspace", 0.0, 2.0, 5, False, 2), ("geomspace", 1.0, 8.0, 4), ("eye", 3), ("eye", 3, 4, 1),
    ("eye", 4, 3, -1, "int32"), ("identity", 3), ("tri", 3), ("tri", 3, 4, 1), ("tri", 3, 2, -1),
    ("bartlett", 5), ("blackman", 5), ("hamming", 5), ("hanning", 5), ("kaiser", 5, 2.0),
    ("array", [1, 2]), ("array", [1, 2], "float32"), ("array", 2.5),
]  # fmt: skip
OF_ONE = [
    ("zeros_like",), ("ones_like", "int32"), ("full_like", 2), ("copy",), ("tril",), ("tril", -1),
    ("triu", 1), ("diag",), ("diag", 1), ("diagflat",), ("diagonal",), ("diagonal", 1, 1, 0),
    ("trace",), ("trace", 1),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_dtypes(same, case):
    same(*case)


@pytest.mark.parametrize("case", OF_ONE, ids=str)
def test_of_a_tensor(same, case):
    name, *rest = case
    same(name, torch.randn(3, 3), *rest)


def test_matrices_of_vectors(same):
    same("diag", torch.randn(3), -1)
    same("diagflat", torch.randn(2, 2), 1)
    same("vander", torch.randn(3), differentiate=False)  # Keras's has no gradient
    same("vander", torch.randn(3), 2, True, differentiate=False)
    same("tril", torch.randn(2, 3, 3))


def test_numbers_between_tensors(same):
    start, stop = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 5.0])
    same("linspace", start, stop, 5, differentiate=False)
    found = ops.linspace(start, stop, 5, axis=1)
    assert found.shape == (2, 5) and found[1].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    values, step = ops.linspace(0.0, 1.0, 5, retstep=True)
    assert step == 0.25 and values[-1] == 1


def test_memory_only():
    assert ops.empty((2, 3)).shape == (2, 3)
    assert ops.empty_like(torch.ones(2), "int32").dtype is torch.int32


def test_a_full_tensor_is_one_s_own():
    x = ops.full_like(torch.zeros(2, 2), 1.0)
    x[0, 0] = 5
    assert x.tolist() == [[5, 1], [1, 1]]
