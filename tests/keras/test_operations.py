"""`op`: what is converted, what is recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from elephas_torch.keras import activations, ops
from elephas_torch.keras.layers import Input
from elephas_torch.keras.operations import Value, op
from elephas_torch.keras.symbolic import KerasTensor


@op
def seen(x: Tensor, y: Tensor | None = None, zs: Sequence[Tensor] = (), n: int = 0, v: Value = 0):
    return x, y, zs, n, v


@op
def together(*xs: Tensor):
    return xs


def test_tensors_are_handed_on_as_they_are():
    x = torch.ones(2)
    assert seen(x)[0] is x and seen(x, x)[1] is x and together(x, x)[1] is x


def test_annotated_arguments_become_tensors():
    x, y, zs, n, v = seen(1.0, [1, 2], zs=[3, np.ones(2)], n=4, v=5)
    assert isinstance(x, Tensor) and isinstance(y, Tensor) and isinstance(zs[1], Tensor)
    assert (n, v) == (4, 5)
    assert seen(1.0)[1] is None
    assert [x.item() for x in together(1, 2.5)] == [1, 2.5]


def test_new_tensors_lie_where_the_others_are():
    x, y, zs, _, _ = seen(1.0, torch.ones(2, device="meta"), [2.0])
    assert x.device == y.device == zs[0].device == torch.device("meta")


def test_the_function_keeps_its_name_and_says_which_arguments_are_tensors():
    assert seen.__name__ == "seen"
    assert seen.tensor_arguments == ("x", "y", "zs", "v")
    assert ops.maximum.tensor_arguments == ("x1", "x2")


RECORDED = [
    (lambda x: ops.mean(x, axis=1), (None, 6)),
    (lambda x: ops.concatenate([x, x * 2], axis=-1), (None, 4, 12)),
    (lambda x: ops.matmul(x, np.ones((6, 2), "float32")), (None, 4, 2)),
    (lambda x: ops.maximum(0.0, x), (None, 4, 6)),
    (lambda x: ops.reshape(x, (-1, 24)), (None, 24)),
    (lambda x: ops.repeat(x, 2, axis=1), (None, 8, 6)),
    (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), "reflect"), (None, 6, 6)),
    (lambda x: ops.split(x, 2, axis=1)[1], (None, 2, 6)),
    (lambda x: ops.top_k(x, 3).values, (None, 4, 3)),
    (lambda x: ops.one_hot(ops.argmax(x, -1), 6), (None, 4, 6)),
    (lambda x: ops.einsum("bij,bkj->bik", x, x), (None, 4, 4)),
    (lambda x: ops.where(x > 0, x, 0.0), (None, 4, 6)),
    (lambda x: ops.conv(x, np.ones((3, 6, 2), "float32"), padding="same"), (None, 4, 2)),
    (lambda x: ops.max_pool(x, 2), (None, 2, 6)),
    (lambda x: ops.image.resize(ops.expand_dims(x, -1), (8, 8)), (None, 8, 8, 1)),
    (lambda x: ops.convert_to_tensor(x, "float16"), (None, 4, 6)),
    (lambda x: activations.gelu(x), (None, 4, 6)),
    (lambda x: activations.exponential(x), (None, 4, 6)),
    (lambda x: activations.linear(x), (None, 4, 6)),
]


@pytest.mark.parametrize(("function", "shape"), RECORDED)
def test_symbolic_tensors_give_symbolic_tensors(function, shape):
    found = function(Input((4, 6)))
    assert isinstance(found, KerasTensor) and found.shape == shape
    real = function(torch.randn(3, 4, 6))
    assert real.shape == (3, *shape[1:])
    assert str(real.dtype) == f"torch.{found.dtype}"


def test_torch_compiles_and_exports_them():
    def function(x):
        y = ops.maximum(activations.gelu(ops.add(x, 1.0)), 0.5)
        return ops.mean(ops.concatenate([y, x], axis=-1), axis=1)

    class Module(torch.nn.Module):
        def forward(self, x):
            return function(x)

    x = torch.randn(3, 4, 5)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), function(x))
    exported = torch.export.export(Module(), (x,)).module()
    torch.testing.assert_close(exported(x), function(x))
