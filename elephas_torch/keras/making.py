"""`Maker`: how objects of the public classes are made, and calls that don't fit are explained."""

from __future__ import annotations

import functools
import inspect
from typing import Any, cast

from elephas_torch.errors import UnknownName, unknown_arguments

_VAR = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Maker(type):
    """The class of classes whose constructors are called by users.

    Python's own message for a call that doesn't fit may name another class, and not what is near;
    and an unknown name may be an argument of any class.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except TypeError:
            misfit = explained(cls, args, kwargs)
            if misfit is None:
                raise
        except UnknownName as error:
            raise error.within(cls.__name__) from None
        raise misfit

    @property
    def __signature__(cls) -> inspect.Signature:
        # What help() and inspect show: this class's __call__ takes anything.
        return inspect.signature(functools.partial(cast(Any, cls).__init__, None))


def explained(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError | None:
    """Returns what doesn't fit in a call of a constructor; None where all fits."""
    signature = inspect.signature(cls)
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return _misfit(cls.__name__, signature.parameters, args, kwargs)
    return None


def _misfit(
    owner: str, parameters: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError:
    kinds = {one.kind for one in parameters.values()}
    named = [name for name, one in parameters.items() if one.kind not in _VAR]
    places = [name for name in named if parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY]
    strangers = [name for name in kwargs if name not in named]
    if strangers and inspect.Parameter.VAR_KEYWORD not in kinds:
        return _strange(owner, strangers, named)
    if len(args) > len(places):
        taken = f"at most {len(places)}: {', '.join(places)}" if places else "none"
        return TypeError(
            f"{owner}: of arguments without names it takes {taken}. Received: {len(args)} of them"
        )
    twice = [name for name in places[: len(args)] if name in kwargs]
    if twice:
        return TypeError(f"{owner} got `{twice[0]}` twice: by its place, and by its name.")
    given = {*places[: len(args)], *kwargs}
    missing = [n for n in named if n not in given and parameters[n].default is parameters[n].empty]
    example = ", ".join([*["…"] * bool(given), *(f"{name}=…" for name in missing)])
    return TypeError(
        f"{owner} needs {' and '.join(f'`{name}`' for name in missing)}: {owner}({example})."
    )


def _strange(owner: str, strangers: list[str], known: list[str]) -> TypeError:
    if known:
        return unknown_arguments(owner, strangers, known)
    return TypeError(f"{owner} takes no arguments. Received: {', '.join(strangers)}")
