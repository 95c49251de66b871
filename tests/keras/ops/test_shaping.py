"""Shapes against Keras 3's; padding modes against NumPy's."""

import numpy as np
import pytest
import torch

from elephas_torch.keras import ops

X = (2, 3, 4)
CASES = [
    ("reshape", X, (6, 4)),
    ("reshape", X, (-1, 4)),
    ("reshape", X, -1),
    ("ravel", X),
    ("transpose", X),
    ("transpose", X, (0, 2, 1)),
    ("swapaxes", X, 0, -1),
    ("moveaxis", X, 0, -1),
    ("moveaxis", X, (0, 1), (2, 0)),
    ("expand_dims", X, 0),
    ("expand_dims", X, -1),
    ("expand_dims", X, (0, -1)),
    ("squeeze", (1, 3, 1)),
    ("squeeze", (1, 3, 1), 0),
    ("squeeze", (1, 3, 1), (0, -1)),
    ("broadcast_to", (3, 1), (2, 3, 4)),
    ("tile", X, 2),
    ("tile", X, (2, 1, 3)),
    ("tile", X, (2, 1, 1, 1)),
    ("repeat", X, 2),
    ("repeat", X, 2, 1),
    ("repeat", X, 2, -1),
    ("flip", X),
    ("flip", X, 1),
    ("flip", X, (0, 2)),
    ("fliplr", X),
    ("flipud", X),
    ("roll", X, 2),
    ("roll", X, 1, 1),
    ("roll", X, (1, 2), (0, 1)),
    ("rot90", X),
    ("rot90", X, 3, (1, 2)),
    ("split", X, 2),
    ("split", X, [1, 2], 2),
    ("array_split", X, 3, 2),
    ("hsplit", X, 3),
    ("vsplit", X, 2),
    ("dsplit", X, [1]),
    ("pad", X, ((0, 0), (1, 2), (3, 0))),
    ("pad", X, ((1, 1), (0, 0), (0, 0)), "constant", 2.5),
    ("pad", (3, 4), ((2, 1), (1, 2)), "reflect"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_tensor(same, case):
    name, shape, *rest = case
    same(name, torch.randn(shape), *rest)


@pytest.mark.parametrize("name", ["concatenate", "stack", "hstack", "vstack", "dstack"])
def test_several_tensors(same, name):
    same(name, [torch.randn(3, 4), torch.randn(3, 4)])
    same(name, (torch.randn(3), torch.randn(3), [1.0, 2.0, 3.0]))
    if name in ("concatenate", "stack"):
        same(name, [torch.randn(3, 4), torch.randn(3, 4)], axis=-1)


def test_other_joins(same):
    x, y = torch.randn(3, 4), torch.randn(2, 4)
    same("append", x, y)
    same("append", x, y, 0)
    same("unstack", x, axis=1)
    same("meshgrid", torch.randn(3), torch.randn(2))
    same("meshgrid", torch.randn(3), torch.randn(2), indexing="ij")
    same("concatenate", [torch.tensor([1]), torch.tensor([1.5])])
    torch.testing.assert_close(ops.concatenate([x, y], None), torch.cat([x.ravel(), y.ravel()]))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
@pytest.mark.parametrize("width", [1, (1, 2), ((5, 3), (0, 4)), ((0, 0), (7, 9))])
def test_padding_is_numpy_s(mode, width):
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(ops.pad(x, width, mode).numpy(), np.pad(x, width, mode))


def test_repeats_of_each():
    x = torch.arange(3)
    assert ops.repeat(x, [1, 0, 2]).tolist() == ops.repeat(x, [1, 0, 2], -1).tolist() == [0, 2, 2]
    assert ops.repeat(x, torch.tensor([1, 0, 2]), 0).tolist() == [0, 2, 2]
    assert ops.tile(x, torch.tensor(2)).tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.squeeze(x, 0), "axis=0"),
        (lambda x: ops.split(x, 2, 1), "indices_or_sections=2"),
        (lambda x: ops.unstack(x, 5), "num=5"),
        (lambda x: ops.pad(x, 1, "constand"), "mode='constand'"),
        (lambda x: ops.pad(x, 1, "edge", 3), "constant_values=3"),
        (lambda x: ops.pad(x, [(1, 1)] * 3), "each of 2 axes"),
    ],
)
def test_bad_arguments(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.ones(2, 3))
