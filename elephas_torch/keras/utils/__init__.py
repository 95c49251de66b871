"""Utilities: one-hot labels, normalizing, seeds. See https://keras.io/api/utils."""

from elephas_torch.keras.serialization import (
    custom_object_scope,
    register_keras_serializable,
)
from elephas_torch.keras.utils.files import get_file
from elephas_torch.keras.utils.numerical import normalize, to_categorical
from elephas_torch.keras.utils.seeds import set_random_seed

__all__ = [
    "custom_object_scope", "normalize", "register_keras_serializable", "set_random_seed",
    "to_categorical",
]  # fmt: skip
