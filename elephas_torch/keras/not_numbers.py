"""What to do with arrays whose entries aren't numbers: the advice in messages."""

from __future__ import annotations

from typing import Any

import numpy as np

_CODES = (
    "Make numbers of strings first: np.unique(labels, return_inverse=True) gives each label a "
    "number, keras.preprocessing.text.Tokenizer each word."
)
_TIMES = "Make numbers of times first: (t - t.min()) / np.timedelta64(1, 's')."


def advice(array: Any) -> str:
    """Returns what to do to make numbers of an array's entries; "" for numbers.

    Args:
        array: a NumPy array, of strings, objects or times too.
    """
    kind = array.dtype.kind
    if kind in "mM":
        return _TIMES
    if kind in "SU":
        return _CODES
    return _of_objects(array) if kind == "O" else ""


def _of_objects(array: np.ndarray) -> str:
    entries = np.asarray(array).reshape(-1)[:_LOOKED_AT].tolist()
    if any(isinstance(one, str | bytes) for one in entries):
        return _CODES
    if any(one is None for one in entries):
        return "There are None among them: fill them in, or leave their rows out."
    if any(np.ndim(one) for one in entries):
        return (
            "Rows of different lengths: keras.utils.pad_sequences makes them one length; of rows "
            "of one shape np.stack makes an array."
        )
    return "If they are numbers, .astype('float32') makes an array of them."


#: Entries that are looked at: a large array has nothing else in it, as a rule.
_LOOKED_AT = 1000
