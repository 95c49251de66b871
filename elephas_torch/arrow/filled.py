"""Arrow arrays of outputs: values of the rows that have some, and nulls in between.

`valid` says which of all rows have values; None: all have. Null rows take no room in lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elephas_torch.arrow.nulls import mask

if TYPE_CHECKING:
    import pyarrow as pa


def doubles(values: np.ndarray, valid: np.ndarray | None) -> pa.Array:
    """An array of numbers, one a row."""
    import pyarrow as pa

    if valid is None:
        return pa.array(values)
    whole = np.zeros(len(valid))
    whole[valid] = values
    return pa.array(whole, mask=~valid)


def lists(values: np.ndarray, rows: int, valid: np.ndarray | None) -> pa.Array:
    """An array of lists, as deep as the values have axes; null rows take no room in it."""
    import pyarrow as pa

    found = pa.array(values.reshape(-1))
    for axis in range(values.ndim - 1, 1, -1):
        length = values.shape[axis]
        offsets = np.arange(int(np.prod(values.shape[:axis])) + 1, dtype=np.int32) * length
        found = pa.ListArray.from_arrays(pa.array(offsets), found)
    lengths = np.full(rows, values.shape[1]) if valid is None else values.shape[1] * valid
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = None if valid is None else mask(~valid)
    return pa.ListArray.from_arrays(pa.array(offsets), found, mask=missing)


def labels(found: np.ndarray, counts: np.ndarray, rows: int, valid: np.ndarray | None) -> pa.Array:
    """An array of lists of the numbers of the labels that hold.

    Args:
        found: the numbers, row after row.
        counts: how many each row has.
    """
    import pyarrow as pa

    lengths = np.zeros(rows, np.int64)
    lengths[slice(None) if valid is None else valid] = counts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = None if valid is None else mask(~valid)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(found), mask=missing)


def vectors(values: np.ndarray, rows: int, valid: np.ndarray | None) -> pa.Array:
    """Dense vectors as the struct that Spark keeps them in."""
    import pyarrow as pa

    parts = [
        pa.array(np.ones(rows, np.int8)),
        pa.nulls(rows, pa.int32()),
        pa.nulls(rows, pa.list_(pa.int32())),
        lists(values, rows, valid),
    ]
    names = ["type", "size", "indices", "values"]
    missing = None if valid is None else mask(~valid)
    return pa.StructArray.from_arrays(parts, names=names, mask=missing)
