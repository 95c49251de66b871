"""Where Keras 2 has `get_file` and `Sequence`."""

from elephas_torch.keras.utils.files import get_file
from elephas_torch.keras.utils.py_dataset import PyDataset, Sequence

__all__ = ["PyDataset", "Sequence", "get_file"]
