"""The exceptions of this package.

Bad arguments raise the builtin that fits (`ValueError`, `TypeError`). Where no
builtin fits, one of these::

    ElephasError
    ├── DataError           (ValueError)    the data can't be trained on; names the partition
    ├── ModelFileError      (ValueError)    a file isn't a model, or is cut off
    ├── WorkerError         (RuntimeError)  a worker raised; shows its traceback
    │   └── Diverged        a worker's loss or update is NaN or infinite
    ├── WaitTimeout         (TimeoutError)  something that was waited for did not come
    └── ServerError         (RuntimeError)  the parameter server failed, or can't be reached
        ├── Unreachable     no connection to it, or one that was cut
        └── Refused         the parameter server answered, and said no
            ├── Fenced      a newer attempt of the same worker has taken over
            └── Restarted   the server begins from a checkpoint: join again

A name that nobody knows is an `UnknownName`, which is a ValueError.
"""

from __future__ import annotations

import difflib
import opcode
import re
import sys
from collections.abc import Iterable, Mapping


class ElephasError(Exception):
    """Root of the exceptions that this package defines."""


class DataError(ElephasError, ValueError):
    """The training data can't be used; the message says where and what was found."""


class ModelFileError(ElephasError, ValueError):
    """A file isn't a saved model, is cut off, or doesn't fit what it is loaded into."""


class WorkerError(ElephasError, RuntimeError):
    """A worker raised while it trained; the message ends with the worker's own traceback."""


class Diverged(WorkerError):
    """A worker's loss or update is NaN or infinite: training went wrong, or the data is."""


class WaitTimeout(ElephasError, TimeoutError):
    """A wait ended without what was waited for; the message says what that was."""


class ServerError(ElephasError, RuntimeError):
    """The parameter server could not be started, could not be reached, or broke."""


class Unreachable(ServerError):
    """There is no connection to the parameter server, or it was cut.

    Args:
        reason: what happened.
        reached: whether there was a connection.
    """

    def __init__(self, reason: str, reached: bool = False) -> None:
        super().__init__(reason)
        self.reached = reached


class Refused(ServerError):
    """The parameter server refused a request.

    Args:
        reason: what the server said.
        status: the HTTP status code, 400 to 499.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Fenced(Refused):
    """A newer attempt of this worker has joined; this one must stop."""

    def __init__(self, reason: str, status: int = 409) -> None:
        super().__init__(reason, status)


class Restarted(Refused):
    """The parameter server has begun from a checkpoint, and this worker hasn't joined since."""

    def __init__(self, reason: str, status: int = 410) -> None:
        super().__init__(reason, status)


class UnknownName(ValueError):
    """Nobody knows the name; see `unknown`. A constructor puts its class before the message."""

    owner: str | None = None

    def within(self, owner: str) -> UnknownName:
        """Returns the error of the constructor of this class; its own where it had one before."""
        if self.owner is not None:
            return self
        error = UnknownName(f"{owner}: {self}")
        error.owner = owner
        return error


#: From so much likeness on, of 1, a name may be what was meant: of a name as it is, of what two
#: names don't share, and of the whole where that is shorter than `_SHORT`.
_NEAR, _REST_NEAR, _WHOLE_NEAR, _SHORT = 0.5, 0.6, 0.7, 3


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the known name nearest to `name`, or "" where none is."""
    close = _close(str(name), known)
    return f" Did you mean {close[0]!r}?" if close else ""


def _close(name: str, known: Iterable[str]) -> list[str]:
    """The names that are near, the nearest first; of two spellings of one name the nearer."""
    near = [one for one in known if _may_mean(name, one)]
    near.sort(key=lambda one: (_likeness(name, one), _likeness(name.lower(), one.lower()), one))
    found: dict[str, str] = {}
    for one in reversed(near):
        found.setdefault("".join(_words(one)), one)
    return list(found.values())


def _may_mean(name: str, other: str) -> bool:
    """Whether they are near. Words that both begin or end with don't count where both have more:
    they are those of a family, as `validation_data` and `validation_split` are."""
    one, two = _words(name), _words(other)
    while one and two and one[0] == two[0]:
        del one[0], two[0]
    while one and two and one[-1] == two[-1]:
        del one[-1], two[-1]
    first, second = sorted(("_".join(one), "_".join(two)), key=len)
    shared = len(one) < len(_words(name))
    if shared and one and two and len(first) < _SHORT:
        return _likeness(name.lower(), other.lower()) >= _WHOLE_NEAR
    if len(first) >= _SHORT and second.startswith(first):
        return True
    if shared and one and two:
        return _likeness(first, second) >= _REST_NEAR
    return _likeness(name.lower(), other.lower()) >= _NEAR


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, name).ratio()


def _words(name: str) -> list[str]:
    """ "val_loss" and "valLoss" -> ["val", "loss"]."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def absent(message: str) -> Exception:
    """Returns what a module's `__getattr__` raises for a name that isn't there.

    An `AttributeError`; within `from module import name` an `ImportError`, since Python shows
    nothing of an `AttributeError` there.
    """
    asking = sys._getframe(2)
    doing = asking.f_code.co_code[asking.f_lasti] if asking.f_lasti >= 0 else None
    return (ImportError if doing == opcode.opmap["IMPORT_FROM"] else AttributeError)(message)


#: So many names are listed; of more of them only those that are near.
_LISTED = 16


def unknown(kind: str, name: object, known: Iterable[str], page: str = "") -> UnknownName:
    """Returns the `UnknownName` for a name that nobody knows, with the nearest known one.

    Args:
        kind: what was looked for, as a user would say it: "loss", "mode".
        name: what was received.
        known: the names that exist. Of many only some are listed, the near ones first.
        page: where all of them are described.
    """
    names = sorted({str(one) for one in known})
    hint = nearest(str(name), names)
    shown = f" Known: {', '.join(names)}." if len(names) <= _LISTED else _some(str(name), names)
    return UnknownName(f"Unknown {kind}: {name!r}.{hint}{shown}{page and f' See {page}'}")


def _some(name: str, names: list[str]) -> str:
    close = _close(name, names)[:5]
    if not close:
        return f" Known: {', '.join(names[:5])} … ({len(names)} in all)."
    return f" Near it too: {', '.join(close[1:])}." if close[1:] else ""


def unknown_arguments(
    owner: str,
    given: Iterable[str],
    known: Iterable[str],
    instead: Mapping[str, str] | None = None,
) -> TypeError:
    """Returns the `TypeError` for arguments that `owner` doesn't take, each with the nearest.

    Args:
        instead: what to do in place of giving arguments that others take: a sentence for each.
    """
    known, instead = list(known), instead or {}
    hints = {
        name: f" {instead[name]}" if name in instead else nearest(name, known) for name in given
    }
    parts = [f"{name!r}.{hint}" for name, hint in hints.items()]
    return TypeError(
        f"{owner} got an argument that it doesn't know: {' '.join(parts)} "
        f"It takes: {', '.join(known)}."
    )
