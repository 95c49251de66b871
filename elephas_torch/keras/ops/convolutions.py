"""Convolution and pooling over one, two or three spatial axes.

Follows https://keras.io/api/ops/nn/

Inputs are (batch, *spatial, channels), or (batch, channels, *spatial) with
data_format="channels_first". Kernels are (*spatial, channels, filters).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.config import checked_data_format
from elephas_torch.keras.operations import op

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose",
    "depthwise_conv", "max_pool", "separable_conv",
]  # fmt: skip

Sizes = int | Sequence[int]
_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d,
}  # fmt: skip
_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d,
}  # fmt: skip
_ADAPTIVE_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d,
}  # fmt: skip
_ADAPTIVE_MAX: dict[int, Callable[..., Tensor]] = {
    1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d,
}  # fmt: skip


@op
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """A convolution; inputs of several times the kernel's channels are taken in groups.

    Args:
        kernel: (*spatial, channels, filters).
        padding: "valid" (default, none) or "same" (an odd zero comes at the end).

    Raises:
        ValueError: the channels don't fit, or another padding.
    """
    n = _spatial("conv", inputs)
    x, last = _channels_first(inputs, data_format)
    steps, dilation = _each(strides, n), _each(dilation_rate, n)
    if x.shape[1] % kernel.shape[-2]:
        raise ValueError(
            f"conv: the inputs' channels must be a multiple of the kernel's. Received: "
            f"{x.shape[1]} and {kernel.shape[-2]}"
        )
    if _is_same("conv", padding):
        x = _padded(x, tuple(kernel.shape[:n]), steps, dilation, 0.0)
    groups = x.shape[1] // kernel.shape[-2]
    weight = kernel.permute(-1, -2, *range(n))
    return _back(_CONV[n](x, weight, None, steps, 0, dilation, groups), last)


@op
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """A convolution of each channel by itself.

    Args:
        kernel: (*spatial, channels, filters for each channel).
    """
    one = kernel.reshape(*kernel.shape[:-2], 1, -1)
    return conv(inputs, one, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """`depthwise_conv`, then a convolution with windows of one element."""
    depthwise = depthwise_conv(
        inputs, depthwise_kernel, strides, padding, data_format, dilation_rate
    )
    return conv(depthwise, pointwise_kernel, 1, "valid", data_format)


@op
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """The transposed convolution: the gradient of `conv` by its inputs.

    Args:
        kernel: (*spatial, filters, channels).
        output_padding: what the outputs are longer at the end. Default: so much that `conv` could
            have made these inputs of them.
    """
    n = _spatial("conv_transpose", inputs)
    x, last = _channels_first(inputs, data_format)
    steps, dilation = _each(strides, n), _each(dilation_rate, n)
    same = _is_same("conv_transpose", padding)
    more = (None,) * n if output_padding is None else _each(output_padding, n)
    weight = kernel.permute(-1, -2, *range(n))
    whole = _TRANSPOSED[n](x, weight, None, steps, 0, 0, 1, dilation)
    lengths = zip(kernel.shape[:n], steps, dilation, more, strict=True)
    crops = [_crop((size - 1) * rate + 1, step, same, extra) for size, step, rate, extra in lengths]
    return _back(F.pad(whole, [-one for pair in reversed(crops) for one in pair]), last)


def _crop(reach: int, step: int, same: bool, extra: int | None) -> tuple[int, int]:
    """What is cut off before and after an axis of (n - 1) step + reach; negative to add zeros.

    The rule is TensorFlow's: "same" gives n * step, and an odd one is cut off at the end.
    """
    if not same:
        return 0, -max(step - reach, 0) if extra is None else -extra
    surplus = reach - step if extra is None else reach - reach % 2 - extra
    before = max(surplus // 2, 0)
    return before, surplus - before


@op
def max_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest value of each window.

    Args:
        strides: default `pool_size`.
        padding: "valid" (default: windows that fit as a whole) or "same".
    """
    n = _spatial("max_pool", inputs)
    x, last = _channels_first(inputs, data_format)
    size = _each(pool_size, n)
    steps = size if strides is None else _each(strides, n)
    if _is_same("max_pool", padding):
        x = _padded(x, size, steps, (1,) * n, float("-inf"))
    return _back(_MAX[n](x, size, steps), last)


@op
def average_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window; what "same" adds doesn't count.

    Args: those of `max_pool`.
    """
    n = _spatial("average_pool", inputs)
    x, last = _channels_first(inputs, data_format)
    size = _each(pool_size, n)
    steps = size if strides is None else _each(strides, n)
    if not _is_same("average_pool", padding):
        return _back(_AVERAGE[n](x, size, steps), last)
    real = x.new_ones((1, 1, *x.shape[2:]))
    means, parts = (
        _AVERAGE[n](_padded(one, size, steps, (1,) * n, 0.0), size, steps) for one in (x, real)
    )
    return _back(means / parts, last)


@op
def adaptive_average_pool(
    inputs: Tensor, output_size: Sizes, data_format: str | None = None
) -> Tensor:
    """Means of as many windows as `output_size` says."""
    n = _spatial("adaptive_average_pool", inputs)
    x, last = _channels_first(inputs, data_format)
    return _back(_ADAPTIVE_AVERAGE[n](x, _each(output_size, n)), last)


@op
def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """The largest values of as many windows as `output_size` says."""
    n = _spatial("adaptive_max_pool", inputs)
    x, last = _channels_first(inputs, data_format)
    return _back(_ADAPTIVE_MAX[n](x, _each(output_size, n)), last)


def _spatial(owner: str, inputs: Tensor) -> int:
    if not 3 <= inputs.ndim <= 5:
        raise ValueError(
            f"{owner}: `inputs` must have a batch, channels and one to three more axes. "
            f"Received: shape {tuple(inputs.shape)}"
        )
    return inputs.ndim - 2


def _channels_first(inputs: Tensor, data_format: str | None) -> tuple[Tensor, bool]:
    last = checked_data_format(data_format) == "channels_last"
    return (inputs.movedim(-1, 1) if last else inputs), last


def _back(outputs: Tensor, last: bool) -> Tensor:
    return outputs.movedim(1, -1) if last else outputs


def _each(value: Sizes, n: int) -> tuple[int, ...]:
    several = (value,) * n if isinstance(value, int) else tuple(value)
    return several * n if len(several) == 1 else several


def _is_same(owner: str, padding: str) -> bool:
    name = padding.lower() if isinstance(padding, str) else padding
    if name not in ("valid", "same"):
        raise unknown(f"padding for {owner}", padding, ("valid", "same"))
    return name == "same"


def _padded(
    x: Tensor,
    size: Sequence[int],
    steps: Sequence[int],
    dilation: Sequence[int],
    value: float,
) -> Tensor:
    """What "same" adds: an odd one out comes after, as in TensorFlow."""
    pads: list[int] = []
    for length, k, step, rate in zip(x.shape[2:], size, steps, dilation, strict=True):
        windows = (length + step - 1) // step
        total = max(0, (windows - 1) * step + rate * (k - 1) + 1 - length)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value) if any(pads) else x
