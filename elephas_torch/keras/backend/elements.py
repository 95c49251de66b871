"""Functions of single elements as Keras 1 and 2 have them."""

from __future__ import annotations

from typing import Any

import torch

from elephas_torch.keras import activations, ops, random
from elephas_torch.keras.ops import ndim

abs = ops.abs
round = ops.round


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """x cut to [min_value, max_value]; None is no bound."""
    low = -torch.inf if min_value is None else min_value
    high = torch.inf if max_value is None else max_value
    return ops.clip(x, low, high)


def sqrt(x: Any) -> Any:
    """The square root; 0 for what is negative."""
    return ops.sqrt(ops.maximum(x, 0.0))


def pow(x: Any, a: Any) -> Any:
    """x to the power of a."""
    return ops.power(x, a)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """`activations.relu`, with Keras 2's name `alpha` for the slope below the threshold."""
    return activations.relu(x, alpha, max_value, threshold)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, or `alpha * (exp(x) - 1)` where x is negative."""
    return activations.elu(x, alpha)


def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5 cut to [0, 1], as in Keras 1 and 2; `activations.hard_sigmoid` is Keras 3's."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two tensors, or of what two functions give, element by element.

    Args:
        condition: true or false, or a tensor with the expressions' first axes.
    """
    if any(callable(one) for one in (then_expression, else_expression)):
        chosen = then_expression if condition else else_expression
        return chosen() if callable(chosen) else chosen
    more = ndim(then_expression) - ndim(condition)
    for _ in range(more):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, then_expression, else_expression)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """x, each 0 with the probability `level`, the others scaled to keep the sum."""
    return random.dropout(x, level, noise_shape, seed)


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether each row's class is among its k largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The crossentropy of each element."""
    return ops.binary_crossentropy(target, output, from_logits)


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The crossentropy along the classes' axis."""
    return ops.categorical_crossentropy(target, output, from_logits, axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The crossentropy along the classes' axis, for targets that are classes."""
    return ops.sparse_categorical_crossentropy(target, output, from_logits, axis)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    """x over its Euclidean norm along `axis`; None is the norm of all."""
    over = tuple(range(ndim(x))) if axis is None else axis
    return ops.normalize(x, over, 2, 1e-6)
