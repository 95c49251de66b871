"""Layers to JSON-able data and back."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Layer

__all__ = ["deserialize", "serialize"]


def serialize(layer: Layer) -> Any:
    """Returns a layer as JSON-able data: its class and its config. Follows
    https://keras.io/api/utils/serialization_utils/

    Raises:
        TypeError: its config holds something that can't be described.
    """
    return serialization.serialize_keras_object(layer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Layer:
    """Makes the layer that `serialize` described, with new weights.

    Args:
        config: what `serialize` gave, here or in Keras.
        custom_objects: name -> class or function.

    Raises:
        ValueError: it describes no layer, or one of an unknown class.
    """
    found = serialization.deserialize_keras_object(config, custom_objects)
    if not isinstance(found, Layer):
        raise ValueError(
            f"layers.deserialize: `config` describes no layer. Received: config={config!r}"
        )
    return found
