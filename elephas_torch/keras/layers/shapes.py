"""Shapes as layers expect them, and the lengths that windows give.

A spec is a shape in which None fits any length and `...` any number of axes:
`(None, ..., 784)` is what a built `Dense` takes.
"""

from __future__ import annotations

from typing import Any

Shape = tuple[int | None, ...]
Spec = tuple[Any, ...]


def fits(spec: Spec, shape: Any) -> bool:
    """Whether a shape (None where unknown, batch first) is one that the spec describes."""
    if not isinstance(shape, tuple | list) or not all(_is_length(n) for n in shape):
        return False
    if ... not in spec:
        return len(shape) == len(spec) and all(map(_agree, spec, shape))
    start = spec.index(...)
    end = len(spec) - start - 1
    if len(shape) < start + end:
        return False
    return all(map(_agree, spec[:start], shape[:start])) and all(
        map(_agree, spec[start + 1 :], shape[len(shape) - end :])
    )


def shown(spec: Spec) -> str:
    """The spec as a user reads it: "(None, …, 784)"."""
    parts = ["…" if n is ... else str(n) for n in spec]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def window_length(
    length: int | None, size: int, stride: int, padding: str, dilation: int = 1
) -> int | None:
    """How many windows of `size` fit an axis; None for an unknown length, 0 where none does."""
    if length is None:
        return None
    if padding == "valid":
        return max(0, (length - dilation * (size - 1) - 1) // stride + 1)
    return (length - 1) // stride + 1


def same_padding(length: int, size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What 'same' adds before and after an axis: an odd one out comes after, as in TensorFlow."""
    windows = (length + stride - 1) // stride
    total = max(0, (windows - 1) * stride + dilation * (size - 1) + 1 - length)
    return total // 2, total - total // 2


def transposed_length(
    length: int | None,
    size: int,
    stride: int,
    padding: str,
    output_padding: int | None = None,
    dilation: int = 1,
) -> int | None:
    """How long a transposed convolution makes an axis; None for an unknown length."""
    if length is None:
        return None
    reach = dilation * (size - 1) + 1
    return (
        (length - 1) * stride
        + reach
        - sum(transposed_crops(size, stride, padding, output_padding, dilation))
    )


def transposed_crops(
    size: int, stride: int, padding: str, output_padding: int | None = None, dilation: int = 1
) -> tuple[int, int]:
    """What is cut off before and after all that a transposed convolution could give.

    Whole, an axis of n is (n - 1) * stride + reach long. A negative number after it says how
    many zeros (and the bias) come after that.
    """
    reach = dilation * (size - 1) + 1
    if padding == "valid":
        return 0, -(max(stride - reach, 0) if output_padding is None else output_padding)
    total = reach - stride if output_padding is None else reach - reach % 2 - output_padding
    before = max(0, total // 2)
    return before, total - before


def _is_length(n: Any) -> bool:
    # torch.export's lengths are no ints, but stand for some.
    return n is None or hasattr(n, "__index__")


def _agree(expected: int | None, length: int | None) -> bool:
    return expected is None or length is None or expected == length
