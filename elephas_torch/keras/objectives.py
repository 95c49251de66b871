"""Where Keras 1 had losses."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
