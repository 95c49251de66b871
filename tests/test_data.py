"""Rows to tensors."""

import numpy as np
import pytest
import torch

from elephas_torch import data, forms
from elephas_torch.errors import DataError
from elephas_torch.keras.sparse import Sparse
from elephas_torch.keras.structure import Structure
from elephas_torch.pile import Pile

F, L = torch.float32, torch.int64
SINGLE = forms.Form.single(F, L)


def to_tensors(blocks, form):
    """All blocks as one of tensors, as a worker has them; None where there are no rows."""
    pile = Pile()
    for block in data.checked(blocks, form):
        pile.add(block)
    return pile.taken()


def rows(count, shape=(3,)):
    random = np.random.default_rng(0)
    return [(random.standard_normal(shape), i % 4) for i in range(count)]


@pytest.mark.parametrize("count", [1, data.CHUNK - 1, data.CHUNK, 2 * data.CHUNK + 5])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1)])
def test_pairs_become_contiguous_tensors_in_order(count, shape):
    pairs = rows(count, shape)
    (x,), (y,), *_ = to_tensors(data.blocks_of(iter(pairs)), SINGLE)
    assert (x.dtype, y.dtype) == (F, L)
    assert x.is_contiguous()
    np.testing.assert_array_equal(x.numpy(), np.stack([p[0] for p in pairs]).astype(np.float32))
    np.testing.assert_array_equal(y.numpy(), [p[1] for p in pairs])


def test_lists_and_tensors_are_rows_too():
    pairs = [([1, 2], [0.5]), (torch.ones(2), [1])]
    (x,), (y,), *_ = to_tensors(data.blocks_of(pairs), forms.Form.single(F, F))
    assert x.tolist() == [[1, 2], [1, 1]]
    assert y.tolist() == [[0.5], [1]]


def test_no_rows_are_none():
    assert to_tensors(data.blocks_of([]), SINGLE) is None
    assert list(data.features_of([])) == []


def test_features_of_takes_features_of_pairs():
    plain = list(data.features_of(p[0] for p in rows(5)))
    paired = list(data.features_of(rows(5)))
    np.testing.assert_array_equal(plain[0], paired[0])


def nan_at(row, count=2000):
    pairs = rows(count)
    pairs[row] = (np.array([0, np.nan, 1]), 1)
    return pairs


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (nan_at(1999), "row 1999 has NaN or an infinite value in its features"),
        ([*rows(3), (np.full(3, np.inf), 0)], "row 3 has NaN or an infinite value in its features"),
        ([*rows(2), (np.zeros(3), 1.5)], "row 2 has a label that is no whole number"),
        ([*rows(2), (np.zeros(3), np.nan)], "row 2 has NaN or an infinite value in its label"),
        ([*rows(1500), (np.zeros(4), 1)], r"row 1500 has features of shape \(4,\)"),
        ([*rows(1024), *rows(1024, (4,))], r"row 1024 has features of shape \(4,\)"),
        ([*rows(1), np.zeros(3)], r"row 1 is no \(features, label\) pair, but of type ndarray"),
        ([*rows(1), 7], "row 1 is no .* but of type int: 7"),
        ([*rows(1), ([[1.0], [2.0, 3.0]], 1)], "row 1 has features that make no one array"),
        ([("a", 1)], "`features` must be numbers"),
        ([(None, 1)], "`features` must be numbers"),
    ],
)
def test_bad_rows_are_named(pairs, message):
    with pytest.raises(DataError, match=message):
        to_tensors(data.blocks_of(pairs), SINGLE)


def test_labeled_points_get_a_hint():
    class LabeledPoint:
        pass

    with pytest.raises(DataError, match="SparkMLlibModel"):
        list(data.blocks_of([LabeledPoint()]))


# Several inputs and outputs

A, B = np.arange(6.0).reshape(3, 2), np.arange(3.0)


def two_inputs():
    return forms.Form(
        forms.Part("features", Structure({"a": None, "b": None}), [F, L]),
        forms.Part("label", Structure(None), [F]),
    )


@pytest.mark.parametrize(
    "rows",
    [
        [((a, b), 1.0) for a, b in zip(A, B, strict=True)],
        [([a, b], 1.0) for a, b in zip(A, B, strict=True)],
        [({"b": b, "a": a}, 1.0) for a, b in zip(A, B, strict=True)],
    ],
)
def test_columns_of_rows(rows):
    (a, b), (y,), *_ = to_tensors(data.blocks_of(rows, two_inputs()), two_inputs())
    assert (a.tolist(), b.tolist(), y.tolist()) == (A.tolist(), [0, 1, 2], [1.0] * 3)
    assert b.dtype == L


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((A[0], 1.0), "row 1: `features` needs an entry for each of the model's 2 inputs"),
        (({"a": A[0]}, 1.0), "row 1: `features` has nothing for the model's input 'b'"),
        (({"a": A[0], "c": 1}, 1.0), "row 1: .* 'c'"),
        (((B, 1), 1.0), r"row 1 has features 'a' of shape \(3,\)"),
        (((A[0], 0.5), 1.0), "row 1 has a features 'b' that is no whole number"),
        (((np.full(2, np.inf), 1), 1.0), "row 1 has NaN or an infinite value in its features 'a'"),
    ],
)
def test_bad_columns_are_named(row, message):
    rows = [((A[0], 1), 1.0), row]
    with pytest.raises(DataError, match=message):
        to_tensors(data.blocks_of(rows, two_inputs()), two_inputs())


def test_rows_have_the_form_of_the_first():
    rows = [((A[0], {"c": B}), [1, 2]), ((A[1], {"c": B}), [3, 4])]
    form = forms.Form.like(*rows[0])
    (a, c), (y,), *_ = to_tensors(data.blocks_of(rows), form)
    assert (a.shape, c.shape, y.shape) == ((2, 2), (2, 3), (2, 2))
    assert form.x.structure.pack([a, c])[1]["c"] is c
    with pytest.raises(DataError, match="row 1: `features` must have the form of the first row's"):
        list(data.blocks_of([rows[0], (A[1], [3, 4])]))


def test_features_of_several_inputs_alone_and_in_pairs():
    part = two_inputs().x
    alone = [(a, b) for a, b in zip(A, B, strict=True)]
    for rows in (alone, [(row, 1.0) for row in alone], [(list(row), 1) for row in alone]):
        (block,) = data.features_of(rows, part)
        assert block["a"].tolist() == A.tolist()
        assert block["b"].tolist() == B.tolist()


# Sparse features


def sparse_blocks(*rows):
    for row in rows:
        features = Sparse.from_dense(torch.tensor([[0.0, 0.0], row]))
        yield forms.Block([features], [np.zeros(2)])


@pytest.mark.parametrize("dtype", [F, None])
def test_sparse_features_stay_sparse(dtype):
    form = forms.Form.single(dtype, F)
    (x,), (y,), *_ = to_tensors(sparse_blocks([0.0, 2.5], [1.0, 0.0], [0.0, 0.0]), form)
    assert isinstance(x, Sparse)
    assert x.dense().tolist() == [[0, 0], [0, 2.5], [0, 0], [1, 0], [0, 0], [0, 0]]
    assert (x.dtype, len(y)) == (F, 6)


@pytest.mark.parametrize(
    ("bad", "dtype", "message"),
    [
        ([0.0, float("nan")], F, "row 3 has NaN or an infinite value in its features"),
        ([0.0, 1.5], L, "row 3 has a features that is no whole number"),
        ([0.0, 1.5, 2.0], F, r"row 2 has features of shape \(3,\)"),
    ],
)
def test_bad_sparse_rows_are_named(bad, dtype, message):
    good = Sparse.from_dense(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    second = Sparse.from_dense(torch.tensor([[0.0] * len(bad), bad]))
    parts = [forms.Block([one], [np.zeros(2)]) for one in (good, second)]
    with pytest.raises(DataError, match=message):
        to_tensors(parts, forms.Form.single(dtype, F))
