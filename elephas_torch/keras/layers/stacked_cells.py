"""`StackedRNNCells`: several cells as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.cells import Cell


class StackedRNNCells(BuiltIn):
    """Several cells as one: each takes what the one before gives.

    Follows https://keras.io/api/layers/recurrent_layers/stacked_rnn_cell/

    Args:
        cells: a list of cells, the first one first.
        **kwargs: see `Layer`.

    Its states are a list with the states of each cell.

    Raises:
        ValueError: one of them has no `call` or no `state_size`.
    """

    fixed_unwritten: ClassVar = {}

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for number, cell in enumerate(cells):
            if not hasattr(cell, "call") or getattr(cell, "state_size", None) is None:
                raise ValueError(
                    "StackedRNNCells: `cells` must have `call(inputs, states)` and `state_size`. "
                    f"Received: cells[{number}]={cell!r}"
                )
        if not cells:
            raise ValueError("StackedRNNCells: `cells` is empty.")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The `state_size` of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The length of what the last cell gives."""
        return output_size(self.cells[-1])

    def build(self, input_shape: Shape) -> None:
        shape = input_shape
        for cell in self.cells:
            if not getattr(cell, "built", True):
                cell.build(shape)
                cell.built = True
            shape = (shape[0], output_size(cell))

    def call(self, inputs: Tensor, states: Any) -> Any:
        after: list[Any] = []
        for cell, before in zip(self.cells, states, strict=True):
            listed = isinstance(before, list | tuple)
            inputs, new = cell(inputs, list(before) if listed else [before])
            alone = isinstance(new, list | tuple) and len(new) == 1 and not listed
            after.append(new[0] if alone else new)
        return inputs, after

    def compute_output_shape(self, input_shape: Shape) -> Any:
        batch = input_shape[0]
        states = [_shapes(batch, one) for one in self.state_size]
        return (batch, self.output_size), states

    def get_config(self) -> dict[str, Any]:
        cells = [serialization.serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> StackedRNNCells:
        """Makes the cells that `get_config` described, not built."""
        cells = [
            serialization.deserialize_keras_object(one, custom_objects, kind="cell")
            for one in config["cells"]
        ]
        return cls(**{**config, "cells": cells})


def output_size(cell: Any) -> int:
    """The length of what a cell gives."""
    size = getattr(cell, "output_size", None)
    if size is None:
        sizes = cell.state_size
        size = sizes[0] if isinstance(sizes, list | tuple) else sizes
    return int(size)


def hold_masks(cell: Any, inputs: Tensor, states: Any) -> None:
    """Draws the dropout of a sequence, in cells that know of it."""
    if isinstance(cell, Cell):
        cell.hold_masks(inputs, states[0])
    elif isinstance(cell, StackedRNNCells):
        for one, own in zip(cell.cells, states, strict=True):
            hold_masks(one, inputs, own if isinstance(own, list | tuple) else [own])
            inputs = inputs.new_empty(inputs.shape[0], output_size(one))


def release_masks(cell: Any) -> None:
    """Forgets what `hold_masks` drew."""
    if isinstance(cell, Cell):
        cell.release_masks()
    elif isinstance(cell, StackedRNNCells):
        for one in cell.cells:
            release_masks(one)


def _shapes(batch: int | None, sizes: Any) -> Any:
    if isinstance(sizes, list | tuple):
        return [_shapes(batch, one) for one in sizes]
    return (batch, sizes)
