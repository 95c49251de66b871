"""The layers of https://keras.io/api/layers/ as torch modules."""

from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.layers.core import Activation, Dense, Dropout, InputLayer
from elephas_torch.keras.layers.reshaping import Flatten, Permute, RepeatVector, Reshape

__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "InputLayer",
    "Layer",
    "Permute",
    "RepeatVector",
    "Reshape",
]
