"""Rows of a partition to contiguous tensors, once for a whole fit.

Rows come as (features, label) pairs, or as blocks of many rows at once (what `to_simple_rdd`
makes). Either way a partition ends as one tensor of features and one of labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import batches
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.losses import check_targets
from elephas_torch.keras.models import Model

#: Rows that are stacked at once: enough to make stacking cheap, little beside a partition.
CHUNK = 1024

Block = tuple[Any, Any]
_ARTICLE = {"features": "", "label": "a "}


def blocks_of(pairs: Iterable[Any]) -> Iterator[Block]:
    """Groups (features, label) rows into blocks of at most `CHUNK` rows.

    Raises:
        DataError: a row is no pair, or rows differ in shape; the message has the row's number.
    """
    pairs = iter(pairs)
    first = 0
    while chunk := list(itertools.islice(pairs, CHUNK)):
        if not all(isinstance(row, tuple | list) and len(row) == 2 for row in chunk):
            raise DataError(_no_pair(chunk, first))
        features, labels = zip(*chunk, strict=True)
        yield _stack(features, "features", first), _stack(labels, "label", first)
        first += len(chunk)


def features_of(rows: Iterable[Any]) -> Iterator[Any]:
    """Groups rows of features into blocks; of (features, label) tuples the features are taken."""
    rows = iter(rows)
    first = 0
    while chunk := list(itertools.islice(rows, CHUNK)):
        only = [row[0] if isinstance(row, tuple) and len(row) == 2 else row for row in chunk]
        yield _stack(only, "features", first)
        first += len(chunk)


def _stack(values: Iterable[Any], what: str, first: int) -> np.ndarray:
    arrays = [np.asarray(value) for value in values]
    try:
        return np.stack(arrays)
    except ValueError:
        shape = arrays[0].shape
        odd = next(i for i, array in enumerate(arrays) if array.shape != shape)
        raise DataError(
            f"row {first + odd} has {_ARTICLE[what]}{what} of shape {arrays[odd].shape}, "
            f"the rows before it {shape}; all must have one shape"
        ) from None


def _no_pair(chunk: list[Any], first: int) -> str:
    number, row = next(
        (i, row)
        for i, row in enumerate(chunk)
        if not (isinstance(row, tuple | list) and len(row) == 2)
    )
    hint = ""
    if type(row).__name__ == "LabeledPoint":
        hint = "; use SparkMLlibModel, or lp_to_simple_rdd(rdd) to make pairs of LabeledPoints"
    text = " ".join(repr(row).split())
    text = text if len(text) <= 80 else text[:77] + "..."
    return (
        f"row {first + number} is no (features, label) pair, but of type {type(row).__name__}: "
        f"{text}{hint}"
    )


def to_tensors(
    blocks: Iterable[Block], input_dtype: torch.dtype, target_dtype: torch.dtype
) -> tuple[Tensor, Tensor] | None:
    """Joins blocks to one tensor of features and one of labels, each contiguous.

    The blocks are let go while the tensors fill, so the peak is little over one copy.

    Returns:
        (features, labels), or None where there are no rows.

    Raises:
        DataError: blocks differ in shape, or hold NaN or infinite values.
    """
    features: list[Tensor] = []
    labels: list[Tensor] = []
    rows = 0
    for x, y in blocks:
        features.append(_checked(x, input_dtype, "features", rows, features))
        labels.append(_checked(y, target_dtype, "label", rows, labels))
        rows += len(features[-1])
    if not rows:
        return None
    return _join(features), _join(labels)


def tensors_of(
    block: Block, input_dtype: torch.dtype, target_dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The tensors of one block, which has rows; raises as `to_tensors`."""
    x, y = block
    return _checked(x, input_dtype, "features", 0, []), _checked(y, target_dtype, "label", 0, [])


def fitted(model: Model, x: Tensor, y: Tensor) -> Samples:
    """Features and labels as samples for a compiled model.

    Raises:
        DataError: they don't fit its input, its loss or its output.
    """
    x = batches.fit_shape(x, model.input_shape, "the RDD")
    try:
        check_targets(model.loss, y, model.output_shape)
    except ValueError as error:
        raise DataError(str(error)) from None
    return Samples(x, y)


def _checked(
    values: Any, dtype: torch.dtype, what: str, first: int, before: list[Tensor]
) -> Tensor:
    whole = not dtype.is_floating_point
    source = batches.as_tensor(values, torch.float64 if whole else dtype, what)
    if before and source.shape[1:] != before[0].shape[1:]:
        raise DataError(
            f"row {first} has {_ARTICLE[what]}{what} of shape {tuple(source.shape[1:])}, "
            f"the rows before it {tuple(before[0].shape[1:])}; all must have one shape"
        )
    _refuse(
        ~torch.isfinite(source), first, f"NaN or an infinite value in its {what}; drop such rows "
        "or fill them in before training"
    )  # fmt: skip
    tensor = source.to(dtype)
    if whole:
        _refuse(source != tensor, first, f"a {what} that is no whole number")
    return tensor


def _refuse(bad: Tensor, first: int, found: str) -> None:
    if bad.any():
        row = int(torch.nonzero(bad.reshape(len(bad), -1).any(1))[0])
        raise DataError(f"row {first + row} has {found}")


def _join(parts: list[Tensor]) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    rows = sum(len(part) for part in parts)
    whole = torch.empty((rows, *parts[0].shape[1:]), dtype=parts[0].dtype)
    first = 0
    for number, part in enumerate(parts):
        whole[first : first + len(part)] = part
        first += len(part)
        parts[number] = part.new_empty(0)
        del part
    return whole
