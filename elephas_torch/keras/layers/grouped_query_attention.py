"""Attention whose heads share keys and values in groups."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape, specs_of
from elephas_torch.keras.layers.einsum_dense import EinsumDense
from elephas_torch.keras.layers.heads import Headed, Named, bare
from elephas_torch.keras.layers.shapes import Spec

__all__ = ["GroupQueryAttention", "GroupedQueryAttention"]


class GroupedQueryAttention(Headed):
    """Attention whose heads share keys and values in groups (Ainslie et al., 2023).

    Follows https://keras.io/api/layers/attention_layers/group_query_attention/

    Args:
        head_dim: length of each head's queries, keys and values.
        num_query_heads: how many heads.
        num_key_value_heads: how many groups of them; `num_query_heads` is a multiple of it.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer,
        bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint, use_gate, seed, **kwargs: see `MultiHeadAttention`.

    Call arguments: see `MultiHeadAttention`. Query, value and key have 3 axes.

    Weights: kernel (inputs, heads, length) and bias (heads, length) of query, key, gate and
    value; kernel (heads, length, outputs) and bias (outputs,) of the output.

    Raises:
        ValueError: an argument out of its range; values and keys that don't fit each other.
    """

    keras_name = "GroupQueryAttention"
    input_spec: Spec = (None, None, None)
    _axes = (1,)

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout=dropout, use_bias=use_bias, sliding_window=sliding_window, **kwargs
        )
        owner = type(self).__name__
        self.head_dim = arguments.positive_integer(owner, "head_dim", head_dim)
        self.num_query_heads = arguments.positive_integer(owner, "num_query_heads", num_query_heads)
        self.num_key_value_heads = arguments.positive_integer(
            owner, "num_key_value_heads", num_key_value_heads
        )
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"{owner}: `num_query_heads` must be a multiple of `num_key_value_heads`. "
                f"Received: num_query_heads={num_query_heads}, "
                f"num_key_value_heads={num_key_value_heads}"
            )

    def build(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Any = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        self._built_for = (query_shape[-1], value_shape[-1], key_shape[-1])
        heads, groups = self.num_query_heads, self.num_key_value_heads
        self._query_dense = self._projection("query", query_shape, heads)
        self._key_dense = self._projection("key", key_shape, groups)
        if self.use_gate:
            self._gate_dense = self._projection("gate", query_shape, heads, "sigmoid")
        self._value_dense = self._projection("value", value_shape, groups)
        self._output_dense = EinsumDense(
            "bquh,uhm->bqm",
            (None, query_shape[-1]),
            None,
            "m" if self.use_bias else None,
            name="attention_output",
            **self._of_parts(),
        )
        self._output_dense.build((None, None, heads, self.head_dim))

    def _projection(
        self, name: str, shape: Shape, heads: int, activation: str | None = None
    ) -> EinsumDense:
        layer = EinsumDense(
            "bqm,muh->bquh",
            (None, heads, self.head_dim),
            activation,
            "uh" if self.use_bias else None,
            name=name,
            **self._of_parts(),
        )
        layer.build(shape)
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
        alone = use_causal_mask and attention_mask is None and self.sliding_window is None
        alone = alone and all(mask is None for mask in named)
        seen = None
        if not alone:
            seen = self._seen(query, value, attention_mask, named, use_causal_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        repeats = self.num_query_heads // self.num_key_value_heads
        outputs, scores = self._attended(
            self._query_dense(query),
            self._key_dense(key).repeat_interleave(repeats, 2),
            self._value_dense(value).repeat_interleave(repeats, 2),
            seen,
            alone,
            return_attention_scores,
        )
        outputs = self._output_dense(outputs if gate is None else outputs * gate)
        return (outputs, scores) if return_attention_scores else outputs

    def compute_output_shape(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Any = None
    ) -> Shape:
        self._check_shapes(query_shape, value_shape, key_shape or value_shape)
        return tuple(query_shape)

    def _check_shapes(self, query: Any, value: Any, key: Any) -> None:
        ranks = {len(query), len(value), len(key)}
        if ranks != {3} or (value[1] != key[1] and None not in (value[1], key[1])):
            raise ValueError(
                f"{self._label} takes query, value and key of 3 axes, and as many values as keys. "
                f"Received: query of shape {tuple(query)}, value of shape {tuple(value)}, key of "
                f"shape {tuple(key)}"
            )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, without noting the call."""
        shapes = type(self)._signature.shapes(args, kwargs)
        outputs = self.compute_output_shape(**shapes)
        if not kwargs.get("return_attention_scores"):
            return specs_of(outputs, self.compute_dtype)
        batch, queries, _ = shapes["query_shape"]
        scores = (batch, self.num_query_heads, queries, shapes["value_shape"][1])
        return specs_of((outputs, scores), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }


#: The name under which Keras exports it.
GroupQueryAttention = GroupedQueryAttention
