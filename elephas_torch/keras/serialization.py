"""Objects to JSON-able configs and back, in Keras 3's form, and the registry of custom ones.

A config is `{"module", "class_name", "config", "registered_name"}`. Nothing here runs code that
comes out of a config: a class is taken from this package, from the registry, from
`custom_objects`, and from nowhere else.
See https://keras.io/api/models/model_saving_apis/serialization_utils/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from elephas_torch.errors import nearest

T = TypeVar("T")

#: The package's own serializable classes, by name: filled as their modules are imported.
_OWN: dict[str, type] = {}
_REGISTERED: dict[str, Any] = {}
_SCOPE: ContextVar[dict[str, Any] | None] = ContextVar("custom_objects", default=None)


def own(cls: type) -> None:
    """Makes one of the package's own classes known by its name."""
    _OWN[cls.__name__] = cls


def is_own(cls: type) -> bool:
    """Whether a class is one of the package's own."""
    return _OWN.get(cls.__name__) is cls


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorator: makes a class or function known to `load_model`, under "package>name".

    Example::

        @register_keras_serializable(package="my_layers")
        class Scale(Layer): ...
    """

    def register(item: T) -> T:
        plain = name or getattr(item, "__name__", "")
        _REGISTERED[f"{package}>{plain}"] = item
        return item

    return register


def registered_name(item: Any) -> str | None:
    """The name under which an object was registered, or None."""
    return next((name for name, known in _REGISTERED.items() if known is item), None)


@contextmanager
def custom_object_scope(objects: dict[str, Any]) -> Iterator[None]:
    """Within it, configs may name these objects: `with custom_object_scope({"Scale": Scale}):`."""
    objects = check_custom_objects(objects)
    token = _SCOPE.set({**(_SCOPE.get() or {}), **objects})
    try:
        yield
    finally:
        _SCOPE.reset(token)


def check_custom_objects(objects: Any) -> dict[str, Any]:
    """Returns `objects` (or {} for None); raises TypeError unless it maps names to objects."""
    if objects is None:
        return {}
    if not isinstance(objects, dict) or not all(isinstance(name, str) for name in objects):
        raise TypeError(
            "`custom_objects` must be a dict of names and classes or functions, such as "
            f"{{'Scale': Scale}}. Received: custom_objects={objects!r}"
        )
    return objects


def find_custom(name: str) -> Any:
    """The custom object of this name ("Scale" or "package>Scale"), or None."""
    scope = _SCOPE.get() or {}
    if name in scope:
        return scope[name]
    if name in _REGISTERED:
        return _REGISTERED[name]
    return next((item for key, item in _REGISTERED.items() if key.endswith(f">{name}")), None)


def find_class(
    name: str, registered: str | None = None, kind: str = "layer", module: str | None = None
) -> Any:
    """The class for a config's `class_name`: custom objects first, then the package's own.

    Args:
        registered: its "package>name", where it was registered.
        kind: what is looked for, as a user would say it.
        module: where the class was; the package's own are only taken for Keras's modules.

    Raises:
        ValueError: nobody knows the name; the message says how to make it known.
    """
    for key in (registered, name):
        found = find_custom(key) if key else None
        if found is not None:
            return found
    room = (module or "keras").partition(".")[0]
    if name in _OWN and room in ("keras", "elephas_torch"):
        return _OWN[name]
    raise ValueError(
        f"Unknown {kind}: {name!r}.{nearest(name, _OWN)} If it is a class of yours, decorate it "
        f"with @register_keras_serializable(), or pass custom_objects={{{name!r}: {name}}}."
    )


def serialize_keras_object(item: Any) -> dict[str, Any]:
    """Returns the config of an object that has `get_config()`."""
    cls = type(item)
    module = getattr(cls, "keras_module", None) if is_own(cls) else cls.__module__
    return {
        "module": module,
        "class_name": cls.__name__,
        "config": item.get_config(),
        "registered_name": registered_name(cls) or (None if is_own(cls) else cls.__name__),
    }


def deserialize_keras_object(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None, kind: str = "layer"
) -> Any:
    """Makes the object that `serialize_keras_object` described.

    Raises:
        ValueError: the class is unknown, or the config isn't one.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ValueError(
            f"Not the config of a {kind}: it has no 'class_name'. Received: {_short(config)}"
        )
    with custom_object_scope(check_custom_objects(custom_objects)):
        names = config.get("registered_name"), kind, config.get("module")
        cls = find_class(config["class_name"], *names)
        settings = config.get("config")
        if not isinstance(settings, dict):
            raise ValueError(
                f"The config of {config['class_name']!r} is no dict: {_short(settings)}"
            )
        if hasattr(cls, "from_config"):
            return cls.from_config(dict(settings))
        return cls(**settings)


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
