"""Where Keras 1, 2 and 3 have preprocessing: pictures, sequences, texts."""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch.keras.utils import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

_MODULES = ("image", "sequence", "text")

__all__ = [
    "image_dataset_from_directory", "text_dataset_from_directory",
    "timeseries_dataset_from_array", *_MODULES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
