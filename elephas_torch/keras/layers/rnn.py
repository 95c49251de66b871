"""`RNN`: goes through a sequence with a cell, by torch's fused kernels where the cell has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import naming, serialization, trees
from elephas_torch.keras.layers import rank_hints
from elephas_torch.keras.layers import sequences as walk
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.cells import Cell
from elephas_torch.keras.layers.shapes import Spec
from elephas_torch.keras.layers.stacked_cells import StackedRNNCells, output_size
from elephas_torch.keras.variables import State


class RNN(BuiltIn):
    """Goes through (batch, steps, …) with a cell, and gives what it gives last: (batch, units).

    Follows https://keras.io/api/layers/recurrent_layers/rnn/

    Args:
        cell: what computes a step: a `LSTMCell`, `GRUCell`, `SimpleRNNCell`, a list of cells to
            be stacked, or one of your own: a layer with `state_size` (a length, or a list of
            them), `call(inputs, states)` that returns the outputs and the next states, and
            maybe `output_size` and `get_initial_state(batch_size)`.
        return_sequences: give the outputs of all steps (batch, steps, units). Default False.
        return_state: give the last states too. Default False.
        go_backwards: begin at the last step; the sequence comes out reversed. Default False.
        stateful: begin each batch with the states that the one before left, row by row;
            `reset_state()` sets them to 0. Default False.
        unroll: accepted, and changes nothing.
        zero_output_for_mask: give 0 for steps that a mask leaves out. Default False: the
            output of the step before.
        **kwargs: see `Layer`.

    Call arguments: sequences (batch, steps, …); `initial_state`, the states to begin with, one
    tensor or a list; `mask`, bools (batch, steps): a step that it leaves out keeps the states.

    Raises:
        ValueError: the cell has no `state_size` or no `call`, or the inputs don't fit.
    """

    input_spec: Spec = (None, None, ...)
    supports_masking = True
    writes_activity_regularizer: ClassVar = False
    fixed_unwritten: ClassVar = {"time_major": False}
    #: Arguments of Keras's constructor that change nothing here.
    _ignored: ClassVar = ("use_cudnn", "implementation")

    states: list[Any] | None

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        for name in self._ignored:
            kwargs.pop(name, None)
        super().__init__(**kwargs)
        self.cell = _checked_cell(type(self).__name__, cell)
        sizes = self.cell.state_size
        self.single_state = isinstance(sizes, int)
        vars(self)["state_size"] = [sizes] if isinstance(sizes, int) else list(sizes)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        vars(self)["states"] = None

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        self.check_shape(sequences_shape)
        step_shape = (sequences_shape[0], *sequences_shape[2:])
        if not getattr(self.cell, "built", True):
            self.cell.build(step_shape)
            self.cell.built = True
        self.input_spec = (None, None, *step_shape[1:])

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        # Looked at before, not after: torch's fused LSTM reads beyond inputs that don't fit.
        self.check_shape(tuple(sequences.shape))
        states = self._first_states(sequences, initial_state)
        mask = walk.checked_mask(self._label, mask, sequences)
        if self.go_backwards:
            sequences = sequences.flip(1)
            mask = None if mask is None else mask.flip(1)
        outputs, last, states = self._through(sequences, states, mask)
        if self.stateful:
            self._keep(states)
        result = outputs if self.return_sequences else last
        return (result, *states) if self.return_state else result

    def _through(self, sequences: Tensor, states: list[Any], mask: Tensor | None) -> walk.Walked:
        cell: Any = self.cell
        wanted = walk.Wanted(
            self.return_sequences, self.return_state or self.stateful, self.zero_output_for_mask
        )
        if isinstance(cell, Cell) and serialization.is_own(type(cell)):
            return walk.own(cell, sequences, states, mask, wanted)
        return walk.stepped(cell, sequences, states, mask, wanted)

    def _first_states(self, sequences: Tensor, given: Any) -> list[Any]:
        if given is not None:
            return self._given_states(sequences, given)
        if not self.stateful:
            return self._zero_states(sequences)
        if self.states is None:
            self._keep(self._zero_states(sequences))
        states: Any = self.states
        rows = len(trees.leaves(states)[0])
        if rows != sequences.shape[0]:
            raise ValueError(
                f"{self._label} is stateful: all batches must have as many rows as the first "
                f"one, {rows}. Received: sequences of shape {tuple(sequences.shape)}"
            )
        return trees.map_leaves(lambda one: one.to(sequences.device), states)

    def _zero_states(self, sequences: Tensor) -> list[Any]:
        made = getattr(self.cell, "get_initial_state", None)
        if made is None or isinstance(self.cell, Cell):
            return _of_sizes(self.state_size, lambda n: sequences.new_zeros(sequences.shape[0], n))
        states = made(batch_size=sequences.shape[0])
        states = list(states) if isinstance(states, list | tuple) else [states]
        return trees.map_leaves(lambda one: one.to(sequences.device, sequences.dtype), states)

    def _given_states(self, sequences: Tensor, given: Any) -> list[Any]:
        flat = [
            torch.as_tensor(one, dtype=sequences.dtype, device=sequences.device)
            for one in trees.leaves(given)
        ]
        wanted = [(sequences.shape[0], n) for n in trees.leaves(self.state_size)]
        shapes = [tuple(state.shape) for state in flat]
        if shapes != wanted:
            shown = str(wanted[0]) if len(set(wanted)) == 1 else f"{wanted}, each its own"
            raise ValueError(
                f"{self._label}: `initial_state` must hold {len(wanted)} tensors of shape "
                f"{shown}. Received: tensors of shapes {shapes}"
            )
        rest = iter(flat)
        return _of_sizes(self.state_size, lambda _: next(rest))

    def _keep(self, states: Any) -> None:
        # States made within inference_mode would be of no use to training.
        with torch.inference_mode(False):
            kept = trees.map_leaves(lambda one: State(one.detach().clone()), states)
        vars(self)["states"] = list(kept)

    def reset_state(self, states: Any = None) -> None:
        """Sets the states that a stateful layer keeps.

        Args:
            states: arrays (batch, units), one a state. Default None, zeros.
        """
        if states is not None:
            arrays = trees.map_leaves(torch.as_tensor, states)
            listed = arrays if isinstance(arrays, list | tuple) else [arrays]
            self._keep(list(listed))
        elif self.states is not None:
            for one in trees.leaves(self.states):
                one.assign(torch.zeros_like(one))

    reset_states = reset_state

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Zeros for each state: a list of tensors (batch, units)."""
        like: Any = next(self.parameters(), torch.zeros(()))
        return self._zero_states(like.new_zeros(batch_size or 1, 1))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = trees.leaves(previous_mask)[0] if self.return_sequences else None
        if not self.return_state:
            return mask
        return [mask, *[None] * len(trees.leaves(self.state_size))]

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        self.check_shape(sequences_shape)
        batch, steps = sequences_shape[:2]
        length = output_size(self.cell)
        outputs = (batch, steps, length) if self.return_sequences else (batch, length)
        if not self.return_state:
            return outputs
        return (outputs, *_of_sizes(self.state_size, lambda n: (batch, n)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            **self._cell_config(),
        }

    def _cell_config(self) -> dict[str, Any]:
        return {"cell": serialization.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Makes the layer that `get_config` described, not built."""
        if "cell" not in config:
            return super().from_config(config)
        cell = serialization.deserialize_keras_object(config["cell"], custom_objects, kind="cell")
        return cls(**{**config, "cell": cell})


#: Arguments that layers with a cell of their own hand on to it.
_OF_THE_CELL = (
    "dropout", "recurrent_dropout", "seed", "implementation",
    "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
    "kernel_constraint", "recurrent_constraint", "bias_constraint",
)  # fmt: skip
_OWN = ("name", "trainable", "dtype")


class Recurrent(RNN):
    """A layer with a cell of its own: `LSTM`, `GRU`, `SimpleRNN`. What the cell knows, its
    arguments and its weights, the layer has as attributes too."""

    input_spec: Spec = (None, None, None)
    writes_activity_regularizer: ClassVar = True
    cell_class: ClassVar[type[Cell]]
    cell: Cell

    def __init__(self, settings: dict[str, Any], **kwargs: Any) -> None:
        of_cell = {name: kwargs.pop(name) for name in _OF_THE_CELL if name in kwargs}
        cell = self.cell_class(
            **settings,
            **of_cell,
            name=naming.snake_case(self.cell_class.__name__),
            trainable=kwargs.get("trainable", True),
            dtype=kwargs.get("dtype"),
            _owner=type(self).__name__,
        )
        super().__init__(cell, **kwargs)

    def _hint(self, rank: int) -> str:
        return rank_hints.of_sequences(rank)

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("_modules", {}).get("cell")
        if cell is not None and not name.startswith("_"):
            own = name in vars(cell) or name in cell._parameters
            if own or name == "state_count":
                return getattr(cell, name)
        return super().__getattr__(name)

    def _cell_config(self) -> dict[str, Any]:
        config = self.cell.get_config()
        return {name: value for name, value in config.items() if name not in _OWN}


def _checked_cell(owner: str, cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return StackedRNNCells(list(cell))
    if not hasattr(cell, "call") or getattr(cell, "state_size", None) is None:
        raise ValueError(
            f"{owner}: `cell` must have `call(inputs, states)` and `state_size`, the length of "
            f"each state. Received: cell={cell!r}"
        )
    return cell


def _of_sizes(sizes: Sequence[Any], make: Any) -> list[Any]:
    """A list with what `make` gives for each length; lists of lengths give lists."""
    return [_of_sizes(n, make) if isinstance(n, list | tuple) else make(n) for n in sizes]
