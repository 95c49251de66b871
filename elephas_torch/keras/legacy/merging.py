"""Keras 1's `Merge` and `merge`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.keras import layers as today_layers
from elephas_torch.keras import models
from elephas_torch.keras.legacy.names import MERGES, merge_options
from elephas_torch.keras.legacy.notice import warn


def Merge(
    layers: Sequence[Any] | None = None,
    mode: str | Callable[..., Any] = "sum",
    concat_axis: int = -1,
    dot_axes: Any = -1,
    output_shape: Any = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """What joins the outputs of models, or tensors, in Keras 1.

    Args:
        layers: models, or layers that know the shape of their inputs. None: what comes back is
            called on a list of tensors.
        mode: "sum", "mul", "ave", "max", "concat", "dot", "cos", or a function of a list of
            tensors.
        concat_axis: for "concat". Default -1.
        dot_axes: for "dot" and "cos": an axis, or one for each of the two. Default -1.
        output_shape: of the outputs of a function, without the batch.
        name: of the layer.

    Returns:
        With `layers` a model that takes the inputs of all of them, to put first in a
        `Sequential`; else a layer.

    Raises:
        ValueError: there is no such mode.
    """
    joining, today = _joining(mode, concat_axis, dot_axes, output_shape, name)
    if layers is None:
        warn(f"Merge(mode={_shown(mode)}) is old: use {today}.")
        return joining
    warn(
        f"Merge([…], mode={_shown(mode)}) is old: use {today} on the models' outputs, and "
        "Model(inputs, outputs)."
    )
    return _joined([_as_model(one) for one in layers], joining)


def merge(
    inputs: Sequence[Any],
    mode: str | Callable[..., Any] = "sum",
    concat_axis: int = -1,
    dot_axes: Any = -1,
    output_shape: Any = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Joins tensors, as Keras 1's function of this name; see `Merge`."""
    joining, today = _joining(mode, concat_axis, dot_axes, output_shape, name)
    warn(f"merge([…], mode={_shown(mode)}) is old: use {today}([…]).")
    return joining(list(inputs))


def _joining(mode: Any, concat_axis: int, dot_axes: Any, shape: Any, name: Any) -> tuple[Any, str]:
    """Today's layer for a mode, and how it is written."""
    if callable(mode):
        return today_layers.Lambda(mode, output_shape=shape, name=name), "Lambda(…)"
    if mode not in MERGES:
        raise unknown("mode of Merge", mode, MERGES)
    settings = merge_options(mode, concat_axis, dot_axes)
    text = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    made = getattr(today_layers, MERGES[mode])(**settings, name=name)
    return made, f"{MERGES[mode]}({text})"


def _shown(mode: Any) -> str:
    return repr(mode) if isinstance(mode, str) else "…"


def _as_model(one: Any) -> Any:
    return one if isinstance(one, models.Model) else models.Sequential([one])


def _joined(parts: list[Any], joining: Any) -> Any:
    starts = [
        [today_layers.Input(batch_shape=one.shape, dtype=one.dtype) for one in part.inputs]
        for part in parts
    ]
    ends = [
        part(start[0] if len(start) == 1 else start)
        for part, start in zip(parts, starts, strict=True)
    ]
    return models.Model([one for start in starts for one in start], joining(ends))
