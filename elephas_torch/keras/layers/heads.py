"""What attention layers with several heads share: scores, masks, and the sum of values.

Tensors here are (batch, …, heads, length): queries, keys and values after their projections.
"""

from __future__ import annotations

import math
import string
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import initializers, masks, regularizers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.noises import Noise

Axes = tuple[int, ...]


class Headed(BuiltIn):
    """What `MultiHeadAttention` and `GroupedQueryAttention` share: arguments, masks, and the
    computation after the projections."""

    supports_masking = True
    regularized = ("kernel", "bias")
    fixed_unwritten: ClassVar = {}

    _axes: Axes
    _built_for: tuple[Any, ...]

    def __init__(
        self,
        *,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        activity_regularizer: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.dropout = arguments.rate(owner, "dropout", dropout)
        self.use_bias = bool(use_bias)
        if sliding_window is not None:
            arguments.positive_integer(owner, "sliding_window", sliding_window)
        self.sliding_window = sliding_window
        if flash_attention and self.dropout:
            raise ValueError(
                f"{owner}: `flash_attention` knows no dropout. "
                f"Received: flash_attention=True, dropout={dropout}"
            )
        self.flash_attention = flash_attention
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        # Of what the projections give, not of the layer's outputs, as in Keras.
        self._activity_rule = regularizers.get(activity_regularizer)
        self.use_gate = bool(use_gate)
        self.seed = seed
        self._noise = Noise(seed)

    def _of_parts(self) -> dict[str, Any]:
        """Arguments of the projections."""
        rules = {
            f"{weight}_{kind}": getattr(self, f"{weight}_{kind}")
            for weight in self.regularized
            for kind in ("regularizer", "constraint")
        }
        return {
            **rules,
            "activity_regularizer": self._activity_rule,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "trainable": self.trainable,
            "dtype": self.dtype_policy,
        }

    def _fit(self, query: Tensor, value: Tensor, key: Tensor) -> None:
        """Raises ValueError unless the last axes are as long as when the layer was built."""
        given = (query.shape[-1], value.shape[-1], key.shape[-1])
        if given != self._built_for:
            raise ValueError(
                f"{self._label} was built for a query, value and key of lengths "
                f"{self._built_for}. Received: query of shape {tuple(query.shape)}, value of shape "
                f"{tuple(value.shape)}, key of shape {tuple(key.shape)}"
            )

    def _explain(self, inputs: Any) -> None:
        return None  # there is more than one input to look at

    def _seen(
        self, query: Tensor, value: Tensor, given: Tensor | None, named: Named, causal: bool
    ) -> Tensor | None:
        """All masks in one: (batch, queries, values), or what broadcasts to it; None for none."""
        parts = [] if given is None else [_bool(given)]
        if named.query is not None:
            parts.append(_bool(named.query).unsqueeze(-1))
        parts += [_bool(one).unsqueeze(-2) for one in named[1:] if one is not None]
        if causal or self.sliding_window is not None:
            rows = torch.arange(query.shape[1], device=query.device).unsqueeze(1)
            columns = torch.arange(value.shape[1], device=query.device)
            if causal:
                parts.append((rows >= columns).unsqueeze(0))
            if self.sliding_window is not None:
                parts.append(((rows - columns).abs() < self.sliding_window).unsqueeze(0))
        if not parts:
            return None
        try:
            found = parts[0]
            for part in parts[1:]:
                found = found & part
        except RuntimeError:
            raise ValueError(
                f"{self._label}: masks must broadcast to (batch, queries, values). "
                f"Received: masks of shapes {', '.join(str(tuple(one.shape)) for one in parts)} "
                f"for a query of shape {tuple(query.shape)} and a value of shape "
                f"{tuple(value.shape)}"
            ) from None
        return found

    def _attended(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        seen: Tensor | None,
        causal: bool,
        want_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """The sums of values, and the weights where they are asked for."""
        if want_scores and self.flash_attention:
            raise ValueError(
                f"{self._label}: `flash_attention` gives no scores. "
                "Received: return_attention_scores=True, flash_attention=True"
            )
        if not (self.dropout or want_scores or query.dim() != 4):
            return _fused(query, key, value, seen, causal), None
        if causal:
            shape = (query.shape[1], key.shape[1])
            seen = torch.ones(shape, dtype=torch.bool, device=query.device).tril().unsqueeze(0)
        weights = attention_weights(query, key, seen, self._axes)
        dropped = weights
        if self.training and self.dropout:
            dropped = weights * self._noise.mask(weights, weights.shape, self.dropout)
        _, combine = equations(query.dim(), self._axes)
        return torch.einsum(combine, dropped, value), weights

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "activity_regularizer": regularizers.serialize(self._activity_rule),
            "seed": self.seed,
        }


class Named(NamedTuple):
    """The masks of query, value and key: (batch, queries), (batch, values), (batch, values)."""

    query: Tensor | None
    value: Tensor | None
    key: Tensor | None


def attention_weights(query: Tensor, key: Tensor, seen: Tensor | None, axes: Axes) -> Tensor:
    """How much each query takes of each value: (batch, …, heads, queries, values)."""
    product, _ = equations(query.dim(), axes)
    scores = torch.einsum(product, key, query / math.sqrt(query.shape[-1]))
    seen = None if seen is None else _beside_heads(seen, scores.dim(), len(axes))
    if seen is not None:
        lowest = -3e4 if scores.dtype == torch.float16 else -1e9
        scores = torch.where(seen, scores, lowest)
    weights = torch.softmax(scores.flatten(-len(axes)), -1).view(scores.shape)
    return weights if seen is None else torch.where(seen, weights, 0.0)


def equations(rank: int, axes: Axes) -> tuple[str, str]:
    """Of einsum: for (key, query) -> scores, and (weights, value) -> sums of values.

    Args:
        rank: of queries, keys and values.
        axes: over which values are summed.
    """
    target = string.ascii_lowercase[:rank]
    more = iter(string.ascii_lowercase[rank:])
    source = "".join(next(more) if n in axes else letter for n, letter in enumerate(target))
    rest = "".join(target[n] for n in range(rank - 1) if n not in axes)
    scores = rest + "".join(target[n] for n in axes) + "".join(source[n] for n in axes)
    return f"{source},{target}->{scores}", f"{scores},{source}->{target}"


def bare(x: Tensor) -> Tensor:
    """The tensor without its mask."""
    return x if masks.get(x) is None else x.view_as(x)


def _fused(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool) -> Tensor:
    added = None
    if seen is not None:
        # Not -inf, nor bools: a query that sees nothing takes the mean of all, as in Keras.
        lowest = 0.7 * torch.finfo(query.dtype).min
        added = torch.zeros_like(seen, dtype=query.dtype).masked_fill(~seen, lowest)
        added = _beside_heads(added, 4, 1)
    outputs = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        added,
        is_causal=causal,
    )
    return outputs.transpose(1, 2)


def _beside_heads(seen: Tensor, rank: int, attended: int) -> Tensor:
    """A mask with axes of 1 for heads, and for other axes that aren't attended over."""
    for _ in range(rank - seen.dim()):
        seen = seen.unsqueeze(-2 * attended - 1)
    return seen


def _bool(mask: Any) -> Tensor:
    return torch.as_tensor(mask).to(torch.bool)
