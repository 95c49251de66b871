"""Blocks that are joined to one as they come."""

import resource
import sys

import pytest
import torch

from elephas_torch.forms import Block
from elephas_torch.keras.sparse import Sparse
from elephas_torch.pile import Pile


def piled(*blocks):
    pile = Pile()
    for block in blocks:
        pile.add(block)
    return pile


def test_an_empty_pile():
    assert Pile().taken() is None
    assert piled(Block([torch.zeros(0, 3)], [None])).taken() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3), (0,)])
def test_columns_are_joined_in_order(dtype, shape):
    rows = torch.arange(10 * 6).reshape(10, 6)[:, : torch.Size(shape).numel()]
    rows = rows.reshape(10, *shape).to(dtype)
    (found,), *_ = piled(*(Block([part], [None]) for part in rows.split(3))).taken()
    assert torch.equal(found, rows)
    assert found.is_contiguous()


def test_many_rows_are_held_once():
    """The memory grows from pages of 4 KiB to large ones, and copies nothing."""
    rows = torch.rand(24, 2**18)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (found,), *_ = piled(*(Block([row[None]], [None]) for row in rows)).taken()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
    assert torch.equal(found, rows)
    assert sys.platform != "linux" or grown <= 1.2 * rows.nbytes


def test_all_columns_of_a_block():
    x, y, weight = torch.rand(6, 2), torch.arange(6), torch.rand(6)
    blocks = [
        Block([x[cut], y[cut]], [y[cut], None], weight[cut], y[cut] > 2)
        for cut in (slice(0, 4), slice(4, 4), slice(4, 6))
    ]
    pile = piled(*blocks)
    assert (pile.rows, pile.nbytes) == (6, 6 * (8 + 8 + 8 + 4 + 1))
    features, labels, weights, marked = pile.taken()
    assert torch.equal(features[0], x)
    assert torch.equal(features[1], y)
    assert torch.equal(labels[0], y)
    assert labels[1] is None
    assert torch.equal(weights, weight)
    assert torch.equal(marked, y > 2)
    assert (pile.rows, pile.nbytes, pile.taken()) == (0, 0, None)


def test_a_single_block_isn_t_copied():
    x = torch.zeros(4, 2)
    assert piled(Block([x], [None])).taken().features[0] is x


def test_what_is_taken_stays_when_the_pile_goes_on():
    pile = piled(*[Block([torch.ones(2, 2)], [None])] * 3)
    (first,), *_ = pile.taken()
    pile.add(Block([torch.zeros(2, 2)], [None]))
    pile.add(Block([torch.zeros(2, 2)], [None]))
    assert first.tolist() == [[1, 1]] * 6
    assert pile.taken().features[0].tolist() == [[0, 0]] * 4


def test_later_blocks_take_the_first_one_s_dtype():
    blocks = (
        Block([torch.ones(1, 2, dtype=dtype)], [None]) for dtype in (torch.float32, torch.int64)
    )
    assert piled(*blocks).taken().features[0].dtype == torch.float32


@pytest.mark.parametrize("kinds", ["sss", "sds", "dds", "sdd", "dsd"])
def test_sparse_rows_and_dense_ones_between_them(kinds):
    rows = torch.eye(30)
    parts = [
        Sparse.from_dense(part) if kind == "s" else part
        for kind, part in zip(kinds, rows.split(10), strict=True)
    ]
    pile = piled(*(Block([part], [None]) for part in parts))
    (found,), *_ = pile.taken()
    assert isinstance(found, Sparse)
    assert torch.equal(found.dense(), rows)


def test_floats_below_whole_numbers_are_not_cut():
    pile = Pile()
    pile.add(Block([torch.ones(3, 2)], [torch.tensor([1, 2, 3])]))
    pile.add(Block([torch.ones(2, 2)], [torch.tensor([0.5, 1.5])]))
    block = pile.taken()
    assert block.labels[0].tolist() == [1.0, 2.0, 3.0, 0.5, 1.5]
