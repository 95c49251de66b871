"""`op`: what makes a function on tensors one of `keras.ops`.

It takes numbers, lists and arrays where the function asks for tensors, and is written down
instead of computed where one of them is symbolic (see `symbolic`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from elephas_torch.keras import symbolic
from elephas_torch.keras.dtypes import tensor

#: Annotation of an argument that is a tensor, and that the function converts by itself.
Value = Any

_Convert = Callable[[Any, Any], Any]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _optional(value: Any, device: Any) -> Any:
    return None if value is None else tensor(value, device=device)


def _one(value: Any, device: Any) -> Tensor:
    return tensor(value, device=device)


def _several(values: Any, device: Any) -> Any:
    return values if isinstance(values, Tensor) else [_one(one, device) for one in values]


_CONVERSIONS: dict[str, _Convert] = {
    "Tensor": _one,
    "Tensor | None": _optional,
    "Sequence[Tensor]": _several,
}


def op(function: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    """Decorator: converts the arguments that are annotated as tensors; records symbolic calls.

    Args:
        name: of the function of `keras.ops` that is recorded. Default: the function's own.

    Returns:
        the function; its attribute `tensor_arguments` has the names of the arguments that are
        tensors, the others say how to compute.

    Arguments annotated `Tensor`, `Tensor | None` and `Sequence[Tensor]` are converted (as
    strings: the module must import annotations from `__future__`), on the device of the first
    tensor among the arguments. The others are handed on as they are.
    """
    parameters = list(inspect.signature(function).parameters.values())
    by_name, order, rest = _conversions(parameters)
    recorded = name or function.__name__

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and all(map(_is_tensor, args)):
            return function(*args)  # nothing to do, in most calls
        if _any_symbolic(args) or (kwargs and _any_symbolic(kwargs.values())):
            return symbolic.record(run, args, kwargs, recorded)
        device = _device((*args, *kwargs.values()))
        ready = [
            value if isinstance(value, Tensor) or convert is None else convert(value, device)
            for value, convert in zip(args, (*order, *[rest] * len(args)), strict=False)
        ]
        for key, value in kwargs.items():
            convert = by_name.get(key)
            if convert is not None:
                kwargs[key] = convert(value, device)
        return function(*ready, **kwargs)

    run.tensor_arguments = _tensor_arguments(parameters)  # type: ignore[attr-defined]
    return run


def _tensor_arguments(parameters: list[inspect.Parameter]) -> tuple[str, ...]:
    return tuple(p.name for p in parameters if str(p.annotation) in {*_CONVERSIONS, "Value"})


def _conversions(
    parameters: list[inspect.Parameter],
) -> tuple[dict[str, _Convert], list[_Convert | None], _Convert | None]:
    """By name, in order of position, and for the rest (`*operands`)."""
    found = {p.name: _CONVERSIONS.get(str(p.annotation)) for p in parameters}
    spread = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    order = [found[p.name] for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {key: convert for key, convert in found.items() if convert is not None}
    return by_name, order, found[spread[0]] if spread else None


def _any_symbolic(values: Iterable[Any]) -> bool:
    for value in values:
        if isinstance(value, Tensor):
            continue
        if symbolic.is_symbolic(value):
            return True
        if isinstance(value, list | tuple) and _any_symbolic(value):
            return True
        if isinstance(value, dict) and _any_symbolic(value.values()):
            return True
    return False


def _device(values: Iterable[Any]) -> Any:
    """Where the first tensor among the values lies; None if there is none."""
    for value in values:
        if isinstance(value, Tensor):
            return value.device
        if isinstance(value, list | tuple):
            found = _device(value)
            if found is not None:
                return found
    return None
