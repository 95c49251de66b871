"""Labels, weights and flags out of decoded columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from elephas_torch.arrow.field import Field, Odd, Rows
from elephas_torch.errors import DataError
from elephas_torch.keras.sparse import Sparse, dense


def label(found: Rows, field: Field) -> Rows:
    """Class numbers as one-hot rows, or the other way round, where the field says so.

    Raises:
        Odd: a row has no such class.
        DataError: the column has other rows.
    """
    if field.classes is not None:
        return _one_hot(_single(found, field), field, field.classes)
    if field.one_hot and found.dim() > 1 and found.shape[-1] > 1:
        return _class_numbers(found, field)
    return found


def _single(found: Rows, field: Field) -> Tensor:
    if isinstance(found, Sparse) or math.prod(found.shape[1:]) != 1:
        raise DataError(
            f"the column {field.name!r} has rows of shape {tuple(found.shape[1:])}, where class "
            "numbers are wanted: one number a row"
        )
    return found.reshape(-1)


def _one_hot(classes: Tensor, field: Field, count: int) -> Tensor:
    whole = classes.to(torch.int64)
    odd = torch.nonzero((whole != classes) | (whole < 0) | (whole >= count))
    if len(odd):
        row = int(odd[0])
        raise Odd(
            row,
            f"{classes[row].item()!r} in {field.name!r}; the model has {count} classes, so it must "
            f"be a whole number from 0 to {count - 1}. Spark's StringIndexer makes such numbers",
        )
    found = torch.zeros((len(whole), count))
    found.scatter_(1, whole[:, None], 1.0)
    return found


def _class_numbers(found: Rows, field: Field) -> Tensor:
    rows: Tensor = dense(found)
    flat = rows.reshape(-1, rows.shape[-1])
    odd = torch.nonzero((flat.count_nonzero(1) != 1) | (flat.sum(1) != 1))
    if len(odd):
        row = int(odd[0]) * len(rows) // len(flat)
        raise Odd(
            row,
            f"{field.name!r} that is not one-hot: it must have a single 1, and zeros. For others "
            "compile with the loss 'categorical_crossentropy'",
        )
    return flat.argmax(1).reshape(rows.shape[:-1])


def weight_of(found: Rows, field: Field) -> Tensor:
    """Weights, float32; raises `Odd` where one is below 0, NaN or infinite."""
    weight = _single(found, field).to(torch.float32)
    odd = torch.nonzero(~(weight >= 0) | weight.isinf())
    if len(odd):
        row = int(odd[0])
        raise Odd(row, f"the weight {weight[row].item()!r} in {field.name!r}: it must be 0 or more")
    return weight


def check_flags(found: Rows, field: Field) -> None:
    """Raises DataError where a column isn't of bools."""
    if found.dtype != torch.bool or found.dim() != 1:
        raise DataError(
            f"the column {field.name!r} must be of bools: true in rows that are to validate with"
        )
