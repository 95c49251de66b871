"""Where Keras 1 had `plot_model`, as `plot`."""

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)
