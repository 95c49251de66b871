"""`pad_sequences`: lists of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elephas_torch.errors import unknown

_ENDS = ("pre", "post")


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Makes sequences equally long: fills up short ones, cuts long ones.

    Follows https://keras.io/api/data_loading/timeseries/#padsequences-function

    Args:
        sequences: lists or arrays, one a sample; their entries may be arrays of one shape.
        maxlen: the length; by default that of the longest sequence.
        dtype: of the result. Default "int32"; `object` for strings of different lengths.
        padding: "pre" fills at the beginning, "post" at the end.
        truncating: "pre" cuts at the beginning, "post" at the end.
        value: what is filled in. Default 0.

    Returns:
        An array of shape (samples, maxlen, ...).

    Raises:
        ValueError: `sequences` isn't a list of sequences, their entries differ in shape, or
            another argument isn't one of the above.

    Example:
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    for name, end in (("padding", padding), ("truncating", truncating)):
        if end not in _ENDS:
            raise unknown(f"`{name}` of pad_sequences", end, _ENDS)
    _check_value(value, dtype)
    lengths = _lengths(sequences)
    length = max(lengths, default=0) if maxlen is None else _checked_length(maxlen)
    shape = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    result = np.full((len(lengths), length, *shape), value, dtype=dtype)
    for row, sequence in enumerate(sequences):
        cut = min(lengths[row], length)
        if not cut:
            continue
        part = sequence[-cut:] if truncating == "pre" else sequence[:cut]
        entries = np.asarray(part, dtype=dtype)
        if entries.shape[1:] != shape:
            raise ValueError(
                f"pad_sequences: the entries of sequence {row} have the shape "
                f"{entries.shape[1:]}, those of the first one {shape}."
            )
        result[row, slice(length - cut, None) if padding == "pre" else slice(cut)] = entries
    return result


def _lengths(sequences: Any) -> list[int]:
    if not hasattr(sequences, "__len__"):
        raise ValueError(
            "`sequences` must be a list of sequences. "
            f"Received: sequences={sequences!r} (of type {type(sequences).__name__})"
        )
    for row, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(
                "`sequences` must be a list of sequences, such as [[1, 2], [3]]; entry "
                f"{row} is {sequence!r}."
            )
    return [len(sequence) for sequence in sequences]


def _checked_length(maxlen: Any) -> int:
    if isinstance(maxlen, bool) or not isinstance(maxlen, int | np.integer) or maxlen < 0:
        raise ValueError(f"`maxlen` must be a whole number, 0 or more. Received: maxlen={maxlen!r}")
    return int(maxlen)


def _check_value(value: Any, dtype: Any) -> None:
    strings = dtype is object or np.dtype(dtype).kind in "USO"
    if isinstance(value, str) and not strings:
        raise ValueError(
            f"A string as `value` needs dtype=object. Received: value={value!r}, dtype={dtype!r}"
        )
