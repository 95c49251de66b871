"""Objects to JSON-able configs and back, in Keras 3's form.

A config is `{"module", "class_name", "config", "registered_name"}`. Nothing here runs code that
comes out of a config (see `code.py`): a class is taken from this package, from the registry, from
`custom_objects`, and from nowhere else (see `registration.py`).
See https://keras.io/api/models/model_saving_apis/serialization_utils/
"""

from __future__ import annotations

import importlib
import json
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras import code, naming
from elephas_torch.keras.code import enable_unsafe_deserialization, safe_mode_scope
from elephas_torch.keras.registration import (
    CustomObjectScope,
    check_custom_objects,
    custom_object_scope,
    find_class,
    find_custom,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    is_own,
    own,
    register_keras_serializable,
    registered_name,
    written_name,
)

__all__ = [
    "CustomObjectScope", "check_custom_objects", "custom_object_scope",
    "deserialize_keras_object", "enable_unsafe_deserialization", "find_class", "find_custom",
    "get_custom_objects", "get_registered_name", "get_registered_object", "is_own", "own",
    "register_keras_serializable", "registered_name", "safe_mode_scope",
    "serialize_keras_object", "sharing", "to_json",
]  # fmt: skip

#: Families of objects that have a `get` and a `serialize` of their own.
_FAMILIES = (
    "activations", "constraints", "initializers", "losses", "metrics", "optimizers",
    "regularizers",
)  # fmt: skip
_SHARED: ContextVar[dict[Any, Any] | None] = ContextVar("shared_objects", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Within it, a layer that is in a config twice is one layer again."""
    token = _SHARED.set({})
    try:
        yield
    finally:
        _SHARED.reset(token)


def serialize_keras_object(obj: Any) -> Any:
    """Returns an object as JSON-able data, from which `deserialize_keras_object` makes it again.

    Args:
        obj: something with `get_config()`, a function, a tensor, an array, or lists, tuples and
            dicts of these; numbers, strings and None stay what they are.

    Raises:
        TypeError: nothing of this.
    """
    if obj is None or isinstance(obj, str | int | float | bool):
        return obj
    if isinstance(obj, np.generic) or (isinstance(obj, np.ndarray) and obj.ndim == 0):
        return obj.item()
    if isinstance(obj, list | tuple):
        several = [serialize_keras_object(one) for one in obj]
        return tuple(several) if isinstance(obj, tuple) else several
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    return _plain_thing(obj) or _described(obj)


def _plain_thing(obj: Any) -> Any:
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": _array(obj)}
    if hasattr(obj, "_keras_history"):
        return _keras_tensor(obj)
    if isinstance(obj, Tensor):
        return {"class_name": "__tensor__", "config": _array(obj.detach().cpu().numpy())}
    if isinstance(obj, torch.dtype):
        return str(obj).removeprefix("torch.")
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        ends = {name: getattr(obj, name) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": serialize_keras_object(ends)}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    return code.dump(obj) if code.is_lambda(obj) else None


def _array(value: Any) -> dict[str, Any]:
    return {"value": value.tolist(), "dtype": value.dtype.name}


def _keras_tensor(obj: Any) -> dict[str, Any]:
    operation, node, tensor = obj._keras_history
    return {
        "class_name": "__keras_tensor__",
        "config": {
            "shape": list(obj.shape),
            "dtype": obj.dtype,
            "keras_history": [operation.name, node, tensor],
        },
    }


def _described(item: Any) -> dict[str, Any]:
    if isinstance(item, types.FunctionType | types.BuiltinFunctionType | type):
        name = get_registered_name(item)
        ours = (item.__module__ or "").startswith(("elephas_torch.", "builtins"))
        return {
            "module": "builtins" if ours else item.__module__,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }
    if not hasattr(item, "get_config"):
        raise TypeError(
            f"{type(item).__name__} objects can't be described: the class has no get_config(). "
            f"Received: {_short(item)}"
        )
    family = _family_of(item)
    if family is not None:
        return family.serialize(item)
    config = {**_class_of(type(item)), "config": item.get_config(), "registered_name": None}
    cls = type(item)
    config["registered_name"] = registered_name(cls) or (None if is_own(cls) else cls.__name__)
    return _built(item, config)


def _class_of(cls: type) -> dict[str, Any]:
    module = getattr(cls, "keras_module", None) if is_own(cls) else cls.__module__
    name = written_name(cls) if is_own(cls) else cls.__name__
    return {"module": None if module == "__main__" else module, "class_name": name}


def _built(item: Any, config: dict[str, Any]) -> dict[str, Any]:
    if hasattr(item, "get_build_config") and item.get_build_config():
        config["build_config"] = item.get_build_config()
    shared = _SHARED.get()
    if shared is not None:
        earlier = shared.setdefault(id(item), config)
        if earlier is not config:
            earlier["shared_object_id"] = config["shared_object_id"] = id(item)
    return config


def _family_of(item: Any) -> Any:
    """The module whose `serialize` knows the object better than its `get_config()` alone."""
    parts = type(item).__module__.split(".")
    if parts[:2] == ["elephas_torch", "keras"] and parts[2] in _FAMILIES:
        return importlib.import_module(".".join(parts[:3]))
    if parts[:2] == ["elephas_torch", "optimizers"]:
        return importlib.import_module("elephas_torch.keras.optimizers")
    return None


def deserialize_keras_object(
    config: Any,
    custom_objects: dict[str, Any] | None = None,
    safe_mode: bool | None = None,
    kind: str = "layer",
    **kwargs: Any,
) -> Any:
    """Makes the object that `serialize_keras_object` described.

    Args:
        custom_objects: name -> class or function.
        safe_mode: False lets the config hold a lambda's code. Default True.
        kind: what the config is of, as a user would say it.

    Raises:
        ValueError: the class is unknown, the config isn't one, or it holds code.
    """
    if kwargs.keys() - {"module_objects", "printable_module_name"}:
        raise TypeError(f"deserialize_keras_object doesn't know {sorted(kwargs)}.")
    with custom_object_scope(check_custom_objects(custom_objects)), safe_mode_scope(safe_mode):
        return _made(config, kind)


def _made(config: Any, kind: str) -> Any:
    if isinstance(config, list | tuple):
        return [_made(one, kind) for one in config]
    if isinstance(config, str):
        found = find_custom(config)
        return config if found is None else found
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: _made(value, kind) for key, value in config.items()}
    name = config["class_name"]
    if not isinstance(name, str):
        raise ValueError(f"Not the config of a {kind}: {_short(config)}")
    if name in _THINGS:
        return _THINGS[name](config["config"])
    if name == code.CLASS_NAME:
        return code.load(config)
    return _function(config) if name == "function" else _object(config, kind)


def _revived_keras_tensor(config: dict[str, Any]) -> Any:
    from elephas_torch.keras.symbolic import KerasTensor

    tensor = KerasTensor(config["shape"], dtype=config["dtype"])
    tensor._pre_serialization_keras_history = config["keras_history"]  # type: ignore[attr-defined]
    return tensor


def _slice(config: dict[str, Any]) -> slice:
    return slice(*(_made(config[name], "slice") for name in ("start", "stop", "step")))


_THINGS: dict[str, Callable[[Any], Any]] = {
    "__keras_tensor__": _revived_keras_tensor,
    "__numpy__": lambda config: np.array(config["value"], dtype=config["dtype"]),
    "__tensor__": lambda config: torch.as_tensor(np.array(config["value"], config["dtype"])),
    "__bytes__": lambda config: config["value"].encode("utf-8"),
    "__ellipsis__": lambda config: Ellipsis,
    "__slice__": _slice,
    "__tuple__": lambda config: tuple(config["items"]),
}


def _function(config: dict[str, Any]) -> Any:
    name = str(config["config"])
    found = find_custom(str(config.get("registered_name") or name)) or find_custom(name)
    if found is not None:
        return found
    module = str(config.get("module") or "builtins").split(".")
    for family in _FAMILIES if module == ["builtins"] else _families_in(module):
        known = importlib.import_module(f"elephas_torch.keras.{family}")
        try:
            return known.get(name)
        except ValueError:
            continue
    if "ops" in module:
        ops: Any = importlib.import_module("elephas_torch.keras.ops")
        if name in ops.__all__:
            return getattr(ops, name)
    raise ValueError(
        f"Unknown function: {name!r}. If it is one of yours, decorate it with "
        f"@register_keras_serializable(), or pass custom_objects={{{name!r}: function}}."
    )


def _families_in(module: list[str]) -> list[str]:
    return [family for family in _FAMILIES if family in module]


def _object(config: dict[str, Any], kind: str) -> Any:
    name, module = config["class_name"], str(config.get("module") or "keras")
    registered = config.get("registered_name")
    families = _families_in(module.split("."))
    if families and find_custom(str(registered or name)) is None and "schedules" not in module:
        return importlib.import_module(f"elephas_torch.keras.{families[0]}").get(config)
    if name == "DTypePolicy":
        return importlib.import_module("elephas_torch.keras.policy").get(config)
    shared = _SHARED.get()
    key = config.get("shared_object_id")
    if shared is not None and key in shared:
        return shared[key]
    made = _from_config(find_class(name, registered, kind, module), config)
    if shared is not None and key is not None:
        shared[key] = made
    return made


def _from_config(cls: Any, config: dict[str, Any]) -> Any:
    settings = config["config"]
    if isinstance(cls, types.FunctionType):
        return cls
    if not isinstance(settings, dict):
        raise ValueError(f"The config of {config['class_name']!r} is no dict: {_short(settings)}")
    with naming.from_configs():
        made = cls.from_config(dict(settings)) if hasattr(cls, "from_config") else cls(**settings)
    build = config.get("build_config")
    if build and not getattr(made, "built", True) and hasattr(made, "build_from_config"):
        made.build_from_config(build)
    return made


def to_json(config: Any, **kwargs: Any) -> str:
    """A config as JSON; NumPy's numbers and arrays become numbers and lists.

    Raises:
        TypeError: it holds something else that JSON can't.
    """
    return json.dumps(config, **{"default": _plain, **kwargs})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(
        "get_config() must return what JSON can hold: numbers, strings, lists, dicts. "
        f"Received: {_short(value)} (of type {type(value).__name__})"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
