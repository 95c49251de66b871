"""Python code in configs: refused, unless a user says that a file is to be trusted.

Keras writes a lambda into a config as marshalled bytecode. Whoever loads it runs it, so it is
only looked at with `safe_mode=False`.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import marshal
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_SAFE: ContextVar[bool | None] = ContextVar("safe_mode", default=None)
_unsafe_everywhere = False

CLASS_NAME = "__lambda__"


def enable_unsafe_deserialization() -> None:
    """Lets configs hold lambdas from now on, in this process: their code can do anything.

    Follows https://keras.io/api/utils/config_utils/#enable_unsafe_deserialization-function
    """
    global _unsafe_everywhere
    _unsafe_everywhere = True


@contextmanager
def safe_mode_scope(safe_mode: bool | None) -> Iterator[None]:
    """Within it, code in configs is refused (True) or taken (False). None changes nothing."""
    token = _SAFE.set(_SAFE.get() if safe_mode is None else bool(safe_mode))
    try:
        yield
    finally:
        _SAFE.reset(token)


def in_safe_mode() -> bool:
    """Whether code in configs is refused: so it is unless somebody said otherwise."""
    stated = _SAFE.get()
    return not _unsafe_everywhere if stated is None else stated and not _unsafe_everywhere


def is_lambda(function: Any) -> bool:
    """Whether a function has no name by which it could be found again."""
    return isinstance(function, types.LambdaType) and function.__name__ == "<lambda>"


def dump(function: Any) -> dict[str, Any]:
    """Returns a lambda as Keras writes it into configs: its bytecode, which `load` takes back."""
    cells = function.__closure__
    return {
        "class_name": CLASS_NAME,
        "config": {
            "code": base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii"),
            "defaults": function.__defaults__,
            "closure": None if cells is None else [cell.cell_contents for cell in cells],
        },
    }


def load(config: Any) -> Callable[..., Any]:
    """Returns the function of a `__lambda__` config.

    Raises:
        ValueError: in safe mode, always; otherwise where the code isn't of this Python.
    """
    if in_safe_mode():
        raise ValueError(
            "The config holds a Python lambda, and to load it is to run whatever code is in it. "
            "If you trust where it comes from, pass safe_mode=False to the loading function. "
            "Better: give the function a name and pass it in custom_objects={name: function}."
        )
    settings = config["config"]
    if "value" in settings:  # how other objects than a Lambda layer have it
        settings = dict(zip(("code", "defaults", "closure"), settings["value"], strict=False))
    try:
        return _function(settings)
    except (binascii.Error, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The lambda's code can't be read: another Python wrote it, or it is damaged ({error})."
        ) from None


def _function(settings: dict[str, Any]) -> Callable[..., Any]:
    closure, defaults = settings.get("closure"), settings.get("defaults")
    code = marshal.loads(base64.b64decode(settings["code"]))
    return types.FunctionType(
        code,
        {"__builtins__": builtins},
        code.co_name,
        None if defaults is None else tuple(defaults),
        None if closure is None else tuple(types.CellType(one) for one in closure),
    )
