"""Where Keras 2 had `Layer` and `InputSpec`."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
