"""Weights by layers, as Keras 1 and 2 kept them in `.h5` files, and Keras 3's `.h5` still does.

A group has the attribute `layer_names`; each layer's group has `weight_names`, its arrays in the
order of `trainable_weights + non_trainable_weights`. Layers are matched by their order, or by
name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving import hdf5, old_weights
from elephas_torch.keras.saving.states import array, own_variables

_TOP = "top_level_model_weights"


def ordered(layer: Any) -> list[Tensor]:
    """A layer's weights in the order of these files: those that are trained first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def keep(group: Any, model: Any) -> None:
    """Writes a model's weights into a group."""
    from elephas_torch.keras.saving.archive import KERAS_VERSION

    hdf5.keep_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = "torch"
    group.attrs["keras_version"] = KERAS_VERSION
    for layer in sorted(model.layers, key=lambda one: one.name):
        keep_arrays(group.create_group(layer.name), named(layer))
    top = [(f"weight_{number}", array(one)) for number, one in enumerate(_without_layer(model))]
    keep_arrays(group.create_group(_TOP), top)


def _without_layer(model: Any) -> list[Tensor]:
    """The weights of a model that none of its layers has."""
    inside = {id(one) for layer in model.layers for one in layer.weights}
    return [one for one in model.weights if id(one) not in inside]


def named(layer: Any) -> list[tuple[str, np.ndarray]]:
    """A layer's weights in order, each with a path of names that no other one has."""
    paths: dict[int, str] = {}
    for place, part in layer.named_modules():
        if hasattr(part, "_trainable_names"):
            for name, tensor in own_variables(part).items():
                steps = [layer.name, *filter(None, place.split(".")), name]
                paths.setdefault(id(tensor), "/".join(steps))
    several = ordered(layer)
    return [(paths.get(id(w), f"{layer.name}/{n}"), array(w)) for n, w in enumerate(several)]


def keep_arrays(group: Any, arrays: Sequence[tuple[str, np.ndarray]]) -> None:
    """Writes arrays into a group, and their names as its attribute."""
    hdf5.keep_names(group, "weight_names", [name for name, _ in arrays])
    for name, values in arrays:
        group.create_dataset(name, data=values)


def take(
    model: Any, group: Any, path: Any, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """Gives a built model the weights in a group.

    Args:
        by_name: match layers by their names, and leave those be that have no namesake.
        skip_mismatch: leave out layers that don't fit, with a warning.

    Raises:
        ModelFileError: they don't fit; nothing is taken then.
    """
    version = old_weights.version(group)
    pairs = list(_by_name(model, group) if by_name else _in_order(model, group, path))
    fits, problems = [], []
    for layer, name in pairs:
        holder = hdf5.group(group, name)
        found = [(one, hdf5.dataset(holder, one)) for one in hdf5.names(holder, "weight_names")]
        arrays = old_weights.modern(layer, found, version)
        why = _misfit(layer, name, arrays)
        problems += [why] if why else []
        fits += [] if why else [(ordered(layer), arrays, layer)]
    _tell(problems, path, skip_mismatch)
    own = _top(model, group)
    with torch.no_grad():
        for weights, arrays, part in [*fits, *own]:
            for weight, values in zip(weights, arrays, strict=True):
                weight.copy_(torch.as_tensor(old_weights.read(values)))
            if weights and hasattr(part, "finalize_state"):
                part.finalize_state()


def _in_order(model: Any, group: Any, path: Any) -> Iterator[tuple[Any, str]]:
    layers = [layer for layer in model.layers if ordered(layer)]
    names = [name for name in hdf5.names(group, "layer_names") if _has_weights(group, name)]
    if len(layers) != len(names):
        raise ModelFileError(
            f"{str(path)!r} doesn't fit the model: it has {len(names)} layers with weights "
            f"({', '.join(names)}), the model has {len(layers)} "
            f"({', '.join(layer.name for layer in layers)})."
        )
    return zip(layers, names, strict=True)


def _by_name(model: Any, group: Any) -> Iterator[tuple[Any, str]]:
    names = [name for name in hdf5.names(group, "layer_names") if _has_weights(group, name)]
    return ((layer, name) for name in names for layer in model.layers if layer.name == name)


def _has_weights(group: Any, name: str) -> bool:
    holder = hdf5.group(group, name)
    if holder is None:
        raise ModelFileError(f"The file names a layer {name!r}, and has no group of that name.")
    return bool(hdf5.names(holder, "weight_names"))


def _misfit(layer: Any, name: str, arrays: Sequence[Any]) -> str | None:
    mine = ordered(layer)
    there = f" ({name!r} in the file)" if name != layer.name else ""
    if len(mine) != len(arrays):
        return (
            f"{layer._label}{there} has {len(mine)} weights in the model and {len(arrays)} in "
            "the file."
        )
    for number, (weight, values) in enumerate(zip(mine, arrays, strict=True)):
        if tuple(weight.shape) != tuple(values.shape):
            return (
                f"{layer._label}{there}: weight {number} has shape {tuple(weight.shape)} in the "
                f"model and {tuple(values.shape)} in the file."
            )
    return None


def _tell(problems: list[str], path: Any, skip_mismatch: bool) -> None:
    if not problems:
        return
    message = f"{str(path)!r} doesn't fit the model: {' '.join(problems)}"
    if not skip_mismatch:
        raise ModelFileError(message)
    warnings.warn(f"{message} These keep their weights.", stacklevel=4)


def _top(model: Any, group: Any) -> list[tuple[list[Tensor], list[Any], Any]]:
    holder = hdf5.group(group, _TOP)
    if holder is None:
        return []
    mine = _without_layer(model)
    arrays = [hdf5.dataset(holder, one) for one in hdf5.names(holder, "weight_names")]
    if [tuple(one.shape) for one in mine] != [tuple(one.shape) for one in arrays]:
        raise ModelFileError(
            f"The model's own weights have shapes {[tuple(one.shape) for one in mine]}; in the "
            f"file {[tuple(one.shape) for one in arrays]}."
        )
    return [(mine, arrays, model)]
