"""Constructors' arguments from old spellings to today's."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping
from typing import Any

from elephas_torch.keras.legacy.arguments import JOINED, SINGLE
from elephas_torch.keras.legacy.notice import warn
from elephas_torch.keras.legacy.positions import POSITIONS, doubt, named
from elephas_torch.keras.legacy.rules import Change, Rules, applied

_PACKAGE = __name__.partition(".")[0]

_of_classes: weakref.WeakKeyDictionary[type, Rules] = weakref.WeakKeyDictionary()


def modern(
    cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns a constructor's arguments in today's spelling; warns of old ones.

    Raises:
        TypeError: an argument is given under an old name and under today's.
        ValueError: an old value has no like today.
    """
    rules = _rules(cls)
    if rules.names.isdisjoint(kwargs) and (not args or cls.__name__ not in POSITIONS):
        return args, kwargs
    args, kwargs, changes = translated(cls, args, kwargs)
    doubtful = doubt(cls.__name__, args)
    if changes:
        warn(message(cls.__name__, changes))
    elif doubtful:
        warn(doubtful, UserWarning)
    return args, kwargs


def translated(
    cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str | None = None
) -> tuple[tuple[Any, ...], dict[str, Any], list[Change]]:
    """Returns a constructor's arguments in today's spelling, and what was old in them.

    Args:
        cls: today's class.
        args, kwargs: its arguments.
        name: an old name of the class, where the call is known to be of Keras 1.

    Raises:
        TypeError, ValueError: as `modern`.
    """
    rules = _rules(cls)
    given = dict(kwargs)
    order = _order(cls, args, given, name, rules)
    if order:
        found = named(order, args)
        twice = sorted(found.keys() & given.keys())
        if twice:
            raise TypeError(f"{cls.__name__} got several values for {', '.join(twice)}.")
        given, args = {**found, **given}, ()
    given, changes = applied(rules, cls.__name__, given)
    return args, given, changes


def _order(
    cls: type, args: tuple[Any, ...], given: Mapping[str, Any], name: str | None, rules: Rules
) -> tuple[str, ...]:
    finder = POSITIONS.get(name or "") or POSITIONS.get(cls.__name__)
    if not args or finder is None or not _is_ours(cls):
        return ()
    return finder(args, given, name is not None or not rules.names.isdisjoint(given))


def message(owner: str, changes: list[Change]) -> str:
    """Returns what a warning says of the changes in a call."""
    write = ", ".join(f"{new} for {old}" for old, new in changes if new)
    leave = ", ".join(old for old, new in changes if not new)
    parts = [f"write {write}"] * bool(write) + [f"leave out {leave}"] * bool(leave)
    return f"{owner}: the spelling of an older Keras. Today {'; '.join(parts)}."


def _rules(cls: type) -> Rules:
    found = _of_classes.get(cls)
    if found is None:
        found = _of_classes[cls] = _collected(cls)
    return found


def _collected(cls: type) -> Rules:
    ours = [one.__name__ for one in reversed(cls.__mro__) if _is_ours(one)]
    single = {old: rule for name in ours for old, rule in SINGLE.get(name, {}).items()}
    joined = [one for name in ours for one in JOINED.get(name, ())]
    # What a class takes by such a name itself is its own affair.
    own = set(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    single = {old: rule for old, rule in single.items() if old not in own or rule.when}
    joined = [one for one in joined if own.isdisjoint(one.old)]
    names = frozenset(single) | {old for one in joined for old in one.old}
    return Rules(single, tuple(joined), names)


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == _PACKAGE
