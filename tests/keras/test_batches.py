import numpy as np
import pytest
import torch

from elephas_torch.errors import DataError
from elephas_torch.keras import batches
from elephas_torch.keras.batches import Samples


def samples(rows=10, weighted=True):
    x = torch.arange(rows * 2, dtype=torch.float32).view(rows, 2)
    weight = torch.arange(rows, dtype=torch.float32) if weighted else None
    return Samples(x, torch.arange(rows), weight)


def test_rows_are_views_and_take_copies():
    whole = samples()
    part, taken = whole.rows(2, 5), whole.take(torch.tensor([3, 1]))
    assert len(part) == 3 and len(taken) == 2
    assert part.x.data_ptr() == whole.x[2].data_ptr()
    assert taken.y.tolist() == taken.weight.tolist() == [3, 1]
    assert taken.x.tolist() == [[6, 7], [2, 3]]
    bare = Samples(whole.x)
    assert bare.rows(0, 2).y is None and bare.take(torch.tensor([0])).weight is None


@pytest.mark.parametrize(
    "data",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], dtype=np.uint16),
        np.array([[1, 2], [3, 4]], dtype=">i4"),
        np.array([[1, 2], [3, 4]], dtype=np.float16),
        np.array([[1, 2], [3, 4]], dtype=np.longdouble),
        np.array([[1, 3], [2, 4]]).T,
        np.array([[1, 0, 2], [3, 0, 4]])[:, ::2],
        np.array([[4, 3], [2, 1]])[::-1, ::-1],
        torch.tensor([[1, 3], [2, 4]]).t(),
        torch.tensor([[1.0, 2], [3, 4]], requires_grad=True),
        ((1, 2), np.array([3, 4])),
        [np.array([1, 2]), np.array([3, 4])],
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_array_likes_become_tensors(data, dtype):
    tensor = batches.as_tensor(data, dtype, "x")
    assert tensor.tolist() == [[1, 2], [3, 4]]
    assert tensor.dtype == dtype and tensor.is_contiguous() and not tensor.requires_grad


def test_what_fits_is_not_copied():
    array = np.ones((3, 2), dtype=np.float32)
    tensor = batches.as_tensor(array, torch.float32, "x")
    array[0, 0] = 5
    assert tensor[0, 0] == 5
    assert batches.as_tensor(tensor, torch.float32, "x").data_ptr() == tensor.data_ptr()
    array.flags.writeable = False
    assert batches.as_tensor(array, torch.float32, "x").data_ptr() != tensor.data_ptr()


def test_booleans_are_numbers():
    assert batches.as_tensor([True, False], torch.float32, "y").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("shape", "wanted", "result"),
    [
        ((5, 3), (None, 3), (5, 3)),
        ((5, 3), None, (5, 3)),
        ((5,), (None, 1), (5, 1)),
        ((5, 3), (None, 3, 1), (5, 3, 1)),
        ((5, 3, 1), (None, 3), (5, 3)),
        ((5, 7), (None, None), (5, 7)),
        ((5, 7, 3), (None, None, 3), (5, 7, 3)),
    ],
)
def test_shapes_that_fit(shape, wanted, result):
    assert batches.fit_shape(torch.zeros(shape), wanted, "`x`").shape == result


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((5, 3), (None, 4)), ((5,), (None, 4)), ((5, 3, 2), (None, 3)), ((5, 7, 3), (None, None, 4))],
)
def test_shapes_that_do_not(shape, wanted):
    with pytest.raises(DataError, match=r"takes features of shape .* a row; the RDD has rows"):
        batches.fit_shape(torch.zeros(shape), wanted, "the RDD")


@pytest.mark.parametrize(
    ("rows", "share", "kept"),
    [
        (10, 0.2, 8),
        (10, 0.25, 7),
        (10, 0.1, 9),
        (10, 0.0, 10),
        (3, 0.5, 1),
        (1, 0.5, 1),
        (2, 0.9, 2),
    ],
)
def test_the_last_rows_are_for_validation(rows, share, kept):
    training, validation = batches.split(samples(rows), share)
    assert training.y.tolist() == list(range(kept))
    assert (validation.y.tolist() if validation else []) == list(range(kept, rows))
    assert training.weight.tolist() == list(range(kept))


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (torch.tensor([0, 1, 2, 1]), [1, 5, 0.5, 5]),
        (torch.tensor([[0], [1], [2], [1]]), [1, 5, 0.5, 5]),
        (torch.tensor([0.0, 1.0, 1.9999, 1.0]), [1, 5, 0.5, 5]),
        (torch.eye(3)[[0, 1, 2, 1]], [1, 5, 0.5, 5]),
        (torch.tensor([0, 1, 2, 10**9]), [1, 5, 0.5, 1]),
    ],
)
def test_weights_of_classes(y, expected):
    assert batches.class_weights(y, {1: 5, np.int64(2): 0.5, 7: 3}).tolist() == expected


def test_weights_of_negative_classes_and_of_none():
    assert batches.class_weights(torch.tensor([-1, 1]), {-1: 4.0}).tolist() == [4, 1]
    assert batches.class_weights(torch.tensor([0, 1]), None) is None
    assert batches.class_weights(torch.empty(0, dtype=torch.int64), {0: 2.0}).shape == (0,)


def test_weighing_multiplies():
    both = batches.weigh_classes(samples(4), {2: 10.0})
    assert both.weight.tolist() == [0, 1, 20, 3]
    alone = batches.weigh_classes(samples(4, weighted=False), {2: 10.0})
    assert alone.weight.tolist() == [1, 1, 10, 1]
    whole = samples(4)
    assert batches.weigh_classes(whole, None) is whole


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_have_each_row_once(size, shuffle):
    whole = samples()
    rows = batches.order(10, True, 1, 2, 3) if shuffle else None
    parts = list(batches.batches(whole, size, rows))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    seen = torch.cat([part.y for part in parts]).tolist()
    assert seen == (rows.tolist() if shuffle else list(range(10)))
    for part in parts:
        assert torch.equal(part.x[:, 0], 2.0 * part.y) and torch.equal(part.weight, part.y.float())
    rest = list(batches.batches(whole, size, rows, start=1))
    assert [part.y.tolist() for part in rest] == [part.y.tolist() for part in parts[1:]]


def test_orders_depend_on_their_key_alone():
    first = batches.order(50, True, 7, 0, 1).tolist()
    torch.manual_seed(123)
    assert batches.order(50, True, 7, 0, 1).tolist() == first
    others = [(7, 0, 2), (7, 1, 1), (8, 0, 1), (0, 7, 1), (1, 0, 7)]
    assert all(batches.order(50, True, *key).tolist() != first for key in others)
    assert sorted(first) == list(range(50))
    assert batches.order(4, False, 7).tolist() == [0, 1, 2, 3]
    torch.manual_seed(1)
    free = batches.order(50, True).tolist()
    assert batches.order(50, True).tolist() != free
    torch.manual_seed(1)
    assert batches.order(50, True).tolist() == free


def test_seeds_are_mixed():
    seeds = {batches.mix(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_lengths():
    names = ("x", "y", "sample_weight")
    batches.check_lengths(samples(), names)
    batches.check_lengths(Samples(torch.ones(3, 1)), names)
    with pytest.raises(DataError, match="`x` has 3 rows, `y` has 4"):
        batches.check_lengths(Samples(torch.ones(3, 1), torch.ones(4)), names)
