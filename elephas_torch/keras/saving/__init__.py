"""Models to files and back, in the forms of real Keras.

| ending | what it is |
| --- | --- |
| `.keras` | a whole model in Keras 3's form, with how it is compiled and its optimizer's state |
| `.h5`, `.hdf5` | a whole model in the form of Keras 1 and 2, which Keras 3 reads and writes too |
| `.weights.h5` | weights alone in Keras 3's form |
| `.safetensors` | weights alone, for other programs than Keras |

Nothing is pickled, and code in a config is refused unless `safe_mode=False` asks for it, so
nothing in a file runs when it is read. Files are written beside their place and moved there
whole. See https://keras.io/api/models/model_saving_apis/
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from elephas_torch.errors import ModelFileError, nearest
from elephas_torch.keras import budget, serialization
from elephas_torch.keras.saving import (
    archive,
    assets,
    compiling,
    files,
    hdf5,
    old_h5,
    old_json,
    whole_h5,
)
from elephas_torch.keras.saving import tensors as safe
from elephas_torch.keras.saving import weights as keras_weights
from elephas_torch.keras.saving.lean import lean
from elephas_torch.keras.serialization import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

if TYPE_CHECKING:
    from elephas_torch.keras.models import Model

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "model_from_config", "model_from_json", "register_keras_serializable", "save_model",
    "save_weights", "serialize_keras_object",
]  # fmt: skip


def save_model(
    model: Model,
    filepath: Any,
    overwrite: bool = True,
    extra: dict[str, str] | None = None,
    include_optimizer: bool = True,
) -> None:
    """Saves a model; see `Model.save`.

    Args:
        filepath: ends in `.keras`; or in `.h5` or `.hdf5`, which gives Keras's older form.
        extra: more texts to keep in the file: name -> content.
        include_optimizer: False leaves out how the model is compiled.

    Raises:
        ValueError: another ending.
    """
    path = files.target(filepath, overwrite)
    _check_model_ending(path)
    model._needs_build()
    with serialization.sharing():
        config = lean(model.architecture())
    compiled = model.get_compile_config() if include_optimizer else None
    config["compile_config"] = serialization.serialize_keras_object(compiled)
    if files.is_hdf5(path):
        content = whole_h5.written(model, config, extra or {})
        files.write_whole(path, lambda file: file.write(content))
        return
    texts = {archive.CONFIG: serialization.to_json(config), **(extra or {})}
    optimizer = model.optimizer if compiled and model.compiled else None
    weights = keras_weights.written(model, optimizer)
    beside = assets.collected(model)
    files.write_whole(path, lambda file: archive.write(file, texts, weights, beside))


def _check_model_ending(path: Any) -> None:
    if files.is_keras_weights(path) or path.suffix.lower() == files.SAFETENSORS:
        raise ValueError(
            "A whole model ends in '.keras' (or '.h5', Keras's older form). For its weights alone "
            f"there is model.save_weights(). Received: filepath={str(path)!r}"
        )
    known = (files.KERAS, *files.HDF5)
    if path.suffix.lower() not in known:
        raise ValueError(
            "`filepath` of a whole model must end in '.keras', or in '.h5' or '.hdf5', Keras's "
            f"older form.{nearest(path.suffix, known)} Received: filepath={str(path)!r}"
        )


def load_model(
    filepath: Any,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Loads a model that `save` wrote, here or in Keras 1 to 3.

    Follows https://keras.io/api/models/model_saving_apis/model_saving_and_loading/

    Args:
        filepath: the file.
        custom_objects: name -> class or function, for layers, losses and modules of your own.
        compile: False leaves the model uncompiled.
        safe_mode: False runs code that the file may hold (lambdas). Default True: refuse it.

    Returns:
        The model; where it was compiled, training goes on as if it hadn't been interrupted.

    Raises:
        FileNotFoundError: the file isn't there.
        ModelFileError: it isn't a saved model, or is cut off or changed, or describes weights that
            it doesn't have.
        ValueError: a layer of it is unknown, or it holds code and `safe_mode` is True.
    """
    objects = serialization.check_custom_objects(custom_objects)
    path = files.existing(filepath)
    most = max(archive.SMALL, archive.EXPANSION * path.stat().st_size)
    with (
        serialization.custom_object_scope(objects),
        serialization.safe_mode_scope(safe_mode),
        budget.limited(most),
    ):
        return _from_h5(path, compile) if _is_h5(path) else _from_archive(path, compile)


def _is_h5(path: Any) -> bool:
    with path.open("rb") as file:
        return files.is_hdf5(path) or file.read(8) == b"\x89HDF\r\n\x1a\n"


def _from_archive(path: Any, compile: bool) -> Any:
    found = archive.read(path)
    config = archive.config(found.texts, path)
    model = _built(config, path)
    if found.old:
        stored = safe.parsed(found.weights, path)
        safe.take(model, stored, path)
    else:
        keras_weights.take(model, found.weights, path)
    assets.take(model, found.assets, path)
    if not (compile and config.get("compile_config")):
        return model
    _compile(model, config["compile_config"], path)
    if found.old:
        safe.take_optimizer(model.optimizer, stored, path)
    elif model.compiled:
        keras_weights.take_optimizer(model, found.weights, path)
    return model


def _from_h5(path: Any, compile: bool) -> Any:
    whole = whole_h5.read(path)
    model = _built(old_json.modern(whole_h5.model_config(whole, path), whole.keras), path)
    whole_h5.take_weights(model, whole, path)
    described = whole_h5.compile_config(whole, path) if compile else None
    if described is not None:
        _compile(model, described, path)
        if model.compiled:
            whole_h5.take_optimizer(model, whole, path)
    return model


def _compile(model: Any, described: Any, path: Any) -> None:
    try:
        compiling.apply(model, described)
    except (LookupError, AttributeError, RuntimeError) as error:
        raise ModelFileError(
            f"{str(path)!r}: the model can't be compiled as it says ({type(error).__name__}: "
            f"{error}). compile=False loads it without."
        ) from error


def _built(config: Any, path: Any) -> Any:
    try:
        model = model_from_config(config)
    except (LookupError, AttributeError, TypeError, RuntimeError) as error:
        raise ModelFileError(
            f"{str(path)!r}: its config makes no model ({type(error).__name__}: {error})."
        ) from error
    if not hasattr(model, "fit"):
        raise ModelFileError(f"{str(path)!r} holds a {type(model).__name__}, no model.")
    return model


def model_from_config(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Makes the model that a config describes, as `model_from_json` does."""
    objects = serialization.check_custom_objects(custom_objects)
    with serialization.custom_object_scope(objects), serialization.sharing():
        config = old_json.modern(config)
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise ValueError(
                f"Not the config of a model: it has no 'class_name'. Received: {str(config)[:100]}"
            )
        model = deserialize_keras_object(config, kind="model")
    shape = (config.get("build_config") or {}).get("input_shape")
    if shape and not getattr(model, "built", True):
        model.build(_as_shape(shape))
    return model


def _as_shape(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: _as_shape(one) for name, one in shape.items()}
    several = isinstance(shape[0], list | tuple)
    return [_as_shape(one) for one in shape] if several else tuple(shape)


def model_from_json(
    json_string: str, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Makes the model that `to_json` described, here or in Keras 1 to 3, with new weights.

    Raises:
        ValueError: it is no JSON of a model, or a layer is unknown.
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"model_from_json: this is no JSON ({error}).") from None
    with serialization.safe_mode_scope(safe_mode):
        return model_from_config(config, custom_objects)


def save_weights(model: Model, filepath: Any, overwrite: bool = True) -> None:
    """Saves a model's weights.

    Args:
        filepath: `.weights.h5` gives Keras 3's form, `.h5` the one of Keras 1 and 2; every other
            ending is safetensors.

    Raises:
        ValueError: it ends in `.keras`, as whole models do.
    """
    path = files.target(filepath, overwrite)
    if path.suffix.lower() == files.KERAS:
        raise ValueError(
            "A file of weights ends in '.weights.h5', '.h5' or '.safetensors'; '.keras' is for "
            f"whole models, and for them there is model.save(). Received: filepath={str(path)!r}"
        )
    model._needs_build()
    if files.is_keras_weights(path):
        content = keras_weights.written(model)
    elif files.is_hdf5(path):
        content = hdf5.written(lambda file: old_h5.keep(file, model))
    else:
        content = safe.written(model)
    files.write_whole(path, lambda file: file.write(content))


def load_weights(
    model: Model, filepath: Any, skip_mismatch: bool = False, by_name: bool = False
) -> None:
    """Loads weights, from a file of weights or of a whole model, into a built model.

    Args:
        filepath: in any form that `save` and `save_weights` write, here or in Keras 1 to 3; the
            content tells which.
        skip_mismatch: layers that don't fit keep their weights, with a warning. For HDF5 files.
        by_name: match layers by name. For files of Keras 1 and 2.

    Raises:
        ModelFileError: the file isn't one, or doesn't fit the model; no weight is changed then.
        ValueError: an argument that this form doesn't take.
    """
    model._needs_build()
    path = files.existing(filepath)
    if zipfile.is_zipfile(path):
        _refuse(by_name, "by_name", path)
        found = archive.read(path)
        if found.old:
            safe.take(model, safe.parsed(found.weights, path), path)
        else:
            keras_weights.take(model, found.weights, path, skip_mismatch, others=False)
    elif _is_h5(path):
        _take_h5(model, path, skip_mismatch, by_name)
    else:
        _refuse(by_name, "by_name", path)
        _refuse(skip_mismatch, "skip_mismatch", path)
        safe.take(model, safe.parsed(path.read_bytes(), path), path)


def _take_h5(model: Model, path: Any, skip_mismatch: bool, by_name: bool) -> None:
    content = path.read_bytes()
    with hdf5.opened(content, path) as file:
        holder = hdf5.group(file, "model_weights") if "model_weights" in file else file
        if hdf5.has_names(holder, "layer_names"):
            old_h5.take(model, holder, path, by_name, skip_mismatch)
            return
    _refuse(by_name, "by_name", path)
    keras_weights.take(model, content, path, skip_mismatch, others=False)


def _refuse(given: bool, argument: str, path: Any) -> None:
    if given:
        which = "of Keras 1 and 2 (.h5)" if argument == "by_name" else "in HDF5"
        raise ValueError(
            f"`{argument}` is for files of weights {which}. "
            f"Received: {argument}=True, filepath={str(path)!r}"
        )


def read_model_file(filepath: Any) -> tuple[dict[str, str], bytes]:
    """Returns the texts that a saved model's file holds by name (see `save_model`'s `extra`), and
    the bytes with its weights.

    Raises:
        FileNotFoundError: the file isn't there.
        ModelFileError: it isn't a saved model, or is cut off or changed.
    """
    path = files.existing(filepath)
    if _is_h5(path):
        whole = whole_h5.read(path)
        return whole.texts, whole.content
    found = archive.read(path)
    return found.texts, found.weights
