"""Arguments as Keras 1 and 2 spelled them."""

from __future__ import annotations

import warnings
from typing import Any

#: What other Keras versions' `compile` takes and nothing here depends on.
IGNORED_BY_COMPILE = (
    "class_mode", "theano_mode", "run_eagerly", "jit_compile", "steps_per_execution",
    "auto_scale_loss", "sample_weight_mode",
)  # fmt: skip


def renamed(kwargs: dict[str, Any], owner: str, old: str, new: str, value: Any) -> Any:
    """Takes `old` out of the arguments; returns its value, or `value` where it isn't there."""
    if old not in kwargs:
        return value
    warnings.warn(f"{owner}({old}=…) is the old name of `{new}`.", DeprecationWarning, stacklevel=3)
    return kwargs.pop(old)


def ignore(kwargs: dict[str, Any]) -> None:
    """Takes `IGNORED_BY_COMPILE` out of `compile`'s arguments; warns of those that are set."""
    for name in [name for name in IGNORED_BY_COMPILE if name in kwargs]:
        if kwargs.pop(name) is not None:
            warnings.warn(f"compile({name}=…) has no effect here.", stacklevel=3)


def show_accuracy(kwargs: dict[str, Any], owner: str) -> bool:
    """Takes Keras 1's `show_accuracy` out of the arguments; returns whether it is on."""
    if "show_accuracy" not in kwargs:
        return False
    warnings.warn(
        f"{owner}(show_accuracy=…) is old: use compile(metrics=['accuracy']).",
        DeprecationWarning,
        stacklevel=3,
    )
    return bool(kwargs.pop("show_accuracy"))


def modern(
    cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns a constructor's arguments in today's spelling; warns of old ones."""
    return args, kwargs
