"""Where Keras 1 and 2 have `to_categorical` and `normalize`."""

from elephas_torch.keras.utils.numerical import normalize, to_categorical

__all__ = ["normalize", "to_categorical"]
