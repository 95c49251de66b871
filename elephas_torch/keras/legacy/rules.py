"""What a table of old arguments consists of, and how it is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What became of an argument.

    Attributes:
        new: its names today; none where it changes nothing any more.
        convert: old value -> today's. It may refuse one by a ValueError.
        note: a sentence for the table, on what else there is to know.
        when: which values are old, where the argument's name is still the same.
        written: what a warning says to write, where that is no argument.
    """

    new: tuple[str, ...]
    convert: Callable[[Any], Any] | None = None
    note: str = ""
    when: Callable[[Any], bool] | None = None
    written: str = ""


class Joined(NamedTuple):
    """Arguments that became one.

    Attributes:
        old: their names.
        new: the one's name today.
        join: makes its value of those that are there, by name; None for nothing.
        unless: where one of these is given, the old ones say nothing more.
        needs: where this old one isn't given, the others are today's.
    """

    old: tuple[str, ...]
    new: str
    join: Callable[[Mapping[str, Any]], Any]
    unless: tuple[str, ...] = ()
    needs: str | None = None


class Rules(NamedTuple):
    """All that a class has."""

    single: Mapping[str, Rule]
    joined: tuple[Joined, ...]
    names: frozenset[str]


class Change(NamedTuple):
    """What was found in a call: the old text, and the one to write (empty: leave it out)."""

    old: str
    new: str


def to(*new: str, convert: Callable[[Any], Any] | None = None, note: str = "") -> Rule:
    """The argument is called `new` today."""
    return Rule(new, convert, note)


def gone(note: str, convert: Callable[[Any], Any] | None = None) -> Rule:
    """The argument changes nothing any more."""
    return Rule((), convert, note)


def applied(
    rules: Rules, owner: str, kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Change]]:
    """Returns arguments in today's spelling, and what was changed.

    Args:
        rules: of the class.
        owner: its name, for messages.
        kwargs: by old names, today's, or both.

    Raises:
        TypeError: an argument is given under both names.
        ValueError: an old value has no like today.
    """
    found = dict(kwargs)
    changes: list[Change] = []
    for joined in rules.joined:
        _join(joined, owner, found, changes)
    for old in [name for name in found if name in rules.single]:
        _rename(rules.single[old], owner, old, found, changes)
    return found, changes


def _join(joined: Joined, owner: str, found: dict[str, Any], changes: list[Change]) -> None:
    if joined.needs is not None and joined.needs not in found:
        return
    parts = {old: found.pop(old) for old in joined.old if old in found}
    if not parts:
        return
    old = ", ".join(shown(name, one) for name, one in parts.items())
    value = None if any(one in found for one in joined.unless) else joined.join(parts)
    if value is None:
        changes.append(Change(old, ""))
        return
    _put(owner, old, joined.new, value, found)
    changes.append(Change(old, shown(joined.new, value)))


def _rename(rule: Rule, owner: str, old: str, found: dict[str, Any], changes: list[Change]) -> None:
    if rule.when is not None and not rule.when(found[old]):
        return
    value = found.pop(old)
    today = value if rule.convert is None else rule.convert(value)
    for new in rule.new:
        _put(owner, old, new, today, found)
    written = rule.written or ", ".join(shown(new, today) for new in rule.new)
    changes.append(Change(shown(old, value), written))


def _put(owner: str, old: str, new: str, value: Any, found: dict[str, Any]) -> None:
    if new in found:
        raise TypeError(
            f"{owner}: {old} is the old spelling of `{new}`, which is given too: leave it out."
        )
    found[new] = value


def shown(name: str, value: Any) -> str:
    """Returns an argument as it is written in a call; a value that is long as "…"."""
    plain = isinstance(value, str | int | float | bool | tuple | None)
    text = repr(value) if plain else "…"
    return f"{name}={text if len(text) <= 30 else '…'}"
