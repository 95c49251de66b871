"""`timeseries_dataset_from_array`: windows that slide over a series."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras.arguments import check_flag, check_whole
from elephas_torch.keras.utils import batched


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str | None = None,
) -> batched.BatchedDataset:
    """Makes a dataset of windows over a series.

    Follows https://keras.io/api/data_loading/timeseries/

    Args:
        data: shape (steps, ...).
        targets: `targets[i]` belongs to the window that begins at step i; None for none.
        sequence_length: entries a window.
        sequence_stride: steps from one window's beginning to the next.
        sampling_rate: steps from one entry of a window to the next.
        batch_size: windows a batch. Default 128; None gives them one by one.
        shuffle: a new order each epoch.
        seed: what the order depends on.
        start_index: the first step to use. Default 0.
        end_index: the step to end before. Default all.
        format: accepted for Keras's sake; there is one kind of dataset here.

    Returns:
        A `BatchedDataset` of (windows, targets), or windows alone: tensors of shape
        (batch, sequence_length, ...) and (batch, ...), of the dtypes that were given.

    Raises:
        ValueError: an argument is out of its range, or no window fits into the data.

    Example:
        >>> dataset = timeseries_dataset_from_array(np.arange(5), np.arange(5) * 10, 3)
        >>> next(iter(dataset))
        (tensor([[0, 1, 2],
                [1, 2, 3],
                [2, 3, 4]]), tensor([ 0, 10, 20]))
    """
    series = _tensor(data)
    for name, value in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):
        check_whole(name, value, 1)
    check_flag("shuffle", shuffle)
    start, end = _range(start_index, end_index, len(series))
    length = end - start - (sequence_length - 1) * sampling_rate
    answers = None if targets is None else _tensor(targets)
    if answers is not None:
        length = min(length, len(answers) - start)
    if length < 1:
        raise ValueError(
            f"No window of {sequence_length} entries, {sampling_rate} steps apart, fits into steps "
            f"{start} to {end} of the data"
            + ("." if answers is None else f", with one of {len(answers)} targets.")
        )
    begins = torch.arange(start, start + length, sequence_stride)
    steps = torch.arange(sequence_length) * sampling_rate

    def read(rows: np.ndarray) -> Any:
        first = begins[torch.from_numpy(rows)]
        windows = series[first[:, None] + steps]
        return windows if answers is None else (windows, answers[first])

    return batched.from_rows(read, len(begins), batch_size, bool(shuffle), seed)


def _tensor(data: Any) -> Tensor:
    return data if isinstance(data, Tensor) else torch.as_tensor(np.asarray(data))


def _range(start: int | None, end: int | None, steps: int) -> tuple[int, int]:
    if start is not None:
        check_whole("start_index", start, 0)
    if end is not None:
        check_whole("end_index", end, 1)
    first, last = start or 0, steps if end is None else end
    if not first < last <= steps:
        raise ValueError(
            f"`start_index` must be below `end_index`, and both within the {steps} steps of the "
            f"data. Received: start_index={start}, end_index={end}"
        )
    return first, last
