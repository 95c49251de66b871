"""PyDataset: batches by number, and made ahead."""

import threading
import time

import pytest

from elephas_torch.keras.utils import PyDataset, Sequence
from elephas_torch.keras.utils.py_dataset import read_ahead


class Numbers(PyDataset):
    def __init__(self, count=6, slow=(), **kwargs):
        super().__init__(**kwargs)
        self.count, self.slow, self.asked = count, slow, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append((index, threading.current_thread()))
        time.sleep(0.02 if index in self.slow else 0)
        if index >= self.count:
            raise IndexError(index)
        return index


def test_it_is_iterated_over_by_number():
    dataset = Numbers(3)
    assert list(dataset) == list(dataset) == [0, 1, 2]
    assert dataset.num_batches == 3
    assert (dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size) == (1, False, 10)
    assert Sequence is PyDataset
    assert dataset.on_epoch_begin() is dataset.on_epoch_end() is None


def test_without_super_init_the_defaults_hold():
    class Old(Sequence):
        def __init__(self):
            self.made = True

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return index

    assert list(read_ahead(Old(), [1, 0])) == [1, 0]


def test_no_end():
    class Endless(PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return index

    batches = iter(Endless())
    assert [next(batches) for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("max_queue_size", [1, 2, 10])
def test_batches_come_in_order_whoever_makes_them(workers, max_queue_size):
    dataset = Numbers(slow=(0, 3), workers=workers, max_queue_size=max_queue_size)
    order = [4, 0, 5, 3, 1, 2]
    assert list(read_ahead(dataset, order)) == order
    here = {thread is threading.current_thread() for _, thread in dataset.asked}
    assert here == {workers <= 1}


def test_only_so_many_are_made_ahead():
    dataset = Numbers(100, workers=2, max_queue_size=3)
    batches = read_ahead(dataset, range(100))
    next(batches)
    time.sleep(0.05)
    assert len(dataset.asked) == 4
    batches.close()
    assert len(dataset.asked) <= 5


def test_an_error_comes_where_its_batch_would_have():
    batches = read_ahead(Numbers(2, workers=2), range(4))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(IndexError, match="2"):
        next(batches)


def test_its_threads_end_with_it():
    for batches, dataset in ((2, Numbers(workers=2)), (6, Numbers(workers=2, max_queue_size=9))):
        reading = read_ahead(dataset, range(6))
        for _ in range(batches):
            next(reading)
        reading.close()
        assert not any(thread.is_alive() for _, thread in dataset.asked)


def test_what_is_missing_is_named():
    class Nothing(PyDataset):
        pass

    with pytest.raises(TypeError, match=r"Nothing must define __getitem__\(index\)"):
        Nothing()[0]
    with pytest.raises(TypeError, match=r"Nothing must define __len__\(\)"):
        list(Nothing())


@pytest.mark.parametrize("bad", [{"workers": -1}, {"workers": 1.5}, {"max_queue_size": 0}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match="must be a whole number"):
        Numbers(**bad)
