"""Where things lay in Keras 1 and 2: a table of modules, and what looks names up in it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from elephas_torch.errors import nearest
from elephas_torch.keras.legacy.notice import warn

_ROOT = "elephas_torch.keras"


def _at(home: str, *names: str) -> dict[str, str]:
    return {name: f"{home}.{name}" for name in names}


_LAYER = _at("layers", "Layer", "InputSpec")
_INPUT = _at("layers", "Input", "InputLayer")

#: Old module -> name in it -> where it is today.
MODULES: dict[str, dict[str, str]] = {
    "layers.wrappers": _at("layers", "Bidirectional", "TimeDistributed", "Wrapper"),
    "layers.merge": _at(
        "layers",
        "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract",
        "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
    ),
    "layers.containers": _at("models", "Sequential"),
    "utils.np_utils": _at("utils", "normalize", "to_categorical")
    | _at("utils.numerical", "categorical_probas_to_classes", "probas_to_classes"),
    "utils.generic_utils": _at(
        "utils",
        "CustomObjectScope", "Progbar", "custom_object_scope", "deserialize_keras_object",
        "get_custom_objects", "serialize_keras_object",
    ),
    "utils.data_utils": _at("utils", "Sequence", "get_file"),
    "utils.vis_utils": _at("utils", "model_to_dot", "plot_model"),
    "utils.visualize_util": _at("utils", "model_to_dot") | {"plot": "utils.plot_model"},
    "engine": _LAYER | _INPUT | _at("models", "Model"),
    "engine.topology": _LAYER | _INPUT | {"Container": "models.Model"},
    "engine.base_layer": _LAYER,
    "engine.input_layer": _INPUT,
    "engine.training": _at("models", "Model"),
    "engine.network": {"Network": "models.Model"},
    "engine.sequential": _at("models", "Sequential"),
}  # fmt: skip


def moved(module: str) -> tuple[list[str], Callable[[str], Any]]:
    """Returns `__all__` and `__getattr__` of an old module.

    Args:
        module: its full name; in `MODULES` without the package's.
    """
    old = module.removeprefix(f"{_ROOT}.")
    names = MODULES[old]

    def find(name: str) -> Any:
        if name not in names:
            hint = "" if name.startswith("__") else nearest(name, names)
            raise AttributeError(f"module {module!r} has no attribute {name!r}.{hint}")
        home, _, today = names[name].rpartition(".")
        warn(f"keras.{old}.{name} is keras.{home}.{today} now.")
        return getattr(importlib.import_module(f"{_ROOT}.{home}"), today)

    return sorted(names), find
