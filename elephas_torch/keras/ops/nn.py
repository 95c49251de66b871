"""What layers and losses are made of. Follows https://keras.io/api/ops/nn/

The activations are those of `keras.activations`; `gelu` alone has another default here, as in
Keras: it is approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import config
from elephas_torch.keras.activations import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh_shrink,
    threshold,
)
from elephas_torch.keras.dtypes import result_type, torch_dtype
from elephas_torch.keras.operations import op
from elephas_torch.keras.ops.axes import axes, one_axis
from elephas_torch.keras.ops.convolutions import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    conv,
    conv_transpose,
    depthwise_conv,
    max_pool,
    separable_conv,
)
from elephas_torch.keras.ops.crossentropies import (
    binary_crossentropy,
    categorical_crossentropy,
    ctc_loss,
    sparse_categorical_crossentropy,
)
from elephas_torch.keras.ops.reductions import moments

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization",
    "binary_crossentropy", "categorical_crossentropy", "celu", "conv", "conv_transpose",
    "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention", "elu", "fold",
    "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "max_pool", "mish",
    "moments", "multi_hot", "normalize", "one_hot", "polar", "psnr", "relu", "relu6",
    "rms_normalization", "selu", "separable_conv", "sigmoid", "silu", "soft_shrink", "softmax",
    "softplus", "softsign", "space_to_depth", "sparse_categorical_crossentropy", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold", "unfold",
]  # fmt: skip

swish = silu
hard_swish = hard_silu


@op
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """x times the normal distribution's P(X <= x); `approximate` takes a tanh for it."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@op
def one_hot(
    x: Tensor, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """A new axis with 1 at the class and 0 elsewhere; zeros for classes that aren't there.

    Args:
        x: integers.
        num_classes: length of the new axis.
        axis: its place. Default: the last.
        dtype: default `config.floatx()`.

    Raises:
        ValueError: `sparse` isn't there.
    """
    _only_dense("one_hot", sparse)
    classes = torch.arange(num_classes, device=x.device)
    hot = (x.long().unsqueeze(-1) == classes).to(torch_dtype(dtype))
    return hot.movedim(-1, one_axis(hot.ndim, axis))


@op
def multi_hot(
    inputs: Tensor,
    num_classes: int,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
) -> Tensor:
    """1 for each class that is among a row's, and 0 for the others.

    Args:
        inputs: integers (batch, classes of a row), or those of one row.

    Raises:
        ValueError: `sparse` isn't there.
    """
    _only_dense("multi_hot", sparse)
    hot = one_hot(inputs, num_classes, axis, dtype)
    return torch.amax(hot, 1 if inputs.ndim > 1 else 0)


def _only_dense(owner: str, sparse: bool) -> None:
    if sparse:
        raise ValueError(f"{owner}: sparse results aren't there. Received: sparse=True")


@op
def normalize(x: Tensor, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """x over its norm along `axis`, which counts at least `epsilon`.

    Args:
        order: of the norm, 1 or more; over two axes it is a matrix's.
        epsilon: default `config.epsilon()`.

    Raises:
        ValueError: another order.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"normalize: `order` must be an integer from 1. Received: order={order!r}")
    x = x.to(torch_dtype(result_type(x.dtype, float)))
    smallest = config.epsilon() if epsilon is None else epsilon
    if order == 2:
        squares = torch.sum(x * x, axes(x, axis), keepdim=True)
        return x * torch.clamp(torch.rsqrt(squares), max=1 / smallest)
    norm = torch.linalg.norm(x, order, axes(x, axis), True)
    return x / torch.clamp(norm, min=smallest)


@op
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with vectors along `axis`."""
    shape = [1] * x.ndim
    shape[axis] = -1
    factor = torch.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    result = (x - mean.reshape(shape)) * factor.reshape(shape)
    return result if offset is None else result + offset.reshape(shape)


@op
def layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    axis: Any = -1,
    epsilon: float | None = None,
) -> Tensor:
    """x with mean 0 and variance 1 along axes, times gamma, plus beta.

    Args:
        gamma, beta: of the axes' lengths.
        epsilon: added to the variance. Default `config.epsilon()`.
    """
    over = tuple(sorted(axes(x, axis)))
    wide = _wide(x)
    mean, variance = moments(wide, over, keepdims=True)
    result = (wide - mean) * torch.rsqrt(variance + _epsilon(epsilon))
    result = result if gamma is None else result * _along(gamma, x, over)
    result = result if beta is None else result + _along(beta, x, over)
    return result.to(x.dtype)


@op
def rms_normalization(
    x: Tensor, scale: Tensor | None = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """x over the root of its mean square along axes, times scale.

    Args:
        scale: of the axes' lengths.
        epsilon: added to the mean square. Default `config.epsilon()`.
    """
    over = tuple(sorted(axes(x, axis)))
    wide = _wide(x)
    squares = torch.mean(wide * wide, over, keepdim=True)
    result = wide * torch.rsqrt(squares + _epsilon(epsilon))
    return (result if scale is None else result * _along(scale, x, over)).to(x.dtype)


def _epsilon(value: float | None) -> float:
    return config.epsilon() if value is None else value


def _wide(x: Tensor) -> Tensor:
    """At least float32: half precision is too short for squares."""
    return x.to(torch_dtype(result_type(x.dtype, torch.float32)))


def _along(weight: Tensor, x: Tensor, over: Sequence[int]) -> Tensor:
    shape = [n if i in over else 1 for i, n in enumerate(x.shape)]
    return weight if weight.ndim == x.ndim else weight.reshape(shape)


@op
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query @ key * scale + bias) @ value, for each head.

    Args:
        query: (batch, queries, heads, features).
        key, value: (batch, keys, heads, features); fewer heads are shared out evenly.
        bias: broadcasts to (batch, heads, queries, keys).
        mask: of that shape too; keys where it is false aren't looked at.
        scale: default 1 / sqrt(features).
        is_causal: no query looks at later keys.
        flash_attention: taken; torch chooses the kernel.
        attn_logits_soft_cap: c * tanh(logits / c) for the logits.

    Raises:
        ValueError: inputs without four axes.
    """
    if {query.ndim, key.ndim, value.ndim} != {4}:
        raise ValueError(
            "dot_product_attention: `query`, `key` and `value` must have four axes. Received: "
            f"shapes {tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}"
        )
    kind = torch_dtype(result_type(query.dtype, key.dtype, value.dtype))
    q, k, v = (one.to(kind).transpose(1, 2) for one in (query, key, value))
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = (one.repeat_interleave(shared, 1) for one in (k, v))
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    added = _attention_bias(q, k, bias, mask, is_causal)
    if attn_logits_soft_cap is None:
        found = F.scaled_dot_product_attention(q, k, v, added, scale=factor)
        return found.transpose(1, 2)
    logits = torch.tanh(q @ k.mT * factor / attn_logits_soft_cap) * attn_logits_soft_cap
    weights = torch.softmax(logits if added is None else logits + added, -1)
    return (weights @ v).transpose(1, 2)


def _attention_bias(
    q: Tensor, k: Tensor, bias: Tensor | None, mask: Tensor | None, is_causal: bool
) -> Tensor | None:
    """What is added to the logits: the bias, and the lowest numbers where nothing is seen."""
    seen = None if mask is None else mask.to(torch.bool)
    if is_causal:
        causal = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        seen = causal if seen is None else seen & causal
    added = None if bias is None else bias.to(q.dtype)
    if seen is None:
        return added
    # Finite, so that a query that sees nothing gets the mean of all and not NaN.
    lowest = torch.where(seen, 0.0, 0.7 * torch.finfo(q.dtype).min).to(q.dtype)
    return lowest if added is None else added + lowest


@op
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """The peak signal to noise ratio of two images whose largest value is `max_val`, in dB.

    Raises:
        ValueError: the shapes differ.
    """
    if x1.shape != x2.shape:
        raise ValueError(
            f"psnr: the shapes must be the same. Received: {tuple(x1.shape)}, {tuple(x2.shape)}"
        )
    error = torch.mean((x1 - x2) ** 2)
    return 20 * torch.log10(torch.full_like(error, max_val)) - 10 * torch.log10(error)


@op
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of absolute values and angles in radians."""
    return torch.polar(abs_, angle)


@op
def unfold(
    x: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of images (batch, channels, height, width) as columns:
    (batch, channels * window, windows)."""
    return F.unfold(x, kernel_size, dilation, padding, stride)


@op
def fold(
    x: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The way back from `unfold` to images of `output_size`; overlaps are added."""
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)


@op
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Channels moved into squares of `block_size` pixels of images."""
    last = config.checked_data_format(data_format) == "channels_last"
    image = x if last else x.permute(0, 2, 3, 1)
    n, h, w, c = image.shape
    b, depth = block_size, c // block_size**2
    parts = image.reshape(n, h, w, b, b, depth) if last else _split_first(image, b, depth)
    result = parts.permute(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, depth)
    return result if last else result.permute(0, 3, 1, 2)


def _split_first(image: Tensor, block: int, depth: int) -> Tensor:
    """Channels first, a pixel's channels lie depth first."""
    n, h, w, _ = image.shape
    return image.reshape(n, h, w, depth, block, block).permute(0, 1, 2, 4, 5, 3)


@op
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Squares of `block_size` pixels of images moved into channels."""
    last = config.checked_data_format(data_format) == "channels_last"
    image = x if last else x.permute(0, 2, 3, 1)
    n, h, w, c = image.shape
    b = block_size
    parts = image.reshape(n, h // b, b, w // b, b, c).permute(0, 1, 3, 2, 4, 5)
    parts = parts if last else parts.permute(0, 1, 2, 5, 3, 4)
    result = parts.reshape(n, h // b, w // b, c * b * b)
    return result if last else result.permute(0, 3, 1, 2)
