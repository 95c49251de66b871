"""Arrays to tensors, tensors to batches, in a repeatable order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import not_numbers, trees
from elephas_torch.keras.arguments import check_class_weight
from elephas_torch.keras.sparse import Sparse, dense, is_sparse


@dataclass(slots=True)
class Samples:
    """Rows to train on or to evaluate: tensors with one entry a row, or trees of them.

    Attributes:
        x: inputs, shape (n, ...); or a list or dict of such, as the model takes them. `Sparse`
            rows stay sparse here, and are dense in every batch.
        y: targets, shape (n, ...); for a model of several outputs a list with an entry for each,
            None for those without; None where there are none at all.
        weight: float32, shape (n,), or (n, steps) for weights of steps; a list as `y` is; None
            where every row counts the same.
    """

    x: Any
    y: Any = None
    weight: Any = None

    def __len__(self) -> int:
        x = self.x
        if not isinstance(x, Tensor):
            x = next(one for one in trees.leaves((x, self.y)) if one is not None)
        return int(x.shape[0])

    def rows(self, start: int, stop: int) -> Samples:
        """Some rows in order, as a batch: a view, where they aren't sparse."""
        x, y, weight = self.x, self.y, self.weight
        return Samples(
            x[start:stop] if isinstance(x, Tensor) else _rows(x, start, stop),
            y[start:stop] if isinstance(y, Tensor) else _rows(y, start, stop),
            None if weight is None else _rows(weight, start, stop),
        )

    def take(self, index: Tensor) -> Samples:
        """A copy of the rows with these numbers."""
        x, y, weight = self.x, self.y, self.weight
        return Samples(
            x.index_select(0, index) if isinstance(x, Tensor) else _take(x, index),
            y.index_select(0, index) if isinstance(y, Tensor) else _take(y, index),
            None if weight is None else _take(weight, index),
        )

    def part(self, start: int, stop: int) -> Samples:
        """A view of some rows in order, in which sparse rows stay sparse."""
        parts = (self.x, self.y, self.weight)
        return Samples(*trees.map_leaves(lambda one: _part(one, start, stop), parts))

    def dense(self) -> Samples:
        """All rows as one batch."""
        if isinstance(self.x, Tensor):
            return self
        return Samples(trees.map_leaves(dense, self.x), self.y, self.weight)

    def packed(self) -> Any:
        """What `train_step` is given: x; or (x, y) or (x, y, weight), as far as they are there."""
        return pack_x_y_sample_weight(self.x, self.y, self.weight)


def _part(one: Any, start: int, stop: int) -> Any:
    return None if one is None else one[start:stop]


def _rows(tree: Any, start: int, stop: int) -> Any:
    return trees.map_leaves(lambda one: dense(_part(one, start, stop)), tree)


def _take(tree: Any, index: Tensor) -> Any:
    def taken(one: Any) -> Any:
        return None if one is None else dense(one.index_select(0, index))

    return trees.map_leaves(taken, tree)


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """One batch as `train_step` takes it.

    Follows https://keras.io/guides/custom_train_step_in_torch/: x alone where there is nothing
    else (in a tuple where x is a list or tuple), else (x, y) or (x, y, sample_weight).
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch: None where it doesn't have one.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight); lists count as tuples.

    Raises:
        ValueError: it has more than three parts.
    """
    if not isinstance(data, list | tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "A batch must be x, (x,), (x, y) or (x, y, sample_weight). "
            f"Received: a {type(data).__name__} of {len(data)} items"
        )
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def as_tensor(data: Any, dtype: torch.dtype, argument: str) -> Tensor:
    """Returns array-like data as a contiguous tensor; without copying where it fits already.

    Raises:
        DataError: the data isn't numeric, its rows differ in length, it is a single number, or
            the dtype is for whole numbers and it has others.
    """
    source = data.detach() if isinstance(data, Tensor) else _from_array(data, argument)
    if source.layout is not torch.strided or source.is_complex():
        raise DataError(
            f"`{argument}` must be dense and real. Received: a tensor of layout {source.layout} "
            f"and dtype {source.dtype}"
        )
    if source.dim() == 0:
        raise DataError(f"`{argument}` must have an entry a row. Received: {source.item()!r}")
    tensor = source.to(dtype=dtype, device="cpu").contiguous()
    if source.is_floating_point() and not dtype.is_floating_point:
        _check_whole(source, tensor, argument)
    return tensor


def _from_array(data: Any, argument: str) -> Tensor:
    if not isinstance(data, np.ndarray) and is_sparse(data):
        raise DataError(
            f"`{argument}` is sparse, which features alone may be: give it dense, "
            f"{argument}.toarray(). Received: {type(data).__name__} of shape {tuple(data.shape)}"
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"`{argument}` is ragged: its rows differ in shape ({error}).") from None
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise DataError(
            f"`{argument}` must be numbers: a NumPy array, a tensor or nested lists with rows of "
            f"one shape. Received: {type(data).__name__} with dtype {array.dtype}. "
            f"{not_numbers.advice(array)}"
        )
    if not array.flags.writeable or not array.dtype.isnative or not array.flags.c_contiguous:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(array)


def _check_whole(source: Tensor, tensor: Tensor, argument: str) -> None:
    odd = tensor.to(source) != source
    if bool(odd.any()):
        raise _not_whole(argument, int(odd.nonzero()[0, 0]), source[odd][0])


def _not_whole(argument: str, row: int, value: Tensor) -> DataError:
    return DataError(
        f"`{argument}` must be whole numbers here (classes, or indices), but row {row} has "
        f"{value.item()!r}."
    )


def any_tensor(data: Any, argument: str) -> Tensor:
    """The same for data whose dtype nobody asks for: floats become float32, others stay."""
    source = data.detach() if isinstance(data, Tensor) else _from_array(data, argument)
    return as_tensor(
        source, torch.float32 if source.is_floating_point() else source.dtype, argument
    )


def as_rows(data: Any, dtype: torch.dtype | None, argument: str) -> Tensor | Sparse:
    """Features as a tensor, or sparse ones (SciPy's) as `Sparse`; see `as_tensor`.

    Args:
        dtype: None leaves it as it comes, but floats become float32.

    Raises:
        DataError: as `as_tensor` does.
    """
    if not is_sparse(data):
        if dtype is None:
            return any_tensor(data, argument)
        return as_tensor(data, dtype, argument)
    rows = data if isinstance(data, Sparse) else Sparse.of(data, argument)
    source = rows.dtype
    if dtype is None:
        dtype = torch.float32 if source.is_floating_point else source
    found = rows.to(dtype)
    if source.is_floating_point and not dtype.is_floating_point:
        odd = (found.stored.to(source) != rows.stored).nonzero()[:1, 0]
        if len(odd):
            raise _not_whole(argument, int(rows.rows_of(odd)), rows.stored[odd])
    return found


def check_lengths(samples: Samples, names: tuple[str, str, str]) -> None:
    """Raises DataError where x, y and weights have different numbers of rows, or none."""
    rows = len(samples)
    if rows == 0:
        raise DataError(f"`{names[0]}` is empty: there is nothing to work on.")
    for name, tree in zip(names, (samples.x, samples.y, samples.weight), strict=True):
        for where, tensor in _named(name, tree):
            if tensor is not None and tensor.shape[0] != rows:
                first = next(where for where, one in _named(names[0], samples.x))
                raise DataError(
                    f"`{first}` has {rows} rows, `{where}` has {tensor.shape[0]}: "
                    "there must be one for each."
                )


def _named(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, one in tree.items():
            yield from _named(f"{name}[{key!r}]", one)
    elif isinstance(tree, list | tuple):
        for number, one in enumerate(tree):
            yield from _named(f"{name}[{number}]", one)
    else:
        yield name, tree


def fit_shape(x: Any, shape: tuple[int | None, ...] | None, where: str) -> Any:
    """Returns inputs, a tensor or `Sparse`, that fit a model's input shape (batch first).

    A missing or superfluous last dimension of 1 is added or dropped, as Keras does.

    Raises:
        DataError: they don't fit; the message has both shapes.
    """
    if shape is None:
        return x
    if x.dim() == len(shape) - 1 and shape[-1] == 1:
        x = x.reshape((*x.shape, 1))
    elif x.dim() == len(shape) + 1 and x.shape[-1] == 1:
        x = x.reshape(x.shape[:-1])
    fits = x.dim() == len(shape) and all(
        want is None or want == got for want, got in zip(shape[1:], x.shape[1:], strict=True)
    )
    if not fits:
        alone = x.dim() == len(shape) - 1 and tuple(x.shape) == tuple(shape[1:])
        advice = (
            "A single row? Put an axis for the batch in front: x[None]."
            if alone
            else ("Reshape the data, or change the first layer's input_shape.")
        )
        raise DataError(
            f"The model takes features of shape {_sample(shape)} a row; {where} has rows of shape "
            f"{_sample(tuple(x.shape))}. {advice}"
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
    keep = kept(len(samples), validation_split)
    if keep == len(samples):
        return samples, None
    return samples.part(0, keep), samples.part(keep, len(samples))


def kept(rows: int, validation_split: float) -> int:
    """How many of so many rows stay for training: all, where the others would be none or all."""
    keep = int(rows * (1 - validation_split))
    return keep if 0 < keep < rows else rows


def split_checked(samples: Samples, validation_split: float) -> tuple[Samples, Samples]:
    """The same; raises DataError where one of the parts would be empty."""
    training, validation = split(samples, validation_split)
    if validation is None:
        raise DataError(
            f"{len(samples)} rows can't be split into rows to train on and rows to validate with. "
            f"Received: validation_split={validation_split}"
        )
    return training, validation


def weigh_classes(samples: Samples, weights: Mapping[int, float] | None) -> Samples:
    """Returns the samples with their weights multiplied by their classes' weights.

    Raises:
        ValueError: `class_weight` is no dict of class numbers and weights, or there are several
            outputs.
    """
    if weights is None:
        return samples
    if not isinstance(samples.y, Tensor):
        raise ValueError(
            "`class_weight` is for models of one output with targets. Give `sample_weight`, a "
            "list or dict with an entry for each output, in its place."
        )
    table = cast(Tensor, class_weights(samples.y, weights))
    weight = samples.weight
    if weight is not None:
        table = weight * table.reshape(-1, *(1,) * (weight.dim() - 1))
    return Samples(samples.x, samples.y, table)


def class_weights(y: Tensor, weights: Mapping[int, float] | None) -> Tensor | None:
    """A weight a row from a weight a class; y is class numbers or one-hot.

    Returns:
        float32, shape (rows,): 1 for classes without a weight. None where `weights` is.

    Raises:
        ValueError: `class_weight` isn't a dict of class numbers and weights.
    """
    check_class_weight(weights)
    if weights is None:
        return None
    classes = y.argmax(-1) if y.dim() > 1 and y.shape[-1] > 1 else y
    classes = classes.round() if classes.is_floating_point() else classes
    if classes.numel() != y.shape[0]:
        raise ValueError("`class_weight` needs one class a row; these targets have several.")
    classes = classes.reshape(-1)
    result = torch.ones(y.shape[0])
    for number, weight in weights.items():
        result[classes == int(number)] = float(weight)
    return result


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
