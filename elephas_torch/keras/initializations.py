"""Where Keras 1 had initializers, as functions of a shape."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
