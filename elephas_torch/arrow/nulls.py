"""Which rows of an Arrow column are null, or have null in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from elephas_torch.arrow.field import Field

if TYPE_CHECKING:  # importing it takes a while, and RDDs don't need it
    import pyarrow as pa


def null_rows(arrays: Sequence[pa.Array], field: Field, leaves: bool = True) -> np.ndarray | None:
    """Marks of the rows that are null, or have null in them; None where none has.

    Args:
        leaves: False: single numbers don't count, they can be NaN.
    """
    if field.kind == "vector":
        return _either(map(_null_vectors, arrays))
    return _either(_null(array, leaves) for array in arrays)


def _null_vectors(array: pa.Array) -> np.ndarray | None:
    found = own_nulls(array)
    if not is_vector(array):
        return found
    several = (_null(array.field(name), True) for name in ("type", "values"))
    return _either((found, *several, _inside(array.field("indices"), True)))


def own_nulls(array: pa.Array) -> np.ndarray | None:
    """Marks of the entries that are null themselves; None where none is."""
    if not array.null_count:
        return None
    marks: np.ndarray = array.is_null().to_numpy(zero_copy_only=False)
    return marks


def _null(array: pa.Array, leaves: bool) -> np.ndarray | None:
    kind = kind_of(array.type)
    if kind == "struct":
        several = [own_nulls(array), *(_null(one, leaves) for one in array.flatten())]
    elif kind in ("list", "fixed"):
        several = [own_nulls(array), _inside(array, leaves)]
    else:
        several = [own_nulls(array) if leaves or kind in ("binary", "other") else None]
    return _either(several)


def _either(several: Iterable[np.ndarray | None]) -> np.ndarray | None:
    found: np.ndarray | None = None
    for marks in several:
        if marks is not None:
            found = marks if found is None else np.logical_or(found, marks)
    return found


def _inside(array: pa.Array, leaves: bool) -> np.ndarray | None:
    """Marks of the lists that have null in them."""
    if kind_of(array.type) == "fixed":
        size, first = array.type.list_size, array.offset
        bad = _null(array.values.slice(first * size, len(array) * size), leaves)
        return None if bad is None else np.logical_or.reduce(bad.reshape(len(array), size), 1)
    offsets = offsets_of(array)
    bad = _null(array.values.slice(offsets[0], offsets[-1] - offsets[0]), leaves)
    if bad is None:
        return None
    before = np.concatenate([[0], np.cumsum(bad)])[offsets - offsets[0]]
    return np.not_equal(before[1:], before[:-1])


def offsets_of(array: pa.Array) -> np.ndarray:
    """Where lists begin in `array.values`, and where the last one ends."""
    found: np.ndarray = array.offsets.to_numpy()
    return found


@functools.lru_cache(maxsize=256)
def kind_of(kind: pa.DataType) -> str:
    """What a type is, as far as reading it goes."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return "list"
    if types.is_fixed_size_list(kind):
        return "fixed"
    if types.is_struct(kind):
        return "struct"
    if types.is_floating(kind) or types.is_signed_integer(kind) or types.is_uint8(kind):
        return "plain"
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind) or types.is_decimal(kind):
        return "converted"
    binary = types.is_binary(kind) or types.is_large_binary(kind)
    return "binary" if binary or types.is_fixed_size_binary(kind) else "other"


def is_vector(array: pa.Array) -> bool:
    """Whether it is the struct that Spark's vectors are."""
    names = {"type", "size", "indices", "values"}
    return kind_of(array.type) == "struct" and names <= {one.name for one in array.type}


def mask(marks: np.ndarray) -> pa.Array:
    """Marks as `filter` takes them."""
    import pyarrow as pa

    return pa.array(marks)
