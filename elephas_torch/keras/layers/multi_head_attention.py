"""Attention with several heads."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from elephas_torch.keras import masks
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape, specs_of
from elephas_torch.keras.layers.einsum_dense import EinsumDense
from elephas_torch.keras.layers.heads import Headed, Named, bare

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(Headed):
    """Attention of several heads, each with projections of its own (Vaswani et al., 2017).

    Follows https://keras.io/api/layers/attention_layers/multi_head_attention/

    Args:
        num_heads: how many heads.
        key_dim: length of each head's queries and keys.
        value_dim: length of each head's values. Default `key_dim`.
        dropout: share of the weights that training drops. Default 0.
        use_bias: of the projections. Default True.
        output_shape: of an output, without batch and steps. Default the query's length.
        attention_axes: axes of the inputs that are attended over. Default all but the batch and
            the last one.
        sliding_window: a query sees values fewer than so many places away. Default None, all.
        flash_attention: accepted; torch chooses its kernel by itself.
        kernel_initializer, bias_initializer: Defaults "glorot_uniform", "zeros".
        kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint: of the
            projections. Default None.
        activity_regularizer: of what each projection gives. Default None.
        use_gate: multiply each head's outputs by a sigmoid of the query's projection. Default
            False.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Call arguments:
        query, value: (batch, queries, …), (batch, values, …).
        key: Default the value.
        query_mask, value_mask, key_mask: bools (batch, queries), (batch, values). Default the
            masks that the tensors carry.
        attention_mask: bools (batch, queries, values), or what broadcasts to it.
        return_attention_scores: give the weights (batch, heads, queries, values) too. Default
            False.
        use_causal_mask: a query sees no values after its own place. Default False.

    Weights: kernel (inputs, heads, length) and bias (heads, length) of query, key, gate and
    value; kernel (heads, value_dim, outputs) and bias (outputs,) of the output.

    Raises:
        ValueError: an argument out of its range; values and keys that don't fit each other.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout=dropout, use_bias=use_bias, sliding_window=sliding_window, **kwargs
        )
        owner = type(self).__name__
        self.num_heads = arguments.positive_integer(owner, "num_heads", num_heads)
        self.key_dim = arguments.positive_integer(owner, "key_dim", key_dim)
        given = key_dim if value_dim is None else value_dim
        self.value_dim = arguments.positive_integer(owner, "value_dim", given)
        self._output_shape = _lengths("output_shape", output_shape)
        vars(self)["attention_axes"] = _lengths("attention_axes", attention_axes)

    def build(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Any = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        self._built_for = (query_shape[-1], value_shape[-1], key_shape[-1])
        rank = len(query_shape)
        axes = self.attention_axes or tuple(range(1, rank - 1))
        self._axes = tuple(axis if axis >= 0 else rank + axis for axis in axes)
        vars(self)["attention_axes"] = self._axes
        self._query_dense = self._projection("query", query_shape, self.key_dim)
        self._key_dense = self._projection("key", key_shape, self.key_dim)
        if self.use_gate:
            self._gate_dense = self._projection("gate", query_shape, self.value_dim, "sigmoid")
        self._value_dense = self._projection("value", value_shape, self.value_dim)
        self._output_dense = self._last(query_shape)

    def _projection(
        self, name: str, shape: Shape, length: int, activation: str | None = None
    ) -> EinsumDense:
        free = string.ascii_lowercase[: len(shape) - 1]
        layer = EinsumDense(
            f"{free}x,xyz->{free}yz",
            (None,) * (len(free) - 1) + (self.num_heads, length),
            activation,
            "yz" if self.use_bias else None,
            name=name,
            **self._of_parts(),
        )
        layer.build(shape)
        return layer

    def _last(self, query_shape: Shape) -> EinsumDense:
        free = string.ascii_lowercase[: len(query_shape) - 1]
        lengths = self._output_shape or (query_shape[-1],)
        made = string.ascii_uppercase[: len(lengths)]
        layer = EinsumDense(
            f"{free}xy,xy{made}->{free}{made}",
            (None,) * (len(free) - 1) + tuple(lengths),
            None,
            made if self.use_bias else None,
            name="attention_output",
            **self._of_parts(),
        )
        layer.build((*query_shape[:-1], self.num_heads, self.value_dim))
        return layer

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value = bare(query), bare(value)
        key = value if key is None else bare(key)
        self._fit(query, value, key)
        named = Named(query_mask, value_mask, key_mask)
        # torch's kernels know of the triangle by themselves, where there is no other mask.
        alone = use_causal_mask and attention_mask is None and self.sliding_window is None
        alone = alone and all(mask is None for mask in named)
        seen = None
        if not alone:
            seen = self._seen(query, value, attention_mask, named, use_causal_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        outputs, scores = self._attended(
            self._query_dense(query),
            self._key_dense(key),
            self._value_dense(value),
            seen,
            alone,
            return_attention_scores,
        )
        outputs = self._output_dense(outputs if gate is None else outputs * gate)
        if query_mask is not None:
            masks.put(outputs, query_mask)
        return (outputs, scores) if return_attention_scores else outputs

    def compute_output_shape(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Any = None
    ) -> Shape:
        self._check_shapes(query_shape, value_shape, key_shape or value_shape)
        query_shape = tuple(query_shape)
        return query_shape[:-1] + self._output_shape if self._output_shape else query_shape

    def _check_shapes(self, query: Any, value: Any, key: Any) -> None:
        ranks = {len(query), len(value), len(key)}
        pairs = zip(value[1:-1], key[1:-1], strict=False)
        if len(ranks) > 1 or min(ranks) < 3 or any(m != n for m, n in pairs if m and n):
            raise ValueError(
                f"{self._label} takes query, value and key of as many axes, at least 3; value and "
                "key are alike but for the last one. Received: query of shape "
                f"{tuple(query)}, value of shape {tuple(value)}, key of shape {tuple(key)}"
            )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, without noting the call."""
        shapes = type(self)._signature.shapes(args, kwargs)
        outputs = self.compute_output_shape(**shapes)
        if not kwargs.get("return_attention_scores"):
            return specs_of(outputs, self.compute_dtype)
        query, value = shapes["query_shape"], shapes["value_shape"]
        others = [n for axis, n in enumerate(query[:-1]) if axis not in self._axes]
        attended = [shape[axis] for shape in (query, value) for axis in self._axes]
        return specs_of((outputs, (*others, self.num_heads, *attended)), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self.attention_axes,
        }


def _lengths(argument: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    several = (value,) if isinstance(value, int) else value
    if not isinstance(several, list | tuple) or not all(isinstance(n, int) for n in several):
        raise ValueError(
            f"MultiHeadAttention: `{argument}` must be whole numbers. "
            f"Received: {argument}={value!r}"
        )
    return tuple(several)
