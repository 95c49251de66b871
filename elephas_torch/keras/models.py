"""Where Keras has its models: `Sequential`, `Model`, and how they come from files."""

from elephas_torch.keras.layers.inputs import Input
from elephas_torch.keras.model import Model, all_tensors
from elephas_torch.keras.saving import load_model, model_from_json, save_model
from elephas_torch.keras.sequential import Sequential
from elephas_torch.keras.torch_model import TorchModel

__all__ = [
    "Input", "Model", "Sequential", "TorchModel", "all_tensors", "load_model",
    "model_from_json", "save_model",
]  # fmt: skip
