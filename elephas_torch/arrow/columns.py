"""Arrow columns to tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elephas_torch.arrow.field import Field, Odd, Rows
from elephas_torch.arrow.nulls import is_vector, kind_of, offsets_of, own_nulls
from elephas_torch.errors import DataError
from elephas_torch.keras.sparse import Sparse, dense

if TYPE_CHECKING:  # importing it takes a while, and RDDs don't need it
    import pyarrow as pa


def decoded(arrays: Sequence[pa.Array], field: Field, keep: bool = False) -> Rows:
    """Rows as they come, none of which is null.

    Args:
        keep: null numbers are NaN, and all are floats.
    """
    if field.kind == "number":
        found: Rows = _numbers(arrays, field, keep)
    elif field.kind == "vector":
        found = _vectors(arrays[0], field)
    elif field.kind == "array":
        found = _lists(arrays[0], field, keep)
    else:
        found = _bytes(arrays[0], field)
    return found.to(field.floats) if keep and not found.dtype.is_floating_point else found


def _wrong(array: pa.Array, field: Field) -> DataError:
    return DataError(
        f"the column {field.name!r} is {array.type}, and not what it is to be: {field.kind}. "
        "Columns can be numbers, vectors, arrays of numbers, or binary"
    )


def _numbers(arrays: Sequence[pa.Array], field: Field, keep: bool) -> Tensor:
    alone = len(arrays) == 1
    if alone and kind_of(arrays[0].type) == "struct":
        arrays, alone = arrays[0].flatten(), False
    if alone:
        return _flat(arrays[0], field, keep)
    parts = [_plain(array, field, keep) for array in arrays]
    dtype = functools.reduce(torch.promote_types, {part.dtype for part in parts})
    below = torch.cat([part if part.dtype == dtype else part.to(dtype) for part in parts]).reshape(
        len(parts), -1
    )
    return _narrowed(below.t(), field).contiguous()


def _flat(array: pa.Array, field: Field, keep: bool = False) -> Tensor:
    """An array of numbers; without copying, where no other dtype is wanted."""
    return _narrowed(_plain(array, field, keep), field)


def _narrowed(found: Tensor, field: Field) -> Tensor:
    return found.to(field.floats) if found.is_floating_point() else found


def _plain(array: pa.Array, field: Field, keep: bool) -> Tensor:
    kind = kind_of(array.type)
    if kind not in ("plain", "bool", "converted"):
        raise _wrong(array, field)
    if keep and array.null_count:
        array = _with_nan(array)
    elif kind == "bool":
        return torch.from_numpy(array.to_numpy(zero_copy_only=False))
    elif kind == "converted":
        array = _converted(array)
    return torch.from_dlpack(array)


def _converted(array: pa.Array) -> pa.Array:
    """Decimals as doubles, and unsigned numbers as signed ones, which torch has."""
    import pyarrow as pa

    return array.cast(pa.float64() if pa.types.is_decimal(array.type) else pa.int64())


def _with_nan(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    if kind_of(array.type) == "bool":
        array = array.cast(pa.int8())
    return array.cast(pa.float64()).fill_null(math.nan)


def _lists(array: pa.Array, field: Field, keep: bool) -> Tensor:
    rows, shape, each = len(array), list[int](), 1
    while (kind := kind_of(array.type)) in ("list", "fixed"):
        if kind == "fixed":
            size = array.type.list_size
        else:
            size = _only_length(np.diff(offsets_of(array)), field, each)
        array = array.flatten()
        shape.append(size)
        each *= max(size, 1)
    if not shape:
        raise _wrong(array, field)
    return _flat(array, field, keep).reshape(rows, *shape)


def _only_length(lengths: np.ndarray, field: Field, each: int = 1) -> int:
    """The length that all have.

    Args:
        each: lists a row.
    """
    if not len(lengths):
        return 0
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        row = int(odd[0]) // each
        if each == 1:
            same_shape((int(lengths[row]),), (int(lengths[0]),), field, row)
        raise Odd(
            row,
            f"{field.name!r} with lists of lengths {lengths[0]} and {lengths[odd[0]]} in it; all "
            "must have one shape",
        )
    return int(lengths[0])


def same_shape(shape: tuple[int, ...], before: tuple[int, ...], field: Field, row: int = 0) -> None:
    """Raises `Odd` where a row has another shape than those before it."""
    if shape == before:
        return
    flat = len(shape) == len(before) == 1
    found, wanted = (
        (f"length {shape[0]}", str(before[0])) if flat else (f"shape {shape}", str(before))
    )
    raise Odd(
        row,
        f"{field.name!r} of {found}, the rows before it {wanted}; all must have one "
        f"{'length' if flat else 'shape'}",
    )


def _vectors(array: pa.Array, field: Field) -> Rows:
    if not is_vector(array):
        raise _wrong(array, field)
    full = array.field("type").to_numpy() == 1
    values = array.field("values")
    offsets = offsets_of(values)
    lengths = np.diff(offsets)
    flat = _flat(values.flatten(), field)
    if full.all():
        return flat.reshape(len(array), _only_length(lengths, field))
    sizes = array.field("size").fill_null(0).to_numpy()
    width = _only_length(np.where(full, lengths, sizes), field)
    places = _places(array.field("indices"), full, lengths, width, field)
    return Sparse(torch.from_numpy((offsets - offsets[0]).astype(np.int64)), places, flat, width)


def _places(
    array: pa.Array, full: np.ndarray, lengths: np.ndarray, width: int, field: Field
) -> Tensor:
    """Where each of the values lies in its row."""
    counts = np.diff(offsets_of(array))
    null = own_nulls(array)
    if null is not None:
        counts[null] = 0
    odd = np.flatnonzero(counts != np.where(full, 0, lengths))
    if len(odd):
        row = odd[0]
        raise Odd(row, f"{field.name!r} of {lengths[row]} values at {counts[row]} indices")
    found = array.flatten().to_numpy()
    if len(found) and not 0 <= found.min() <= found.max() < width:
        wrong = np.flatnonzero((found < 0) | (found >= width))[0]
        row = int(np.searchsorted(np.cumsum(counts), wrong, side="right"))
        raise Odd(row, f"{field.name!r} of length {width} with the index {found[wrong]}")
    if not full.any():
        return torch.from_numpy(found.astype(np.int32))
    whole = np.empty(int(lengths.sum()), dtype=np.int32)
    inside = np.repeat(full, lengths)
    whole[~inside] = found
    whole[inside] = np.tile(np.arange(width, dtype=np.int32), int(full.sum()))
    return torch.from_numpy(whole)


def _bytes(array: pa.Array, field: Field) -> Tensor:
    import pyarrow as pa

    if kind_of(array.type) != "binary":
        raise _wrong(array, field)
    dtype = np.dtype(field.dtype or np.uint8)
    size, first = _byte_range(array, field)
    if size % dtype.itemsize:
        raise Odd(0, f"{field.name!r} of {size} bytes: no whole number of {dtype.name}")
    if not len(array) or not size:
        return torch.zeros((len(array), 0), dtype=torch.uint8)
    data = array.buffers()[-1].slice(first, len(array) * size)
    if dtype == np.uint8:
        plain = pa.Array.from_buffers(pa.uint8(), len(data), [None, data])
        return torch.from_dlpack(plain).reshape(len(array), size)
    numbers = np.frombuffer(data, dtype=dtype).astype(dtype.newbyteorder("="))
    return torch.from_numpy(numbers).reshape(len(array), -1)


def _byte_range(array: pa.Array, field: Field) -> tuple[int, int]:
    """Bytes a row, and where in the buffer they begin."""
    import pyarrow as pa

    if pa.types.is_fixed_size_binary(array.type):
        size = array.type.byte_width
        return size, array.offset * size
    wide = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    whole = np.frombuffer(array.buffers()[1], dtype=wide)
    offsets = whole[array.offset : array.offset + len(array) + 1]
    return _only_length(np.diff(offsets), field), int(offsets[0])


def shaped(found: Rows, field: Field) -> Rows:
    """Rows in the shape of the field: as they are, or flat ones reshaped."""
    shape, own = field.shape, tuple(found.shape[1:])
    if shape is None or _fits(own, shape):
        return found
    count, open_ends = math.prod(own), sum(one is None for one in shape)
    known = math.prod(one for one in shape if one is not None)
    flat = len(own) <= 1 or [one for one in own if one != 1] == [one for one in shape if one != 1]
    divides = count % known == 0 if open_ends == 1 and known else count == known
    if flat and open_ends < 2 and divides:
        row = [count // known if one is None else one for one in shape]
        return found.reshape((len(found), *row))
    have = f"{count} number{'s' * (count != 1)}" if len(own) <= 1 else f"shape {own}"
    wanted = f"{known}, in the shape {shape}" if open_ends == 0 else f"rows of the shape {shape}"
    raise Odd(0, f"{field.name!r} of {have}; the model takes {wanted}")


def _fits(own: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(own) == len(shape) and all(
        want is None or want == got for want, got in zip(shape, own, strict=True)
    )


def nothing(rows: int, shape: tuple[int, ...]) -> Tensor:
    """Rows of NaN."""
    return torch.full((rows, *shape), math.nan)


def spread(found: Rows, there: Tensor) -> Rows:
    """Rows with rows of NaN between them, where `there` is false."""
    whole = torch.full((len(there), *found.shape[1:]), math.nan, dtype=found.dtype)
    whole[there] = dense(found)
    return whole
