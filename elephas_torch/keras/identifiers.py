"""What stands for an object in `compile` and in configs: its name, its config, or itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from elephas_torch.errors import unknown
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.serialization import find_custom, registered_name

T = TypeVar("T")

_API = "https://keras.io/api"
#: Kind -> where Keras describes all of it.
_PAGES = {
    "loss": f"{_API}/losses/",
    "metric": f"{_API}/metrics/",
    "layer": f"{_API}/layers/",
    **{
        kind: f"{_API}/layers/{kind}s/"
        for kind in ("activation", "constraint", "initializer", "regularizer")
    },
}


def both_spellings(classes: Iterable[type[T]]) -> dict[str, type[T]]:
    """Returns the classes by their names and by their names in snake case."""
    found = {}
    for cls in classes:
        found[cls.__name__] = found[snake_case(cls.__name__)] = cls
    return found


def find(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """Returns the object called `name`: the user's own if there is one, else ours.

    Args:
        kind: what is looked for, as a user would say it: "loss".
        name: its name, or the name that it was registered under ("Package>Name").
        known: ours, by name.

    Raises:
        ValueError: nobody knows the name; the message has the nearest one.
    """
    custom = find_custom(name)
    if custom is not None:
        return custom
    if name not in known:
        raise unknown(kind, name, known, _PAGES.get(kind, ""))
    return known[name]


def find_described(kind: str, config: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Returns the class or function that a config of `described` names, as `find` does."""
    registered = config.get("registered_name")
    custom = find_custom(str(registered)) if registered else None
    return find(kind, str(config["class_name"]), known) if custom is None else custom


def described(thing: Any, module: str, ours: Iterable[type]) -> dict[str, Any]:
    """Returns Keras's description of an object: its class and its `get_config()`.

    Args:
        thing: has `get_config()`.
        module: Keras's module for the classes in `ours`; other classes keep their own.
        ours: the classes that Keras knows under that module.
    """
    cls = type(thing)
    known = any(cls is one for one in ours)
    return {
        "module": module if known else cls.__module__,
        "class_name": cls.__name__,
        "config": thing.get_config(),
        "registered_name": None if known else registered_name(cls) or cls.__name__,
    }


def name_of(function: Any) -> str:
    """Returns the name by which a function is found again: registered, or its own."""
    own = getattr(function, "__name__", type(function).__name__)
    return registered_name(function) or str(own)


def shown_name(function: Any) -> str:
    """Returns the name of a function as Keras shows it in logs: in snake case."""
    own = getattr(function, "name", None) or getattr(function, "__name__", None)
    return snake_case(str(own or type(function).__name__))


def resolve(kind: str, identifier: Any, known: Mapping[str, Any], example: str) -> Any:
    """Returns the object that an identifier stands for: what `get` of a family does.

    Args:
        kind: what is looked for, as a user would say it: "regularizer".
        identifier: None (returned), an object or function that can be called (returned), a
            class, a name, or a config of `described` or of Keras's.
        known: ours, by name.
        example: a name to show where the identifier is none of these.

    Raises:
        ValueError: nobody knows the name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return made(find(kind, identifier, known))
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        config = identifier.get("config")
        if identifier["class_name"] == "function":
            return find(kind, str(config), known)
        return made(find_described(kind, identifier, known), config)
    if callable(identifier):
        return made(identifier)
    article = "An" if kind[0] in "aeiou" else "A"
    raise TypeError(
        f"{article} {kind} must be a name such as {example!r}, or {article.lower()} {kind}. "
        f"Received: {identifier!r} (of type {type(identifier).__name__})"
    )


def made(found: Any, config: Mapping[str, Any] | None = None) -> Any:
    """Returns an object of a class, made from its config; what is no class as it is."""
    if not isinstance(found, type):
        return found
    settings = dict(config or {})
    return found.from_config(settings) if hasattr(found, "from_config") else found(**settings)


def written(thing: Any, module: str, ours: Iterable[type]) -> dict[str, Any] | str | None:
    """Returns an object as JSON-able data for `resolve`: `described`, or a function's name."""
    if thing is None:
        return None
    return described(thing, module, ours) if hasattr(thing, "get_config") else name_of(thing)
