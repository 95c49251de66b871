"""Models to files and back.

A `.keras` file is a zip of `metadata.json`, `config.json` (Keras 3's form) and
`model.weights.safetensors`, which holds the optimizer's state too. Nothing is pickled, so
nothing in a file runs when it is read. Files are written beside their place and moved there
whole.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from elephas_torch._version import __version__
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import losses, metrics, optimizers, serialization
from elephas_torch.keras.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    register_keras_serializable,
    serialize_keras_object,
)

if TYPE_CHECKING:
    from elephas_torch.keras.models import Model

__all__ = [
    "custom_object_scope", "deserialize_keras_object", "load_model", "load_weights",
    "model_from_json", "register_keras_serializable", "save_model", "save_weights",
    "serialize_keras_object",
]  # fmt: skip

_WEIGHTS = "model.weights.safetensors"
_KERAS_WEIGHTS = "model.weights.h5"
_OPTIMIZER = "optimizer/"
_HDF5 = (".h5", ".hdf5")
# What zipfile raises over bytes that are no zip, are cut off, or were changed.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, UnicodeDecodeError, OSError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


def save_model(
    model: Model, filepath: Any, overwrite: bool = True, extra: dict[str, str] | None = None
) -> None:
    """Saves a model; see `Model.save`.

    Args:
        extra: more text files for the zip: name -> content.
    """
    path = _checked_target(filepath, overwrite)
    model._needs_build()
    config = model.architecture()
    config["compile_config"] = model.compiled.get_config() if model.compiled else None
    texts = {
        "metadata.json": json.dumps(
            {
                "elephas_torch_version": __version__,
                "date_saved": datetime.now(timezone.utc).strftime("%Y-%m-%d@%H:%M:%S"),
            }
        ),
        "config.json": serialization.to_json(config),
        **(extra or {}),
    }

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            archive.writestr(_WEIGHTS, safetensors.torch.save(_tensors(model)))

    _write_whole(path, write)


def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True
) -> Any:
    """Loads a model that `save` wrote.

    Args:
        filepath: the file.
        custom_objects: name -> class or function, for layers, losses and modules of your own.
        compile: False leaves the model uncompiled.

    Raises:
        FileNotFoundError: the file isn't there.
        ModelFileError: it isn't a saved model, or is cut off or changed.
        ValueError: a layer of it is unknown.
    """
    texts, tensors = read_model_file(filepath)
    config = _json(texts, "config.json", filepath)
    with serialization.custom_object_scope(serialization.check_custom_objects(custom_objects)):
        model = model_from_config(config)
        if not hasattr(model, "fit"):
            raise ModelFileError(f"{str(filepath)!r} holds a {type(model).__name__}, no model.")
        _take(model, tensors, filepath)
        if compile and config.get("compile_config"):
            _compile(model, config["compile_config"])
            _take_optimizer(model, tensors, filepath)
    return model


def model_from_config(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Makes the model that a config describes, as `model_from_json` does."""
    model = serialization.deserialize_keras_object(config, custom_objects, kind="model")
    shape = (config.get("build_config") or {}).get("input_shape")
    if shape and not getattr(model, "built", True):
        model.build(tuple(shape))
    return model


def model_from_json(text: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Makes the model that `to_json` described, with new weights.

    Raises:
        ValueError: it is no JSON of a model, or a layer is unknown.
    """
    try:
        config = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model_from_json: this is no JSON ({error}).") from None
    return model_from_config(config, custom_objects)


def save_weights(model: Model, filepath: Any, overwrite: bool = True) -> None:
    """Saves a model's weights as safetensors."""
    path = _checked_target(filepath, overwrite)
    model._needs_build()
    content = safetensors.torch.save(_tensors(model, optimizer=False))
    _write_whole(path, lambda file: file.write(content))


def load_weights(model: Model, filepath: Any) -> None:
    """Loads weights, from a file of weights or of a whole model, into a built model.

    Raises:
        ModelFileError: the file isn't one, or doesn't fit the model.
    """
    model._needs_build()
    path = _existing(filepath)
    if zipfile.is_zipfile(path):
        tensors = read_model_file(path)[1]
    else:
        tensors = _parse(path.read_bytes(), path)
    _take(model, tensors, path)


def read_model_file(filepath: Any) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Returns the text files and the tensors of a saved model.

    Raises:
        FileNotFoundError: the file isn't there.
        ModelFileError: it isn't a saved model, or is cut off or changed.
    """
    path = _existing(filepath)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                raise ModelFileError(f"{str(path)!r} is a zip, but not of a model: no config.json.")
            if _WEIGHTS not in names:
                hint = " It is a file of Keras's own." if _KERAS_WEIGHTS in names else ""
                raise ModelFileError(
                    f"{str(path)!r} has no {_WEIGHTS}.{hint} It holds: {', '.join(sorted(names))}"
                )
            texts = {n: archive.read(n).decode() for n in names if n.endswith(".json")}
            return texts, _parse(archive.read(_WEIGHTS), path)
    except PermissionError:
        raise
    except _UNREADABLE as error:
        raise ModelFileError(
            f"{str(path)!r} isn't a saved model, or is cut off ({error}). "
            "Save it again with model.save(path)."
        ) from None


def _tensors(model: Model, optimizer: bool = True) -> dict[str, Tensor]:
    # Numbered, since names of layers that nobody named change (dense, dense_1): what belongs
    # where is told by the order, and checked by shapes.
    tensors = {
        f"{number:05d}.{name}": tensor.detach().clone().contiguous()
        for number, (name, tensor) in enumerate(model.state_dict().items())
    }
    if optimizer and model.compiled:
        for name, value in model.compiled.optimizer.state_dict().items():
            tensors[_OPTIMIZER + name] = torch.as_tensor(value).clone()
    return tensors


def _take(model: Model, tensors: dict[str, Tensor], path: Any) -> None:
    theirs = [(k, tensors[k]) for k in sorted(tensors) if not k.startswith(_OPTIMIZER)]
    mine = list(model.state_dict().items())
    if len(theirs) != len(mine):
        raise ModelFileError(
            f"{str(path)!r} doesn't fit the model: it has {len(theirs)} weights, "
            f"the model has {len(mine)}."
        )
    for (name, tensor), (_, stored) in zip(mine, theirs, strict=True):
        if tensor.shape != stored.shape:
            raise ModelFileError(
                f"{str(path)!r} doesn't fit the model: {name!r} has shape "
                f"{tuple(tensor.shape)} in the model and {tuple(stored.shape)} in the file."
            )
    with torch.no_grad():
        for (_, tensor), (_, stored) in zip(mine, theirs, strict=True):
            tensor.copy_(stored)


def _compile(model: Model, config: dict[str, Any]) -> None:
    try:
        model.compile(
            optimizer=optimizers.get(config["optimizer"]),
            loss=losses.get(config["loss"]),
            metrics=[metrics.get(m) if isinstance(m, dict) else m for m in config["metrics"]],
        )
    except ValueError as error:
        raise ValueError(
            f"{error} If it is one of yours, pass it in custom_objects={{name: object}}, or load "
            "the model with compile=False."
        ) from None


def _take_optimizer(model: Model, tensors: dict[str, Tensor], path: Any) -> None:
    state = {k.removeprefix(_OPTIMIZER): v for k, v in tensors.items() if k.startswith(_OPTIMIZER)}
    try:
        model.optimizer.load_state_dict(state)
    except ValueError as error:
        raise ModelFileError(f"{str(path)!r}: the optimizer's state is damaged: {error}") from None


def _json(texts: dict[str, str], name: str, path: Any) -> dict[str, Any]:
    try:
        config = json.loads(texts[name])
    except ValueError as error:
        raise ModelFileError(f"{str(path)!r}: {name} is no JSON ({error}).") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelFileError(f"{str(path)!r}: {name} doesn't describe a model.")
    return config


def _parse(content: bytes, path: Any) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"{str(path)!r} holds no weights in safetensors' form, or is cut off ({error})."
        ) from None


def _existing(filepath: Any) -> Path:
    path = Path(filepath)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    if path.is_dir():
        raise ModelFileError(f"{str(path)!r} is a folder; a model is one file.")
    return path


def check_ending(filepath: Any) -> None:
    """Raises ValueError where the ending asks for HDF5."""
    if Path(filepath).suffix.lower() in _HDF5:
        raise ValueError(
            "HDF5 files aren't written. Use the ending '.keras' for models, "
            f"'.weights.safetensors' for weights. Received: filepath={str(filepath)!r}"
        )


def _checked_target(filepath: Any, overwrite: bool) -> Path:
    check_ending(filepath)
    path = Path(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"`filepath` is a folder: {str(path)!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} is there already. Pass overwrite=True to replace it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to save in.")
    return path


def _write_whole(path: Path, write: Callable[[Any], Any]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
