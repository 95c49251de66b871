"""Where Keras 2.11 to 2.15 had the optimizers of before."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
