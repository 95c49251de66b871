"""Attention with one head: weights from products, or sums, of queries and keys."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape, specs_of
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.noises import Noise

__all__ = ["AdditiveAttention", "Attention"]


class Attention(BuiltIn):
    """Means of values, weighted by how well their keys fit each query (Luong et al., 2015).

    Follows https://keras.io/api/layers/attention_layers/attention/

    Args:
        use_scale: multiply the scores by a weight. Default False.
        score_mode: "dot" (default), the product of query and key; or "concat", the sum of
            tanh(query + key) times a weight.
        dropout: share of the weights that training drops. Default 0.
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: see `Layer`.

    Call arguments:
        inputs: [query, value] or [query, value, key]: (batch, queries, dim), (batch, values,
            dim), (batch, values, dim). The keys are the values by default.
        mask: [query mask, value mask], bools (batch, queries) and (batch, values), or None for
            either. Default the inputs' own masks.
        return_attention_scores: give the weights (batch, queries, values) too. Default False.
        use_causal_mask: a query sees no values after its own place. Default False.

    Weights: scale () with `use_scale`; concat_score_weight () with `score_mode="concat"`.

    Raises:
        ValueError: an unknown `score_mode`, or inputs that are no list of 2 or 3.
    """

    supports_masking = True
    fixed_unwritten: ClassVar = {}

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = bool(use_scale)
        self.score_mode = arguments.choice("score_mode", score_mode, ("dot", "concat"))
        self.dropout = arguments.rate(type(self).__name__, "dropout", dropout)
        self.seed = seed
        self._noise = Noise(seed)

    def build(self, input_shape: Any) -> None:
        self.check_shape(input_shape)
        if self.use_scale:
            self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.add_weight((), "ones", name="concat_score_weight")

    def check_shape(self, shape: Any) -> None:
        """Raises ValueError, naming the layer, unless it is a list of two or three shapes that
        fit each other."""
        several = isinstance(shape, list | tuple) and len(shape) in (2, 3)
        if not several or not all(isinstance(one, list | tuple) and len(one) > 1 for one in shape):
            raise ValueError(
                f"{self._label} must be called on [query, value] or [query, value, key]. "
                f"Received: inputs of shape {shape}"
            )
        query, value, *keys = map(tuple, shape)
        key = keys[0] if keys else value
        if not _agree(query[-1], key[-1]) or not _agree(value[-2], key[-2]):
            raise ValueError(
                f"{self._label} needs queries and keys of one length, and as many values as "
                f"keys. Received: query of shape {query}, value of shape {value}, key of shape "
                f"{key}"
            )

    def _explain(self, inputs: Any) -> None:
        self.check_shape([tuple(one.shape) for one in inputs])

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        if not isinstance(inputs, list | tuple) or len(inputs) not in (2, 3):
            self.check_shape(getattr(inputs, "shape", inputs))
        query, value, *keys = inputs
        query_mask, value_mask = self._masks(mask)
        scores = self.scores(query, keys[0] if keys else value)
        weights = torch.softmax(_left_out(scores, value_mask, use_causal_mask), -1)
        dropped = weights
        if self.training and self.dropout:
            dropped = weights * self._noise.mask(weights, weights.shape, self.dropout)
        outputs = dropped @ value
        if query_mask is not None:
            outputs = torch.where(query_mask.unsqueeze(-1), outputs, 0.0)
        return (outputs, dropped) if return_attention_scores else outputs

    def _masks(self, mask: Any) -> tuple[Tensor | None, Tensor | None]:
        if mask is None:
            return None, None
        if not isinstance(mask, list | tuple) or len(mask) not in (2, 3):
            raise ValueError(
                f"{self._label}: `mask` must be [query mask, value mask]. "
                f"Received: {type(mask).__name__}"
            )
        first, second = (None if one is None else torch.as_tensor(one) for one in mask[:2])
        return first, second

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well each key fits each query: (batch, queries, values)."""
        if self.score_mode == "dot":
            found = query @ key.transpose(-2, -1)
            return found * self.scale if self.use_scale else found
        sums = query.unsqueeze(-2) + key.unsqueeze(-3)
        sums = self.scale * sums if self.use_scale else sums
        return self.concat_score_weight * torch.tanh(sums).sum(-1)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        several = isinstance(previous_mask, list | tuple)
        return previous_mask[0] if several and previous_mask else None

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self.check_shape(input_shape)
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, without noting the call."""
        shapes = [one.shape for one in args[0]] if isinstance(args[0], list | tuple) else args[0]
        outputs = self.compute_output_shape(shapes)
        if not kwargs.get("return_attention_scores"):
            return specs_of(outputs, self.compute_dtype)
        scores = (*shapes[0][:-1], shapes[-1][-2])
        return specs_of((outputs, scores), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class AdditiveAttention(Attention):
    """Attention whose scores are the sum of tanh(query + key), times a weight each (Bahdanau et
    al., 2015).

    Follows https://keras.io/api/layers/attention_layers/additive_attention/

    Args:
        use_scale: multiply by weights before the sum. Default True.
        dropout, seed, **kwargs: see `Attention`.

    Call arguments, errors: see `Attention`.

    Weights: scale (dim,) with `use_scale`.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self.check_shape(input_shape)
        if self.use_scale:
            self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well each key fits each query: (batch, queries, values)."""
        sums = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return sums @ self.scale if self.use_scale else sums.sum(-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config


def _left_out(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Scores, very low where a query mustn't see a value."""
    seen = None if mask is None else mask.to(torch.bool)
    if seen is not None and seen.dim() == 2:
        seen = seen.unsqueeze(-2)
    if causal:
        lower = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        seen = lower if seen is None else seen & lower
    if seen is None:
        return scores
    # What Keras takes away: rows that see nothing keep their scores' order.
    lowest = 65504.0 if scores.dtype == torch.float16 else 1.0e9
    return torch.where(seen, scores, scores - lowest)


def _agree(m: int | None, n: int | None) -> bool:
    return m is None or n is None or m == n
