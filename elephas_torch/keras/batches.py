"""Arrays to tensors, tensors to batches, in a repeatable order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError


@dataclass(slots=True)
class Samples:
    """Rows to train on or to evaluate: tensors with one entry a row.

    Attributes:
        x: inputs, shape (n, ...).
        y: targets, shape (n, ...), or None where there are none.
        weight: float32, shape (n,), or None where every row counts the same.
    """

    x: Tensor
    y: Tensor | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def rows(self, start: int, stop: int) -> Samples:
        """A view of some rows in order."""
        y, weight = self.y, self.weight
        return Samples(
            self.x[start:stop],
            None if y is None else y[start:stop],
            None if weight is None else weight[start:stop],
        )

    def take(self, index: Tensor) -> Samples:
        """A copy of the rows with these numbers."""
        y, weight = self.y, self.weight
        return Samples(
            self.x.index_select(0, index),
            None if y is None else y.index_select(0, index),
            None if weight is None else weight.index_select(0, index),
        )


def as_tensor(data: Any, dtype: torch.dtype, argument: str) -> Tensor:
    """Returns array-like data as a contiguous tensor; without copying where it fits already.

    Raises:
        DataError: the data isn't numeric, or its rows differ in length.
    """
    if isinstance(data, Tensor):
        return data.detach().to(dtype=dtype, device="cpu").contiguous()
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"`{argument}` is ragged: its rows differ in shape ({error}).") from None
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise DataError(
            f"`{argument}` must be numbers: a NumPy array, a tensor or nested lists with rows of "
            f"one shape. Received: {type(data).__name__} with dtype {array.dtype}"
        )
    if not array.flags.writeable or not array.dtype.isnative or not array.flags.c_contiguous:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    return torch.from_numpy(array).to(dtype)


def check_lengths(samples: Samples, names: tuple[str, str, str]) -> None:
    """Raises DataError where x, y and weights have different numbers of rows, or none."""
    if len(samples) == 0:
        raise DataError(f"`{names[0]}` is empty: there is nothing to work on.")
    for name, tensor in zip(names[1:], (samples.y, samples.weight), strict=True):
        if tensor is not None and tensor.shape[0] != len(samples):
            raise DataError(
                f"`{names[0]}` has {len(samples)} rows, `{name}` has {tensor.shape[0]}: "
                "there must be one for each."
            )


def fit_shape(x: Tensor, shape: tuple[int | None, ...] | None, where: str) -> Tensor:
    """Returns inputs that fit a model's input shape (batch first).

    A missing or superfluous last dimension of 1 is added or dropped, as Keras does.

    Raises:
        DataError: they don't fit; the message has both shapes.
    """
    if shape is None:
        return x
    if x.dim() == len(shape) - 1 and shape[-1] == 1:
        x = x.unsqueeze(-1)
    elif x.dim() == len(shape) + 1 and x.shape[-1] == 1:
        x = x.squeeze(-1)
    fits = x.dim() == len(shape) and all(
        want is None or want == got for want, got in zip(shape[1:], x.shape[1:], strict=True)
    )
    if not fits:
        raise DataError(
            f"The model takes features of shape {_sample(shape)} a row; {where} has rows of shape "
            f"{_sample(tuple(x.shape))}. Reshape the data, or change the first layer's input_shape."
        )
    return x


def _sample(shape: tuple[int | None, ...]) -> str:
    return str(tuple(shape[1:]))


def split(samples: Samples, validation_split: float) -> tuple[Samples, Samples | None]:
    """Parts off the last rows for validation, as Keras does.

    Args:
        validation_split: the share of rows, 0 to below 1. At least one row stays for training.

    Returns:
        Rows to train on, rows to validate with (None where there are none).
    """
    keep = int(len(samples) * (1 - validation_split))
    if not 0 < keep < len(samples):
        return samples, None
    return samples.rows(0, keep), samples.rows(keep, len(samples))


def class_weights(y: Tensor, weights: Mapping[int, float] | None) -> Tensor | None:
    """A weight a row from a weight a class; y is class numbers or one-hot.

    Raises:
        ValueError: `class_weight` isn't a dict of class numbers and weights.
    """
    if weights is None:
        return None
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(
            "`class_weight` must be a dict of class numbers and weights, such as {0: 1.0, 1: 5.0}."
            f" Received: class_weight={weights!r}"
        )
    classes = y.argmax(-1) if y.dim() > 1 and y.shape[-1] > 1 else y.reshape(-1).long()
    if classes.dim() != 1:
        raise ValueError("`class_weight` needs one class a row; these targets have several.")
    table = torch.ones(max(int(classes.max()), *map(int, weights)) + 1)
    for number, weight in weights.items():
        table[int(number)] = float(weight)
    return table[classes]


def order(rows: int, shuffle: bool, *key: int) -> Tensor:
    """Row numbers in the order of an epoch.

    Args:
        rows: how many there are.
        shuffle: False gives them as they are.
        key: the order depends on these numbers alone (seed, worker, epoch); without any it comes
            from torch's global generator.
    """
    if not shuffle:
        return torch.arange(rows)
    if not key:
        return torch.randperm(rows)
    return torch.randperm(rows, generator=torch.Generator().manual_seed(mix(*key)))


def mix(*key: int) -> int:
    """One 63-bit seed out of several numbers, as NumPy's SeedSequence mixes them."""
    words = np.random.SeedSequence([abs(int(k)) for k in key]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def batches(
    samples: Samples, batch_size: int, rows: Tensor | None = None, start: int = 0
) -> Iterator[Samples]:
    """Batches, the last one with what remains.

    Args:
        rows: the order to take rows in (see `order`); None takes them as they are, uncopied.
        start: the number of batches to leave out at the beginning.
    """
    total = len(samples) if rows is None else rows.numel()
    for first in range(start * batch_size, total, batch_size):
        last = min(first + batch_size, total)
        yield samples.rows(first, last) if rows is None else samples.take(rows[first:last])
