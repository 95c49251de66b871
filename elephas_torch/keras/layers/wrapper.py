"""A layer around another."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Layer

__all__ = ["Wrapper"]


class Wrapper(Layer):
    """What layers that wrap another one extend; `layer` is the wrapped one.

    Follows https://keras.io/api/layers/core_layers/wrapper/

    Args:
        layer: a layer. It isn't copied.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `layer` is no layer.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(
                f"{type(self).__name__}: `layer` must be a layer, such as Dense(3). "
                f"Received: layer={layer!r}"
            )
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": serialization.serialize_keras_object(self.layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Wrapper:
        settings = dict(config)
        layer = serialization.deserialize_keras_object(settings.pop("layer"))
        return cls(layer, **settings)
