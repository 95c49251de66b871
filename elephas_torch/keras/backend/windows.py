"""Products, convolutions and pooling as Keras 1 and 2 have them."""

from __future__ import annotations

from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.keras import config, ops
from elephas_torch.keras.ops import ndim, shape


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """The product of each row of x with the same row of y over an axis of each.

    Args:
        axes: the axis of both, or (x's, y's); never 0. Default: x's last and y's last but one
            (a matrix's last).

    Returns:
        (batch, x's other axes, y's other axes); (batch, 1) where there are none.

    Raises:
        ValueError: fewer than two axes, or lengths that don't fit.
    """
    left, right = shape(x), shape(y)
    if min(len(left), len(right)) < 2:
        raise ValueError(
            "batch_dot: `x` and `y` must have a batch and one more axis. "
            f"Received: shapes {left}, {right}"
        )
    if axes is None:
        axes = (len(left) - 1, max(len(right) - 2, 1))
    first, second = (axes, axes) if isinstance(axes, int) else axes
    a, b = first % len(left), second % len(right)
    if 0 in (a, b) or left[a] != right[b]:
        raise ValueError(
            "batch_dot: `axes` must name axes of one length, and not the batch. Received: "
            f"axes={axes}, shapes {left}, {right}"
        )
    result = ops.einsum(_subscripts(len(left), len(right), a, b), x, y)
    return ops.expand_dims(result, 1) if len(left) == len(right) == 2 else result


def _subscripts(left: int, right: int, a: int, b: int) -> str:
    """For einsum: the batch is Z, the axis that is summed over z."""
    names = iter("abcdefghijkl")
    x = ["Z", *("z" if i == a else next(names) for i in range(1, left))]
    y = ["Z", *("z" if i == b else next(names) for i in range(1, right))]
    kept = [one for one in (*x, *y[1:]) if one != "z"]
    return f"{''.join(x)},{''.join(y)}->{''.join(kept)}"


def bias_add(x: Any, bias: Any, data_format: Any = None) -> Any:
    """x plus a bias of each channel, or one of x's shape without the batch."""
    axes = ndim(bias)
    if config.checked_data_format(data_format) == "channels_last" or axes == ndim(x):
        return ops.add(x, bias)
    if axes == 1:
        return ops.add(x, ops.reshape(bias, (-1, *[1] * (ndim(x) - 2))))
    return ops.add(x, ops.moveaxis(bias, -1, 0))


def _conv(x: Any, kernel: Any, strides: Any, padding: str, data_format: Any, rate: Any) -> Any:
    return ops.conv(x, kernel, strides, padding, data_format, rate)


def conv1d(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """A convolution over time; padding "valid", "same" or "causal"."""
    if padding == "causal":
        before = dilation_rate * (shape(kernel)[0] - 1)
        last = config.checked_data_format(data_format) == "channels_last"
        pairs = [(0, 0), (before, 0), (0, 0)] if last else [(0, 0), (0, 0), (before, 0)]
        x, padding = ops.pad(x, pairs), "valid"
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """A convolution of images."""
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1, 1),
) -> Any:
    """A convolution of volumes."""
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


def depthwise_conv2d(
    x: Any,
    depthwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """A convolution of each channel of images by itself."""
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """`depthwise_conv2d`, then a convolution of single pixels."""
    kernels = depthwise_kernel, pointwise_kernel
    return ops.separable_conv(x, *kernels, strides, padding, data_format, dilation_rate)


def _pool(x: Any, size: Any, strides: Any, padding: str, data_format: Any, mode: str) -> Any:
    modes = {"max": ops.max_pool, "avg": ops.average_pool}
    if mode not in modes:
        raise unknown("pool_mode", mode, modes)
    return modes[mode](x, size, strides, padding, data_format)


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    pool_mode: str = "max",
) -> Any:
    """The largest value ("max") or the mean ("avg") of each window of images."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def pool3d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: Any = None,
    pool_mode: str = "max",
) -> Any:
    """The largest value ("max") or the mean ("avg") of each window of volumes."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta."""
    return ops.batch_normalization(x, mean, var, axis, beta, gamma, epsilon)
