"""Spectral normalization: a layer whose kernel is kept at norm 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras import initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.wrapper import Wrapper

__all__ = ["SpectralNormalization"]


class SpectralNormalization(Wrapper):
    """In training divides the kernel of a layer by its largest singular value before each call.

    Follows https://keras.io/api/layers/normalization_layers/spectral_normalization/ and Miyato et
    al., 2018.

    Args:
        layer: one with a weight `kernel` or `embeddings`.
        power_iterations: how often the singular value is improved a call. Default 1.
        **kwargs: see `Layer`.

    Weights: the kernel, vector_u (1, length of the kernel's last axis), then the layer's others.

    Raises:
        ValueError: `power_iterations` isn't positive, or the layer has no such weight.
    """

    vector_u: Any

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = arguments.positive_integer(
            "SpectralNormalization", "power_iterations", power_iterations
        )

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        kernel = self._kernel()
        start = initializers.TruncatedNormal(stddev=0.02)
        self.add_weight((1, kernel.shape[-1]), start, trainable=False, name="vector_u")

    def _kernel(self) -> Any:
        for name in ("kernel", "embeddings"):
            if isinstance(getattr(self.layer, name, None), Tensor):
                return getattr(self.layer, name)
        raise ValueError(
            f"{self._label}: the layer must have a weight `kernel` or `embeddings`. "
            f"Received: layer={self.layer!r}"
        )

    @property
    def weights(self) -> list[Tensor]:
        """All weights in Keras's order, the kernel first."""
        others = [w for w in super().weights if w is not self._kernel()] if self.built else []
        return [self._kernel(), *others] if self.built else super().weights

    variables = weights

    def own_variables(self) -> dict[str, Tensor]:
        """The kernel, which in files belongs to this layer as well, and vector_u."""
        own = super().own_variables()
        return {"kernel": self._kernel(), **own} if self.built else own

    def call(self, inputs: Any) -> Any:
        if self.training:
            self._normalize()
        return self.layer(inputs)

    @torch.no_grad()
    def _normalize(self) -> None:
        kernel = self._kernel()
        matrix, u = kernel.reshape(-1, kernel.shape[-1]), self.vector_u
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        norm = v @ matrix @ u.T
        known = norm != 0  # a kernel of zeros stays as it is
        kernel.div_(torch.where(known, norm, 1.0))
        self.vector_u.copy_(torch.where(known, u, self.vector_u))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp_min(1e-12)
