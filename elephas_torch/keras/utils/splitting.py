"""`split_dataset`: one part to train, one to test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset


def split_dataset(
    dataset: Any,
    left_size: int | float | None = None,
    right_size: int | float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Subset[Any], Subset[Any]]:
    """Parts a dataset in two.

    Follows https://keras.io/api/utils/python_utils/#splitdataset-function

    Args:
        dataset: an array or tensor, a tuple or list of some of the same length, or a
            `torch.utils.data.Dataset` with a length.
        left_size: a share above 0 and below 1, or a number of rows. By default what `right_size`
            leaves.
        right_size: the same for the second part.
        shuffle: shuffle the rows before. (Keras on torch shuffles in any case.)
        seed: of the shuffling.
        preferred_backend: "torch" or None.

    Returns:
        Two `torch.utils.data.Dataset`s: the first rows, and the last ones.

    Raises:
        TypeError: `dataset` is nothing of this.
        ValueError: a size is out of its range, or both together are more than there are rows.
    """
    if preferred_backend not in (None, "torch"):
        raise ValueError(
            f"The backend is 'torch', always. Received: preferred_backend={preferred_backend!r}"
        )
    rows = _dataset(dataset)
    total = len(rows)  # type: ignore[arg-type]
    left, right = _sizes(left_size, right_size, total)
    order = torch.arange(total)
    if shuffle:
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        order = torch.randperm(total, generator=generator)
    numbers = order.tolist()
    return Subset(rows, numbers[:left]), Subset(rows, numbers[total - right :])


def _dataset(dataset: Any) -> Dataset[Any]:
    if isinstance(dataset, Dataset) and hasattr(dataset, "__len__"):
        return dataset
    several = dataset if isinstance(dataset, tuple | list) else (dataset,)
    arrays = [one for one in several if isinstance(one, np.ndarray | Tensor)]
    if not arrays or len(arrays) != len(several):
        raise TypeError(
            "`dataset` must be an array, a tuple or list of arrays, or a torch Dataset with a "
            f"length. Received: {type(dataset).__name__}"
        )
    tensors = [torch.as_tensor(one) for one in arrays]
    if len({len(one) for one in tensors}) > 1:
        lengths = ", ".join(str(len(one)) for one in tensors)
        raise ValueError(f"The arrays of `dataset` differ in length: {lengths}.")
    return TensorDataset(*tensors)


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    if left is None and right is None:
        raise ValueError("split_dataset needs `left_size`, `right_size` or both. Received: neither")
    first, second = _rows("left_size", left, total), _rows("right_size", right, total)
    first = total - (second or 0) if first is None else first
    second = total - first if second is None else second
    if first < 1 or second < 1 or first + second > total:
        raise ValueError(
            f"The two parts would have {first} and {second} of {total} rows: each needs 1 or more, "
            f"both {total} at most. Received: left_size={left}, right_size={right}"
        )
    return first, second


def _rows(argument: str, size: Any, total: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | float | np.integer | np.floating):
        raise TypeError(f"`{argument}` must be a number. Received: {argument}={size!r}")
    share = isinstance(size, float | np.floating)
    if not 0 < size < (1 if share else total):
        raise ValueError(
            f"`{argument}` must be a share above 0 and below 1, or a number of rows below {total}. "
            f"Received: {argument}={size!r}"
        )
    return round(float(size) * total) if share else int(size)
