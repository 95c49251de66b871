"""Datasets that are iterated over many times."""

import time

import numpy as np
import pytest
import torch

from elephas_torch.keras.utils import batched, set_random_seed


def dataset(rows=7, batch_size=3, shuffle=False, seed=None):
    data = torch.arange(rows)
    return batched.from_rows(lambda r: (data[r], data[r] * 10), rows, batch_size, shuffle, seed)


def xs(source):
    return [x.tolist() for x, _ in source]


def test_each_iteration_is_an_epoch():
    source = dataset()
    assert xs(source) == xs(source) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(source) == 3
    assert all(torch.equal(y, x * 10) for x, y in source)


def test_without_batches_rows_come_one_by_one():
    source = dataset(batch_size=None)
    assert len(source) == 7
    assert xs(source) == [0, 1, 2, 3, 4, 5, 6]
    alone = batched.from_rows(lambda r: [f"text {row}" for row in r], 2, None, False, None)
    assert list(alone) == ["text 0", "text 1"]


def test_shuffling_depends_on_the_seed_and_the_epoch():
    first, again = dataset(50, 50, True, 4), dataset(50, 50, True, 4)
    epochs = [xs(first)[0] for _ in range(3)]
    assert [xs(again)[0] for _ in range(3)] == epochs
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert xs(dataset(50, 50, True, 5))[0] != epochs[0]


def test_without_a_seed_the_global_one_counts():
    set_random_seed(1)
    first = xs(dataset(50, 50, True))
    set_random_seed(1)
    assert xs(dataset(50, 50, True)) == first


def test_map_take_and_skip():
    source = dataset()
    source.class_names = ["a"]
    mapped = source.map(lambda x, y: (x + 1, y), num_parallel_calls=4)
    assert xs(mapped) == xs(mapped) == [[1, 2, 3], [4, 5, 6], [7]]
    assert (len(mapped), mapped.class_names) == (3, ["a"])
    assert [batch.tolist() for batch in mapped.map(lambda x, y: y).map(lambda y: y // 10)] == [
        [0, 1, 2], [3, 4, 5], [6]
    ]  # fmt: skip
    for count in (0, 1, 2, 3, 9):
        assert xs(source.take(count)) == xs(source)[:count]
        assert xs(source.skip(count)) == xs(source)[count:]
        assert (len(source.take(count)), len(source.skip(count))) == (
            min(count, 3),
            max(3 - count, 0),
        )
    assert xs(source.take(-1)) == xs(source)


def test_cached_batches_are_made_once():
    made = []
    source = dataset(shuffle=True, seed=1).map(lambda x, y: made.append(0) or (x, y)).cache()
    assert xs(source) == xs(source)
    assert len(made) == 3


@pytest.mark.parametrize("size", [0, 1, 2, 10, -1, None])
def test_prefetched_batches_are_the_same(size):
    source = dataset(20, 2).prefetch(size)
    assert xs(source) == xs(source) == xs(dataset(20, 2))


def test_prefetching_makes_batches_ahead_and_stops_when_it_is_left():
    made = []
    source = dataset(100, 1).map(lambda x, y: made.append(int(x)) or (x, y)).prefetch(3)
    batches = iter(source)
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 5
    batches.close()
    time.sleep(0.2)
    assert len(made) <= 6


def test_an_error_comes_through_the_thread():
    def fail(x, y):
        raise RuntimeError("no such picture")

    with pytest.raises(RuntimeError, match="no such picture"):
        list(dataset().map(fail).prefetch(2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: dataset(batch_size=0), "`batch_size` must be a whole number"),
        (lambda: dataset(seed=-1), "`seed` must be a whole number"),
        (lambda: dataset().take(1.5), "`count` must be"),
        (lambda: dataset().skip(-1), "`count` must be"),
        (lambda: dataset().prefetch("auto"), "`buffer_size` must be"),
    ],
)
def test_bad_arguments_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_numpy_numbers_are_fine():
    assert xs(dataset(batch_size=np.int64(7))) == [list(range(7))]
