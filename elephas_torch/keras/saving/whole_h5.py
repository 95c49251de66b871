"""Whole models in HDF5 files: `model.save("x.h5")` of Keras 1 to 3.

Attributes hold the config (`model_config`), how the model is compiled (`training_config`) and
the version; `model_weights` the weights by layers, `optimizer_weights` the optimizer's state.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving import compiling, hdf5, old_h5, old_weights, slots
from elephas_torch.keras.saving.archive import KERAS_VERSION
from elephas_torch.keras.saving.files import existing
from elephas_torch.keras.serialization import to_json

_WEIGHTS, _OPTIMIZER = "model_weights", "optimizer_weights"
_CONFIG, _TRAINING = "model_config", "training_config"


class Whole(NamedTuple):
    """What a file holds.

    Attributes:
        texts: its attributes in JSON by name.
        keras: the version of the Keras that wrote it.
        content: its bytes.
    """

    texts: dict[str, str]
    keras: str
    content: bytes


def written(model: Any, config: dict[str, Any], extra: dict[str, str]) -> bytes:
    """A model as the bytes of a file.

    Args:
        config: as in a `.keras` file.
        extra: more attributes.
    """
    texts = {_CONFIG: to_json(_legacy(config)), **extra}
    compiled = config.get("compile_config")
    if compiled:
        texts[_TRAINING] = to_json(compiling.training_config(compiled))

    def write(file: Any) -> None:
        file.attrs["keras_version"] = KERAS_VERSION
        file.attrs["backend"] = "torch"
        for name, text in texts.items():
            file.attrs[name] = text
        old_h5.keep(file.create_group(_WEIGHTS), model)
        if compiled:
            _keep_optimizer(file.create_group(_OPTIMIZER), model)

    return hdf5.written(write)


def _legacy(config: dict[str, Any]) -> dict[str, Any]:
    # Keras takes `registered_name` for the class's name here.
    name = config.get("registered_name") or config["class_name"]
    return {"module": config["module"], "class_name": name, "config": config["config"]}


def _keep_optimizer(group: Any, model: Any) -> None:
    optimizer = model.optimizer
    state = slots.variables(optimizer, model)
    names = [f"{optimizer.name}/variable_{number}" for number in range(len(state))]
    names[0] = f"{optimizer.name}/iteration"
    old_h5.keep_arrays(group, list(zip(names, state, strict=True)))


def read(filepath: Any) -> Whole:
    """Reads a file's attributes.

    Raises:
        FileNotFoundError: it isn't there.
        ModelFileError: it is no HDF5 file, or holds no model.
    """
    path = existing(filepath)
    content = path.read_bytes()
    with hdf5.opened(content, path) as file:
        if _CONFIG not in file.attrs:
            raise ModelFileError(
                f"{str(path)!r} holds no model: it has no {_CONFIG}. If it holds weights, make "
                "the model and call model.load_weights(path)."
            )
        return Whole(hdf5.texts(file), old_weights.version(file), content)


def config(whole: Whole, name: str, path: Any) -> Any:
    """An attribute's JSON.

    Raises:
        ModelFileError: it is none.
    """
    try:
        return json.loads(whole.texts[name])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{str(path)!r}: {name} is no JSON ({error}).") from None


def model_config(whole: Whole, path: Any) -> dict[str, Any]:
    """The config of a file's model, in the form that it has there."""
    found = config(whole, _CONFIG, path)
    if not isinstance(found, dict) or "class_name" not in found:
        raise ModelFileError(f"{str(path)!r}: {_CONFIG} doesn't describe a model.")
    return found


def compile_config(whole: Whole, path: Any) -> dict[str, Any] | None:
    """How a file's model is compiled, in the form of `.keras` files; None where it isn't."""
    if _TRAINING not in whole.texts:
        return None
    found = config(whole, _TRAINING, path)
    if not isinstance(found, dict) or "optimizer_config" not in found:
        raise ModelFileError(f"{str(path)!r}: {_TRAINING} doesn't say how to compile a model.")
    return compiling.of_training_config(found)


def take_weights(model: Any, whole: Whole, path: Any) -> None:
    """Gives a built model its weights; see `old_h5.take`."""
    with hdf5.opened(whole.content, path) as file:
        group = hdf5.group(file, _WEIGHTS)
        if group is None:
            raise ModelFileError(f"{str(path)!r} has no weights: there is no {_WEIGHTS}.")
        old_h5.take(model, group, path)


def take_optimizer(model: Any, whole: Whole, path: Any) -> None:
    """Gives a compiled model's optimizer its state; warns where it isn't that of the optimizer."""
    with hdf5.opened(whole.content, path) as file:
        group = hdf5.group(file, _OPTIMIZER)
        if group is None:
            return
        names = hdf5.names(group, "weight_names")
        state = [hdf5.values(hdf5.dataset(group, name)) for name in names]
    slots.load_or_warn(model, _today(state, names, model, whole.keras), path)


def _today(state: list[np.ndarray], names: list[str], model: Any, keras: str) -> list[np.ndarray]:
    """An optimizer's arrays in Keras 3's order: before 2.11 each slot was whole, and there was no
    learning rate among them."""
    if keras.startswith("3") or any("learning_rate" in name for name in names):
        return state
    wanted = slots.variables(model.optimizer, model)
    steps = [one for one in state if one.shape == () and one.dtype.kind in "iu"] or [np.int32(0)]
    rest = [one for one in state if one.shape != () or one.dtype.kind not in "iu"]
    head = [np.asarray(steps[0]), *wanted[1:2]] if len(wanted) > 1 else [np.asarray(steps[0])]
    if wanted[1:2] and wanted[1].shape != ():
        head = head[:1]
    if any("/m/" in name or "/m:" in name for name in names):
        return head + rest
    return head + slots.alternating(model, rest)
