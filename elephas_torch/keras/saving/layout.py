"""Where the state of a model's parts lies in a file of weights: Keras 3's layout.

A part's own variables are in `<path>/vars/0`, `1` …; the path leads from the model through
attributes, and through lists by class: `layers/dense_1`, `layers/bidirectional/forward_layer`.
Names of layers play no role, since they change from one making of a model to the next.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from torch import nn

from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.registration import is_own

#: Where Keras 2.13 had what lies in `layers` today.
OLDER = "_layer_checkpoint_dependencies"
#: Attributes of the package's layers whose parts lie elsewhere in Keras: ours -> Keras's.
_PLACES: dict[str, dict[str, str]] = {
    "MultiHeadAttention": {
        f"_{name}_dense": f"{name}_dense" for name in ("query", "key", "value", "output")
    },
}
#: Layers whose own variables belong to a part of theirs in Keras: class -> that part.
_OWN_PLACE = {"LSTM": "cell", "GRU": "cell", "SimpleRNN": "cell"}


def parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields (path, part) for a model and everything in it, each part once."""
    yield from _walk(model, "", set())


def own_place(part: nn.Module, path: str) -> str:
    """The path of a part's own variables: the part's own but for few layers."""
    below = None if "cell" in part._modules else _of_class(part, _OWN_PLACE)
    return path if below is None else _joined(path, below)


def _walk(part: nn.Module, path: str, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(part) in seen:
        return
    seen.add(id(part))
    yield path, part
    if isinstance(part, Layer):
        for name, child in _children(part):
            yield from _walk_child(child, _joined(path, name), seen)


def _walk_child(child: Any, path: str, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(child, nn.Module):
        yield from _walk(child, path, seen)
        return
    counts: dict[str, int] = {}
    for one in child.values() if isinstance(child, dict) else child:
        if isinstance(one, nn.Module):
            name = _counted(snake_case(type(one).__name__), counts)
            yield from _walk(one, f"{path}/{name}", seen)
        elif isinstance(one, list | tuple | dict):
            yield from _walk_child(one, f"{path}/{_counted('container', counts)}", seen)


def _counted(name: str, counts: dict[str, int]) -> str:
    count = counts[name] = counts.get(name, -1) + 1
    return f"{name}_{count}" if count else name


def _children(part: Layer) -> list[tuple[str, Any]]:
    places = _of_class(part, _PLACES) or {}
    found = {places.get(name, name): value for name, value in _attributes(part)}
    if hasattr(type(part), "layers"):
        found["layers"] = part.layers
    first = "layers" if _is_graph(part) else ""
    # Otherwise in the order of names, private ones last, as Keras has it.
    return sorted(found.items(), key=lambda one: (one[0] != first, one[0][:1] == "_", one[0]))


def _attributes(part: Layer) -> Iterator[tuple[str, Any]]:
    for name, value in part._modules.items():
        if name in _framework():
            continue
        if isinstance(value, nn.ModuleList | nn.ModuleDict):
            yield name, list(value.values() if isinstance(value, nn.ModuleDict) else value)
        elif value is not None:
            yield name, value
    for name, value in vars(part).items():
        if name not in _framework() and holds_parts(value):
            yield name, value


def holds_parts(value: Any) -> bool:
    """Whether a list, tuple or dict has modules in it."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(
        isinstance(one, nn.Module) or holds_parts(one) for one in value
    )


def _is_graph(part: Layer) -> bool:
    return getattr(part, "_graph", None) is not None or hasattr(part, "_stack")


@functools.cache
def _framework() -> frozenset[str]:
    """Attributes that aren't the user's."""
    from elephas_torch.keras.sequential import Sequential

    return frozenset(vars(Sequential()))


def _of_class(part: nn.Module, table: dict[str, Any]) -> Any:
    for cls in type(part).__mro__:
        if cls.__name__ in table and is_own(cls):
            return table[cls.__name__]
    return None


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
