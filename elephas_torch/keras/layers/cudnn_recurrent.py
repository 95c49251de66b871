"""Where Keras 2 had recurrent layers in cuDNN's kernels."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
