"""`add_weight` as Keras 2 had it: the name first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from elephas_torch.keras.legacy.notice import warn

Method = TypeVar("Method", bound=Callable[..., Any])

#: Keras 2's order of arguments: of layers, and of metrics.
OF_LAYERS = (
    "name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint",
)  # fmt: skip
OF_METRICS = ("name", "shape", "aggregation", "synchronization", "initializer", "dtype")
#: What the line is to look like.
TODAY = "add_weight(shape, initializer, name='W')"


def name_first(order: tuple[str, ...]) -> Callable[[Method], Method]:
    """Lets an `add_weight` take its arguments in Keras 2's order, with a warning.

    Args:
        order: of the arguments without names.
    """

    def taught(method: Method) -> Method:
        @functools.wraps(method)
        def add_weight(owner: Any, *args: Any, **kwargs: Any) -> Any:
            if _is_old(args):
                kwargs = _named(order, args, kwargs)
                args = ()
            return method(owner, *args, **kwargs)

        return add_weight  # type: ignore[return-value]

    return taught


def _is_old(args: tuple[Any, ...]) -> bool:
    # add_weight(None, (3, 4)) has no name, and no initializer is a tuple.
    unnamed = len(args) > 1 and args[0] is None and isinstance(args[1], list | tuple)
    return unnamed or bool(args and isinstance(args[0], str))


def _named(order: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    given = dict(zip(order, args, strict=False))
    twice = given.keys() & kwargs.keys()
    if twice or len(args) > len(order) or isinstance(given.get("shape"), str):
        received = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        raise TypeError(
            f"add_weight: after a name in the first place come {', '.join(order[1:])}, as in "
            f"Keras 2; today's order is {TODAY}. Received: add_weight({', '.join(received)})"
        )
    warn(f"add_weight({args[0]!r}, …) is Keras 2's order: write {TODAY}.")
    # None was the default of all.
    return {name: value for name, value in {**given, **kwargs}.items() if value is not None}
