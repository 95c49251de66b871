"""Where Keras 1 and 2 have `to_categorical` and `normalize`."""

from elephas_torch.keras.utils.numerical import (
    categorical_probas_to_classes,
    normalize,
    probas_to_classes,
    to_categorical,
)

__all__ = [
    "categorical_probas_to_classes", "normalize", "probas_to_classes", "to_categorical",
]  # fmt: skip
