"""Embeddings: a vector for each index."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn


class Embedding(BuiltIn):
    """Turns indices into vectors: (batch, …) of whole numbers -> (batch, …, output_dim).

    Follows https://keras.io/api/layers/core_layers/embedding/

    Args:
        input_dim: number of vectors; indices are 0 to `input_dim - 1`.
        output_dim: length of a vector.
        embeddings_initializer: Default "uniform" (-0.05 to 0.05).
        mask_zero: whether 0 stands for padding: what comes after leaves those steps out.
            Default False.
        weights: first values, an array (input_dim, output_dim) or a list with one.
        input_length: older Keras's word for `input_shape=(input_length,)`.
        **kwargs: `input_shape`, `name` …: see `Layer`.

    Weights: embeddings (input_dim, output_dim).

    Raises:
        ValueError: a size isn't a positive whole number.
        IndexError: when called on a CPU with an index out of range.
    """

    input_dtype = torch.int64
    regularized: ClassVar = ("embeddings",)
    writes_activity_regularizer: ClassVar = True
    fixed: ClassVar = {"quantization_config": None}

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        *,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        self.input_dim = arguments.positive_integer("Embedding", "input_dim", input_dim)
        self.output_dim = arguments.positive_integer("Embedding", "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self._makes_masks = self.mask_zero  # type: ignore[misc]
        if weights is not None:
            self.build((None, None))
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Shape) -> None:
        self.check_shape(input_shape)
        shape = (self.input_dim, self.output_dim)
        self.add_weight(shape, self.embeddings_initializer, name="embeddings")

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dtype not in (torch.int64, torch.int32):
            inputs = inputs.long()
        weights: dict[str, Any] = self._parameters
        try:
            return torch.embedding(weights["embeddings"], inputs)
        except IndexError:
            raise IndexError(
                f"{self._label} takes indices from 0 to {self.input_dim - 1}. Received: indices "
                f"from {int(inputs.min())} to {int(inputs.max())}"
            ) from None

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor | None:
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "mask_zero": self.mask_zero,
        }
