"""The states of a model's parts, to arrays and back.

States are plain data: path -> (name of the part, {name of the variable: array}); see `layout.py`
for the paths. A layer may keep its state in its own way, with Keras's `save_own_variables(store)`
and `load_own_variables(store)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elephas_torch.errors import ModelFileError
from elephas_torch.keras import legacy
from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.saving import layout
from elephas_torch.keras.saving.hdf5 import Stored

#: How many places a message names.
_FEW = 5
Arrays = dict[str, np.ndarray]
States = dict[str, tuple[str, Arrays]]


def array(value: Any) -> np.ndarray:
    """A variable's elements as an array; bfloat16, which NumPy doesn't know, as float32."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().as_subclass(Tensor)
        value = (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    return np.asarray(value)


def own_variables(part: nn.Module) -> dict[str, Tensor]:
    """A part's own variables by name, those of its parts left out, in Keras's order."""
    if not isinstance(part, Layer):
        return {n: t for n, t in part.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
    return part.own_variables()


def collected(model: nn.Module) -> States:
    """The states of a model and all of its parts."""
    states: States = {}
    for path, part in layout.parts(model):
        store: dict[str, Any] = {}
        _save(part, store)
        place = layout.own_place(part, path)
        if place != path:
            states[path] = _name(part), {}
        states[place] = _name(part), {key: array(value) for key, value in store.items()}
    return states


def _name(part: nn.Module) -> str:
    return part.name if isinstance(part, Layer) else type(part).__name__


def _save(part: nn.Module, store: dict[str, Any]) -> None:
    if isinstance(part, Layer):
        part.save_own_variables(store)
    else:
        store.update(own_variables(part))


def distribute(
    model: nn.Module,
    stored: Callable[[str], Stored],
    source: Any,
    skip_mismatch: bool = False,
    over: Sequence[str] = (),
) -> None:
    """Gives a built model's parts their states.

    Args:
        stored: the arrays at a path.
        source: the file, for messages.
        skip_mismatch: leave out parts that don't fit, with a warning.
        over: places in the file that the model has no part for, which is a misfit too.

    Raises:
        ModelFileError: a part's state isn't there, or has other shapes; nothing is taken then.
    """
    several = [(part, stored(layout.own_place(part, path))) for path, part in layout.parts(model)]
    problems = {id(part): why for part, store in several if (why := _misfit(part, store))}
    if problems or over:
        _tell([*_strangers(over), *problems.values()], source, skip_mismatch)
    for part, store in several:
        if id(part) not in problems:
            _load(part, store, source)


def _tell(problems: Sequence[str], source: Any, skip_mismatch: bool) -> None:
    message = f"{str(source)!r} doesn't fit the model: {' '.join(problems)}"
    if not skip_mismatch:
        raise ModelFileError(message)
    legacy.warn(f"{message} What fits was loaded; other layers keep their weights.", UserWarning)


def _strangers(over: Sequence[str]) -> list[str]:
    if not over:
        return []
    named = ", ".join(map(repr, over[:_FEW])) + (" …" if len(over) > _FEW else "")
    return [f"The file has weights that the model has no layer for: {named}."]


def _misfit(part: nn.Module, store: Stored) -> str | None:
    # Shapes are looked at before anything is read; what a layer of one's own does isn't known.
    if getattr(type(part), "load_own_variables", None) not in _KNOWN:
        return None
    mine = own_variables(part)
    if len(mine) != len(store):
        return f"{_label(part)} has {len(mine)} weights in the model and {len(store)} in the file."
    for key, (name, variable) in zip(_keys(part, mine), mine.items(), strict=True):
        if key not in store:
            return f"{_label(part)}: the file has no {key!r}."
        if tuple(variable.shape) != store.shape(key):
            return (
                f"{_label(part)}: {name!r} has shape {tuple(variable.shape)} in the model and "
                f"{store.shape(key)} in the file."
            )
    return None


_KNOWN = (None, Layer.load_own_variables)


def _keys(part: nn.Module, mine: Mapping[str, Any]) -> list[str]:
    return list(map(str, range(len(mine)))) if isinstance(part, Layer) else list(mine)


def _label(part: nn.Module) -> str:
    return part._label if isinstance(part, Layer) else f"The module {type(part).__name__}"


def _load(part: nn.Module, store: Stored, source: Any) -> None:
    if not isinstance(part, Layer):
        with torch.no_grad():
            for name, variable in own_variables(part).items():
                variable.copy_(torch.as_tensor(np.array(store[name])))
        return
    try:
        part.load_own_variables(store)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{str(source)!r} doesn't fit {_label(part)}: {error}") from error
    if len(store) and hasattr(part, "finalize_state"):
        part.finalize_state()
