"""timeseries_dataset_from_array, after Keras's documentation (its own needs TensorFlow)."""

import numpy as np
import pytest
import torch

from elephas_torch.keras.utils import timeseries_dataset_from_array


def all_of(dataset):
    parts = list(dataset)
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(several) for several in zip(*parts, strict=True))
    return torch.cat(parts)


def test_keras_s_first_example():
    dataset = timeseries_dataset_from_array(
        np.arange(99), None, sequence_length=10, sampling_rate=2, sequence_stride=3, batch_size=5
    )
    windows = all_of(dataset).tolist()
    assert windows[0] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert windows[1] == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    assert windows[-1] == [78, 80, 82, 84, 86, 88, 90, 92, 94, 96]
    assert len(dataset) == len(list(dataset)) == 6


def test_keras_s_second_example():
    data = np.arange(15.0)
    dataset = timeseries_dataset_from_array(data[:-10], data[10:], sequence_length=3)
    x, y = next(iter(dataset))
    assert (x.dtype, y.dtype) == (torch.float64, torch.float64)
    assert x.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert y.tolist() == [10, 11, 12]


def test_keras_s_third_example():
    x = timeseries_dataset_from_array(np.arange(100), None, 20, sequence_stride=20)
    y = timeseries_dataset_from_array(np.arange(100) * 2, None, 20, sequence_stride=20)
    assert all_of(x).tolist() == np.arange(100).reshape(5, 20).tolist()
    assert all_of(y).tolist() == (np.arange(100) * 2).reshape(5, 20).tolist()


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("bounds", [(None, None), (4, None), (None, 9), (3, 11)])
def test_windows_are_those_of_a_plain_loop(length, stride, rate, bounds):
    data, targets = np.random.default_rng(0).normal(size=(14, 2)).astype("f4"), np.arange(14)
    start, end = bounds[0] or 0, bounds[1] or 14
    begins = range(start, end - (length - 1) * rate, stride)
    expected = [[data[b + n * rate] for n in range(length)] for b in begins]
    dataset = timeseries_dataset_from_array(
        data, targets, length, stride, rate, 2, start_index=bounds[0], end_index=bounds[1]
    )
    x, y = all_of(dataset)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert y.tolist() == list(begins)


def test_fewer_targets_give_fewer_windows():
    _, y = all_of(timeseries_dataset_from_array(np.arange(9), np.arange(4), 2, start_index=1))
    assert y.tolist() == [1, 2, 3]


def test_shuffling_keeps_windows_and_targets_together():
    dataset = timeseries_dataset_from_array(
        np.arange(50), np.arange(50) * 10, 2, batch_size=7, shuffle=True, seed=2
    )
    (x, y), (other, _) = all_of(dataset), all_of(dataset)
    assert (x[:, 0] * 10).tolist() == y.tolist()
    assert sorted(y.tolist()) == list(range(0, 490, 10))
    assert x.tolist() != other.tolist()
    assert sorted(x.tolist()) == sorted(other.tolist())


def test_windows_one_by_one():
    dataset = timeseries_dataset_from_array(torch.arange(4), torch.arange(4), 3, batch_size=None)
    assert [(x.tolist(), y.item()) for x, y in dataset] == [([0, 1, 2], 0), ([1, 2, 3], 1)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sequence_length": 0}, "`sequence_length` must be a whole number, 1 or more"),
        ({"sequence_stride": 0}, "sequence_stride"),
        ({"sampling_rate": -1}, "sampling_rate"),
        (
            {"sequence_length": 11},
            "No window of 11 entries, 1 steps apart, fits into steps 0 to 10",
        ),
        ({"start_index": -1}, "start_index=-1"),
        ({"start_index": 10}, r"within the 10 steps.*start_index=10"),
        ({"end_index": 11}, "end_index=11"),
        ({"start_index": 5, "end_index": 5}, "below `end_index`"),
        ({"targets": []}, "with one of 0 targets"),
        ({"batch_size": 0}, "batch_size"),
        ({"shuffle": "yes"}, "`shuffle` must be True or False"),
    ],
)
def test_bad_arguments_are_refused(changes, says):
    arguments = {"data": np.arange(10), "targets": None, "sequence_length": 2, **changes}
    with pytest.raises(ValueError, match=says):
        timeseries_dataset_from_array(**arguments)
