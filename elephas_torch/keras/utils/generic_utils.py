"""Where Keras 1 and 2 have `Progbar` and what goes with custom objects."""

from elephas_torch.keras.registration import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
)
from elephas_torch.keras.serialization import deserialize_keras_object, serialize_keras_object
from elephas_torch.keras.utils.progbar import Progbar

__all__ = [
    "CustomObjectScope", "Progbar", "custom_object_scope", "deserialize_keras_object",
    "get_custom_objects", "serialize_keras_object",
]  # fmt: skip
