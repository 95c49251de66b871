"""Utilities: arrays, sequences, pictures, datasets, files. See https://keras.io/api/utils."""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.utils.files import get_file
from elephas_torch.keras.utils.image_dataset import image_dataset_from_directory
from elephas_torch.keras.utils.images import array_to_img, img_to_array, load_img, save_img
from elephas_torch.keras.utils.numerical import normalize, to_categorical
from elephas_torch.keras.utils.padding import pad_sequences
from elephas_torch.keras.utils.progbar import Progbar
from elephas_torch.keras.utils.py_dataset import PyDataset, Sequence
from elephas_torch.keras.utils.seeds import set_random_seed
from elephas_torch.keras.utils.splitting import split_dataset
from elephas_torch.keras.utils.text_dataset import text_dataset_from_directory
from elephas_torch.keras.utils.timeseries import timeseries_dataset_from_array

#: What Keras has here too and other modules define: looked up when it is asked for, since these
#: modules use the ones above.
_ELSEWHERE = {
    "CustomObjectScope": "registration",
    "custom_object_scope": "registration",
    "get_custom_objects": "registration",
    "get_registered_name": "registration",
    "get_registered_object": "registration",
    "register_keras_serializable": "registration",
    "deserialize_keras_object": "serialization",
    "serialize_keras_object": "serialization",
    "pack_x_y_sample_weight": "batches",
    "unpack_x_y_sample_weight": "batches",
    "clear_session": "backend",
    "is_keras_tensor": "backend",
    "standardize_dtype": "backend",
    "model_to_dot": "utils.plotting",
    "plot_model": "utils.plotting",
    "disable_interactive_logging": "config",
    "enable_interactive_logging": "config",
    "is_interactive_logging_enabled": "config",
}
#: Where Keras 1 and 2 had some of these.
_MODULES = (
    "data_utils", "generic_utils", "layer_utils", "np_utils", "vis_utils", "visualize_util",
)  # fmt: skip
#: What isn't here, and what to use.
_MISSING = {
    "audio_dataset_from_directory": "read the files with `soundfile` or `torchaudio` in a "
    "keras.utils.PyDataset",
    "FeatureSpace": "encode the columns with layers, or with pandas and scikit-learn",
    "HDF5Matrix": "open the file with h5py in a keras.utils.PyDataset",
    "Config": "use a dict or a dataclass",
}

__all__ = [
    "PyDataset", "Progbar", "Sequence", "array_to_img", "get_file",
    "image_dataset_from_directory", "img_to_array", "load_img", "normalize", "pad_sequences",
    "save_img", "set_random_seed", "split_dataset", "text_dataset_from_directory",
    "timeseries_dataset_from_array", "to_categorical", *_ELSEWHERE, *_MODULES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"elephas_torch.keras.{_ELSEWHERE[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    hint = f" Instead, {_MISSING[name]}." if name in _MISSING else nearest(name, __all__)
    raise absent(f"module 'elephas_torch.keras.utils' has no attribute {name!r}.{hint}")


def __dir__() -> list[str]:
    return sorted(__all__)
