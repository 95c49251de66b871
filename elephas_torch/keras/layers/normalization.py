"""Where Keras 1 and 2 had BatchNormalization."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
