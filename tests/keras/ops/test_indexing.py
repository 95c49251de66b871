"""Picking, ordering, searching and scattering against Keras 3's."""

import pytest
import torch

from elephas_torch.keras import ops

PLACES = torch.tensor([[0, 2], [-1, 1]])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_taking(same, axis):
    x = torch.randn(3, 4, 3)
    # Without an axis Keras on torch counts negative ones from the end of the first axis.
    same("take", x, PLACES.clamp(min=0 if axis is None else -1), axis)
    same("take", x, 1, axis)
    indices = torch.randint(-3, 3, (3, 4, 3))
    if axis is None:
        x, indices = x.reshape(-1), indices.reshape(-1)
    same("take_along_axis", x, indices, axis)
    assert ops.take(x, -1).item() == x.reshape(-1)[-1].item()


def test_choosing(same):
    x, y = torch.randn(3, 4), torch.randn(4)
    same("where", x > 0, x, y)
    same("where", x > 0, 1, 2.5)
    same("where", x > 0)
    same("nonzero", x > 0)
    same("select", [x > 1, x > 0], [x, y], 0.5)
    same("get_item", x, (slice(None), 1))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_ordering(same, axis):
    x = torch.randn(3, 4)
    same("sort", x, axis)
    same("argsort", x, axis)
    same("argsort", torch.tensor([[1, 0, 1, 0]]), axis)
    order = ops.argpartition(x, 1, axis)
    flat, last = (x.reshape(-1), 0) if axis is None else (x, axis)
    found = flat.gather(last, order.long())
    parts = found.narrow(last, 0, 2), found.narrow(last, 1, flat.shape[last] - 1)
    assert (parts[0].amax(last) <= parts[1].amin(last)).all()


def test_searching(same):
    edges = torch.tensor([0.0, 1.0, 2.5])
    x = torch.tensor([[-1.0, 0.0, 0.5], [1.0, 2.5, 9.0]])
    same("digitize", x, edges)
    same("searchsorted", edges, x, differentiate=False)
    same("searchsorted", edges, x, side="right", differentiate=False)
    same("unravel_index", torch.tensor([5, 7]), (3, 4), dtypes=False)
    with pytest.raises(ValueError, match="must be a vector"):
        ops.searchsorted(x, x)


def test_counting(same):
    x = torch.tensor([1, 2, 2, 5])
    same("bincount", x)
    same("bincount", x, minlength=8)
    same("bincount", x, torch.rand(4), 3, differentiate=False)
    rows = torch.tensor([[1, 1, 3], [0, 2, 3]])
    same("bincount", rows)
    assert ops.bincount([[0, 0], [2, 1]]).tolist() == [[2, 0, 0], [0, 1, 1]]
    values = torch.randn(20)
    same("histogram", values, differentiate=False)
    same("histogram", values, 4, (-1.0, 1.0), differentiate=False)


def test_the_largest(same):
    x = torch.randn(3, 5)
    same("top_k", x, 2, dtypes=False)
    values, indices = ops.top_k(x, 2)
    assert indices.dtype is torch.int32 and torch.equal(x.gather(1, indices.long()), values)
    assert torch.equal(ops.top_k(x, 2).values, values)
    same("in_top_k", torch.tensor([0, 4, 2]), x, 2)


@pytest.mark.parametrize("axis", [None, 0])
def test_different_elements(same, axis):
    x = torch.tensor([[3, 1], [3, 1], [2, 1]])
    same("unique", x, axis=axis)
    for size in (None, 1, 7):
        same("unique", x, return_inverse=True, return_counts=True, axis=axis, size=size)
    values, first = ops.unique(torch.tensor([3, 1, 3, 2]), return_index=True)
    assert values.tolist() == [1, 2, 3] and first.tolist() == [1, 3, 0]
    assert ops.unique([1, 1], size=3, fill_value=9).tolist() == [1, 9, 9]


def test_scattering(same):
    same("scatter", torch.tensor([[0], [2], [0]]), torch.randn(3, 2), (4, 2))
    same("scatter", torch.tensor([[0, 1], [2, 0]]), torch.randn(2), (3, 2))
    places, x = torch.tensor([[0], [2]]), torch.randn(3, 2)
    for reduction in (None, "add", "max", "min", "mul"):
        smooth = reduction in (None, "add")  # Keras's others change in place what autograd needs
        same("scatter_update", x, places, torch.randn(2, 2), reduction, differentiate=smooth)
        cells = torch.tensor([[0, 1], [-1, 0]])
        same("scatter_update", x, cells, torch.randn(2), reduction, differentiate=smooth)
    same("scatter_update", x, torch.tensor([[1], [1]]), torch.randn(2, 2), reduction="add")
    with pytest.raises(ValueError, match="Unknown reduction: 'sum'"):
        ops.scatter_update(x, places, x[:2], "sum")


def test_slices(same):
    x = torch.randn(3, 4)
    same("slice", x, (1, 0), (2, 3))
    same("slice", x, torch.tensor([1, 0]), torch.tensor([2, 3]))
    same("slice_update", x, (1, 1), torch.randn(2, 3))
    same("slice_update", x, torch.tensor([1, 1]), torch.randn(2, 3))


@pytest.mark.parametrize("name", ["segment_sum", "segment_max", "segment_min", "segment_prod"])
def test_segments(same, name):
    ids = torch.tensor([0, 0, 2, 1, -1])
    for x in (torch.randn(5), torch.randn(5, 3)):
        same(name, x, ids)
        same(name, x, ids, num_segments=3)
        same(name, x, ids, 2)
    same(name, torch.arange(5), ids)


def test_segments_without_rows():
    assert ops.segment_max(torch.tensor([1, 2]), torch.tensor([0, 2])).tolist()[1] < -(2**31)
    assert ops.segment_sum([1.0, 2.0], [1, 1], 3).tolist() == [0.0, 3.0, 0.0]
