"""Dtypes by Keras's names, and tensors made of numbers, lists and arrays as Keras makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import config

#: torch has no arithmetic on uint16 and uint32: as in Keras on torch, the next wider type.
_TORCH: dict[str, torch.dtype] = {
    "bool": torch.bool, "uint8": torch.uint8, "uint16": torch.int32, "uint32": torch.int64,
    "int8": torch.int8, "int16": torch.int16, "int32": torch.int32, "int64": torch.int64,
    "bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32,
    "float64": torch.float64, "complex64": torch.complex64, "complex128": torch.complex128,
    "float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2,
}  # fmt: skip
_INT32 = range(-(2**31), 2**31)


def name(dtype: Any) -> str:
    """Returns the name of a dtype.

    Args:
        dtype: a name, a dtype of torch's or NumPy's, or `bool`, `int` (int32), `float` (the
            global `floatx`), `complex` (complex64); None is `floatx`.

    Raises:
        ValueError: there is no such dtype.
    """
    if dtype is None or dtype is float:
        return config.floatx()
    if isinstance(dtype, torch.dtype):
        found = str(dtype).removeprefix("torch.")
    elif dtype is int or (isinstance(dtype, str) and dtype == "int"):
        found = "int32"
    elif dtype is complex:
        found = "complex64"
    elif isinstance(dtype, str):
        found = {"float": config.floatx(), "half": "float16", "double": "float64"}.get(dtype, dtype)
    else:
        found = _numpy_name(dtype)
    if found not in _TORCH:
        raise unknown("dtype", dtype, _TORCH)
    return found


def _numpy_name(dtype: Any) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype)


def torch_dtype(dtype: Any) -> torch.dtype:
    """Returns torch's dtype for what `name` takes."""
    return dtype if isinstance(dtype, torch.dtype) else _TORCH[name(dtype)]


def widest(device: torch.device) -> torch.dtype:
    """The floats to sum in there: float64, which Macs' GPUs have none of."""
    return torch.float32 if device.type == "mps" else torch.float64


def is_float(dtype: Any) -> bool:
    """Whether it is a float type."""
    return "float" in name(dtype)


def is_integer(dtype: Any) -> bool:
    """Whether it is an integer type; bool is none."""
    return "int" in name(dtype)


def result_type(*dtypes: Any) -> str:
    """Returns the name of the type that operations on these types give.

    Args:
        *dtypes: what `name` takes. Python's `int` and `float` give way to the others; `float`
            and integers give `floatx`.
    """
    # By identity: NumPy's dtypes are equal to Python's types.
    with_int, with_float = (any(one is weak for one in dtypes) for weak in (int, float))
    strong = [torch_dtype(one) for one in dtypes if one is not int and one is not float]
    if not strong:
        return name(float if with_float else int)
    found = strong[0]
    for one in strong[1:]:
        found = torch.promote_types(found, one)
    if with_float and not (found.is_floating_point or found.is_complex):
        return config.floatx()
    if with_int and found is torch.bool:
        return "int32"
    return name(found)


def tensor(value: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Returns a tensor of a tensor, a number, an array, or a list of them.

    Args:
        dtype: None keeps a tensor's and an array's; Python's floats become `floatx`, its ints
            int32 (int64 where they don't fit).
        device: for what isn't a tensor yet.

    Raises:
        TypeError: it can't be made a tensor.
    """
    wanted = None if dtype is None else torch_dtype(dtype)
    if isinstance(value, Tensor):
        return value if wanted is None or value.dtype == wanted else value.to(wanted)
    if isinstance(value, bool | int | float | complex):
        return torch.full((), value, dtype=wanted or _of_number(value), device=device)
    if isinstance(value, list | tuple):
        return _of_list(value, wanted, device)
    return _of_array(value, wanted, device)


def _of_number(value: Any) -> torch.dtype:
    if isinstance(value, bool):
        return torch.bool
    if isinstance(value, int):
        return torch.int32 if value in _INT32 else torch.int64
    return torch_dtype(float if isinstance(value, float) else complex)


def _of_list(values: list[Any] | tuple[Any, ...], dtype: Any, device: Any) -> Tensor:
    if any(isinstance(one, Tensor) for one in values):
        parts = [tensor(one, dtype, device) for one in values]
        common = torch_dtype(result_type(*(one.dtype for one in parts)))
        return torch.stack([one.to(common) for one in parts])
    if any(isinstance(one, list | tuple) and _has_tensor(one) for one in values):
        return torch.stack([tensor(one, dtype, device) for one in values])
    kinds = {_kind(one) for one in _flat(values)}
    return torch.as_tensor(
        _plain(values), dtype=dtype or torch_dtype(result_type(*kinds or {float})), device=device
    )


def _plain(values: Any) -> Any:
    """A nested list as one array: torch is slow on lists of arrays."""
    try:
        array = np.array(values)
    except ValueError as error:
        raise ValueError(f"Rows of different lengths make no tensor: {error}") from error
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"Can't make a tensor of {array.dtype} values; use numbers. Received: {values!r}"
        )
    return array


def _of_array(value: Any, dtype: Any, device: Any) -> Tensor:
    array = value if isinstance(value, np.ndarray) else np.array(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            "Can't make a tensor of this; give numbers, arrays, tensors or lists of them. "
            f"Received: {value!r} (of type {type(value).__name__})"
        )
    found = dtype or torch_dtype(array.dtype)
    if any(step < 0 for step in array.strides) or not array.flags.writeable:
        array = array.copy()
    return torch.as_tensor(array, dtype=found, device=device)


def _kind(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT32:
        return torch.int64
    kind = getattr(value, "dtype", type(value))
    # NumPy makes 64 bits of everything: in a list that is nobody's choice.
    if isinstance(kind, np.dtype) and kind.name in ("float64", "int64"):
        return float if kind.name == "float64" else int
    return kind


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for one in values:
        if isinstance(one, list | tuple):
            yield from _flat(one)
        else:
            yield one


def _has_tensor(values: Iterable[Any]) -> bool:
    return any(isinstance(one, Tensor) for one in _flat(values))
