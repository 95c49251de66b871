"""Layers in lists and dicts: `self.blocks = [Dense(3), Dense(4)]` makes them parts of a layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def tracked(owner: nn.Module, name: str, value: Any) -> Any:
    """Returns the container to keep in place of `value`: the modules in it are the owner's parts.

    A list becomes a `TrackedList`, a dict a `TrackedDict`; both go on to take modules.
    """
    if type(value) is list:
        return TrackedList(owner, name, value)
    if type(value) is dict:
        return TrackedDict(owner, name, value)
    if type(value) is tuple:
        _register(owner, name, value)
    return value


def _register(owner: nn.Module, name: str, values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, nn.Module) and not any(one is value for one in owner.children()):
            number = sum(key.startswith(f"{name}_item_") for key in owner._modules)
            owner.register_module(f"{name}_item_{number}", value)
        elif isinstance(value, list | tuple):
            _register(owner, name, value)
        elif isinstance(value, dict):
            _register(owner, name, value.values())


class TrackedList(list[Any]):
    """A list whose modules are parts of a layer."""

    def __init__(self, owner: nn.Module, name: str, values: Iterable[Any]) -> None:
        super().__init__(values)
        self._owner, self._name = owner, name
        _register(owner, name, self)

    def _track(self, *values: Any) -> None:
        _register(self._owner, self._name, values)

    def append(self, value: Any) -> None:
        super().append(value)
        self._track(value)

    def extend(self, values: Iterable[Any]) -> None:
        several = list(values)
        super().extend(several)
        self._track(*several)

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, value)
        self._track(value)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._track(value)

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _bare, (type(self),), (self._owner, self._name, list(self))

    def __setstate__(self, state: Any) -> None:
        self._owner, self._name, values = state
        super().extend(values)


class TrackedDict(dict[Any, Any]):
    """A dict whose modules are parts of a layer."""

    def __init__(self, owner: nn.Module, name: str, values: dict[Any, Any]) -> None:
        super().__init__(values)
        self._owner, self._name = owner, name
        _register(owner, name, self.values())

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        _register(self._owner, self._name, [value])

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _bare, (type(self),), (self._owner, self._name, dict(self))

    def __setstate__(self, state: Any) -> None:
        self._owner, self._name, values = state
        super().update(values)


def _bare(cls: Any) -> Any:
    # Filled only when the owner, which may be in the making itself, is known.
    return cls.__new__(cls)
