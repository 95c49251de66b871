"""The table that `model.summary()` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from elephas_torch.keras.models import Model


def summary(model: Model, line_length: int | None = None) -> Iterator[str]:
    """The lines of a summary: layer and class, output shape, number of weights."""
    width = line_length or 66
    columns = (width * 45 // 100, width * 35 // 100)
    yield f'Model: "{model.name}"'
    yield "_" * width
    yield _row(("Layer (type)", "Output Shape", "Param #"), columns)
    yield "=" * width
    for row in _rows(model):
        yield _row(row, columns)
    yield "=" * width
    trainable, others = _count(model.trainable_weights), _count(model.non_trainable_weights)
    yield f"Total params: {_size(trainable + others)}"
    yield f"Trainable params: {_size(trainable)}"
    yield f"Non-trainable params: {_size(others)}"
    yield "_" * width


def _rows(model: Model) -> Iterator[tuple[str, str, str]]:
    shape = model._input_shape if model.built else None
    if not model.layers and model.built:
        label = f"{type(model.module).__name__}"
        yield label, str(model.output_shape), f"{model.count_params():,}"
    for layer in model.layers:
        shape = layer.compute_output_shape(shape) if shape is not None else None
        label = f"{layer.name} ({type(layer).__name__})"
        count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        yield label, "?" if shape is None else str(tuple(shape)), count


def _row(cells: tuple[str, str, str], columns: tuple[int, int]) -> str:
    first, second, third = cells
    return f" {first:<{columns[0]}} {second:<{columns[1]}} {third}"


def _count(weights: list[Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def _size(count: int) -> str:
    size, unit = count * 4.0, "B"
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{count:,} ({size:.2f} {unit})"
