"""Activations: functions on torch tensors, with Keras 3's names, arguments and defaults.

Each follows the function of its name on https://keras.io/api/layers/activations, takes a
float tensor of any shape, and returns one of the same shape (`glu` halves its axis).

    >>> import torch
    >>> from elephas_torch.keras import activations
    >>> activations.get("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import serialization
from elephas_torch.keras.identifiers import find, name_of
from elephas_torch.keras.operations import op

Activation = Callable[..., Tensor]


def linear(x: Any) -> Any:
    """x itself."""
    return x


@op
def relu(
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """The larger of x and 0.

    Args:
        x: float tensor.
        negative_slope: below the threshold: `negative_slope * (x - threshold)`.
        max_value: where the result is cut off; None: nowhere.
        threshold: values up to it count as negative.
    """
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return torch.relu(x)
    y = torch.where(x > threshold, x, 0.0)
    if max_value is not None:
        y = y.clamp(0.0, max_value)
    if negative_slope != 0.0:
        y = y - negative_slope * torch.relu(threshold - x)
    return y


@op
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x, or `negative_slope * x` where x is negative."""
    return F.leaky_relu(x, negative_slope)


@op
def relu6(x: Tensor) -> Tensor:
    """x cut to [0, 6]."""
    return F.relu6(x)


@op
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`: positive, and 1 in sum."""
    return torch.softmax(x, axis)


@op
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of `softmax`."""
    return torch.log_softmax(x, axis)


@op
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


@op
def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of `sigmoid`."""
    return F.logsigmoid(x)


@op
def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6, as in Keras 3 and torch.

    That of Keras 1 and 2 was 0.2 x + 0.5 cut to [0, 1]: `keras.backend.hard_sigmoid` is it.
    """
    return F.hardsigmoid(x)


@op
def sparse_sigmoid(x: Tensor) -> Tensor:
    """(x + 1) / 2 cut to [0, 1]."""
    return torch.where(x <= -1, 0.0, torch.where(x >= 1, 1.0, 0.5 * (x + 1)))


@op
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


@op
def hard_tanh(x: Tensor) -> Tensor:
    """x cut to [-1, 1]."""
    return F.hardtanh(x)


@op
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return x - torch.tanh(x)


@op
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x, or `alpha * (exp(x) - 1)` where x is negative."""
    return F.elu(x, alpha)


@op
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x, or `alpha * (exp(x / alpha) - 1)` where x is negative."""
    return F.celu(x, alpha)


@op
def selu(x: Tensor) -> Tensor:
    """1.0507 * elu(x, 1.6733), which keeps mean and variance (Klambauer et al., 2017)."""
    return torch.selu(x)


@op
def softplus(x: Tensor) -> Tensor:
    """log(exp(x) + 1)."""
    return F.softplus(x)


@op
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x."""
    return torch.where(x <= -1, 0.0, torch.where(x < 1, 0.25 * (x + 1) ** 2, x))


@op
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2."""
    return (x + torch.sqrt(x * x + b)) / 2


@op
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return F.softsign(x)


@partial(op, name="exp")
def exponential(x: Tensor) -> Tensor:
    """exp(x)."""
    return torch.exp(x)


@op
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish."""
    return F.silu(x)


@op
def hard_silu(x: Tensor) -> Tensor:
    """x * relu6(x + 3) / 6, also called hard_swish."""
    return F.hardswish(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution's P(X <= x); `approximate` takes a tanh for it."""
    return _gelu(x, approximate)


@partial(op, name="gelu")
def _gelu(x: Tensor, approximate: bool) -> Tensor:
    return F.gelu(x, approximate="tanh" if approximate else "none")


@op
def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)) (Misra, 2019)."""
    return F.mish(x)


@op
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of `axis`, times the sigmoid of its second half."""
    return F.glu(x, axis)


@op
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by `threshold`, and 0 within it."""
    return F.softshrink(x, threshold)


@op
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x, or 0 where |x| <= threshold."""
    return F.hardshrink(x, threshold)


@op
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x, or `default_value` where x <= threshold."""
    return F.threshold(x, threshold, default_value)


@op
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest point to x of those that are 0 or more with 1 in sum along `axis`
    (Martins and Astudillo, 2016)."""
    shape = [1] * x.ndim
    shape[axis] = -1
    ranks = torch.arange(1, x.size(axis) + 1, dtype=x.dtype, device=x.device).view(shape)
    ordered = torch.sort(x, dim=axis, descending=True).values
    sums = ordered.cumsum(axis)
    support = 1 + ranks * ordered > sums
    kept = support.sum(axis, keepdim=True)
    tau = (sums.gather(axis, kept - 1) - 1) / kept
    return torch.relu(x - tau)


_FUNCTIONS: tuple[Activation, ...] = (
    linear, relu, leaky_relu, relu6, softmax, log_softmax, sigmoid, log_sigmoid, hard_sigmoid,
    sparse_sigmoid, tanh, hard_tanh, tanh_shrink, elu, celu, selu, softplus, sparse_plus,
    squareplus, softsign, exponential, silu, hard_silu, gelu, mish, glu, soft_shrink,
    hard_shrink, threshold, sparsemax,
)  # fmt: skip

swish = silu
hard_swish = hard_silu

_BY_NAME: dict[str, Activation] = {
    **{function.__name__: function for function in _FUNCTIONS},
    "swish": silu,
    "hard_swish": hard_silu,
}


def get(identifier: str | dict[str, Any] | Activation | None) -> Activation:
    """Returns an activation.

    Args:
        identifier: a name of Keras's ("relu", "swish" …) or of a custom object, a config, a
            callable (returned as it is), or None for `linear`.

    Raises:
        ValueError: no activation has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return find("activation", identifier, _BY_NAME)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    raise TypeError(
        "`activation` must be a name such as 'relu', or a function on tensors. "
        f"Received: activation={identifier!r} (of type {type(identifier).__name__})"
    )


def serialize(activation: Activation) -> Any:
    """Returns what `get` makes the activation of again.

    Returns:
        a function's name (that which a function of your own was registered under, or its
        `__name__`); the config of an object such as a layer.
    """
    if hasattr(activation, "get_config"):
        return serialization.serialize_keras_object(activation)
    return name_of(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Activation:
    """Returns the activation that `serialize` or Keras's `serialize` described.

    Args:
        config: a name, or a config.
        custom_objects: your own functions and classes by name.

    Raises:
        ValueError: nobody knows the name.
    """
    with serialization.custom_object_scope(custom_objects or {}):
        if not isinstance(config, dict):
            return get(config)
        if config.get("class_name") == "function":
            return get(config["config"])
        return serialization.deserialize_keras_object(config, kind="activation")
