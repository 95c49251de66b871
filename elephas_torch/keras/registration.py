"""The names by which configs find classes and functions: the package's own, and the user's.

Nothing is imported because a config names it: a class is taken from this package, from what was
registered, from `custom_objects`, and from nowhere else.
See https://keras.io/api/models/model_saving_apis/serialization_utils/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from elephas_torch.errors import nearest

T = TypeVar("T")

#: The package's own serializable classes, by name: filled as their modules are imported.
_OWN: dict[str, type] = {}
_REGISTERED: dict[str, Any] = {}
_SCOPE: ContextVar[dict[str, Any] | None] = ContextVar("custom_objects", default=None)
#: Where the classes that a config calls by our names may be said to be.
_ROOMS = ("keras", "elephas_torch", "tf_keras", "keras_core", "tensorflow")


def own(cls: type) -> None:
    """Makes one of the package's own classes known by its name, and by the one that Keras has
    for it in configs (`keras_name`) where that is another."""
    _OWN[cls.__name__] = _OWN[written_name(cls)] = cls


def written_name(cls: type) -> str:
    """The name of a class in configs."""
    return str(vars(cls).get("keras_name", cls.__name__))


def own_class(name: str) -> type | None:
    """The package's own class of a name, or None."""
    return _OWN.get(name)


def is_own(cls: type) -> bool:
    """Whether a class is one of the package's own."""
    return _OWN.get(cls.__name__) is cls


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorator: makes a class or function known to `load_model`, under "package>name".

    Raises:
        ValueError: (when it decorates) a class has no `get_config()`.

    Example::

        @register_keras_serializable(package="my_layers")
        class Scale(Layer): ...
    """

    def register(item: T) -> T:
        plain = name or getattr(item, "__name__", "")
        if isinstance(item, type) and not hasattr(item, "get_config"):
            raise ValueError(
                f"register_keras_serializable: the class {plain!r} has no get_config(), so its "
                "objects can't be described. Define it."
            )
        _REGISTERED[f"{package}>{plain}"] = item
        return item

    return register


def registered_name(item: Any) -> str | None:
    """The name under which an object was registered, or None."""
    return next((name for name, known in _REGISTERED.items() if known is item), None)


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function was registered, or its own name.

    Follows https://keras.io/api/models/model_saving_apis/serialization_utils/#getregisteredname-function
    """
    return registered_name(obj) or str(obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: dict[str, Any] | None = None,
    module_objects: dict[str, Any] | None = None,
) -> Any:
    """The class or function of a registered name, or None.

    Args:
        name: "package>name", or a name of the scope's or of the two dicts.
        custom_objects, module_objects: where to look as well, in this order.
    """
    for known in (_SCOPE.get(), _REGISTERED, custom_objects, module_objects):
        if known and name in known:
            return known[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """The dict of registered objects itself: what is put into it is known from then on."""
    return _REGISTERED


@contextmanager
def custom_object_scope(objects: dict[str, Any]) -> Iterator[None]:
    """Within it, configs may name these objects: `with custom_object_scope({"Scale": Scale}):`.

    Raises:
        TypeError: `objects` is no dict of names.
    """
    objects = check_custom_objects(objects)
    token = _SCOPE.set({**(_SCOPE.get() or {}), **objects})
    try:
        yield
    finally:
        _SCOPE.reset(token)


CustomObjectScope = custom_object_scope


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
    plain = name.rpartition(">")[2]
    if plain not in _OWN:
        import elephas_torch.keras.models  # noqa: F401  which may not have been asked for yet
    if plain in _OWN and (module or "keras").partition(".")[0] in _ROOMS:
        return _OWN[plain]
    # Of a file that somebody made to do harm, no code is to be recommended.
    shown = f"{{{name!r}: {plain}}}" if plain.isidentifier() else "…"
    raise ValueError(
        f"Unknown {kind}: {name!r}.{nearest(name, _OWN)} If it is a class of yours, decorate it "
        f"with @register_keras_serializable(), or pass custom_objects={shown}."
    )
