"""What the cells of recurrent layers share: one step, and the projection of all steps' inputs.

A cell is a layer of one step: it takes inputs (batch, features) and states, and gives outputs
(batch, units) and the next states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import activations, initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.noises import Noise
from elephas_torch.keras.layers.shapes import Spec

#: One mask a gate, or None for no dropout.
Masks = Sequence[Tensor] | None
States = Sequence[Tensor]


class Cell(BuiltIn):
    """A cell of the package's own.

    Attributes:
        gates: the number of blocks of columns in the kernels.
        state_count: the number of tensors that go from step to step, the output first.
        state_size, output_size: lengths of these tensors, and of the output.
    """

    gates: ClassVar[int] = 1
    state_count: ClassVar[int] = 1
    input_spec: Spec = (None, None)
    regularized = ("kernel", "recurrent", "bias")
    fixed_unwritten: ClassVar = {}

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Tensor] | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        implementation: Any = 2,
        **kwargs: Any,
    ) -> None:
        # A layer that makes its cell itself is who the user knows.
        owner = kwargs.pop("_owner", type(self).__name__)
        super().__init__(**kwargs)
        self.units = arguments.positive_integer(owner, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.dropout = arguments.rate(owner, "dropout", dropout)
        self.recurrent_dropout = arguments.rate(owner, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.implementation = implementation
        self.output_size = self.units
        vars(self)["state_size"] = (
            self.units if self.state_count == 1 else [self.units] * self.state_count
        )
        self._noise = Noise(seed)
        # Masks of the sequence that a recurrent layer goes through, the same at every step.
        vars(self)["_held"] = None

    def build(self, input_shape: Shape) -> None:
        features = self._length(input_shape, -1)
        columns = self.gates * self.units
        self.add_weight((features, columns), self.kernel_initializer, name="kernel")
        self.add_weight((self.units, columns), self.recurrent_initializer, name="recurrent_kernel")
        if self.use_bias:
            self._add_bias()
        self.input_spec = (None, features)

    def _add_bias(self) -> None:
        self.add_weight(self.gates * self.units, self.bias_initializer, name="bias")

    def call(self, inputs: Tensor, states: Any) -> Any:
        """One step.

        Args:
            inputs: (batch, features).
            states: a list of tensors (batch, units); the tensor alone where there is one.

        Returns:
            The outputs (batch, units), and the next states in the form of `states`.
        """
        listed = isinstance(states, list | tuple)
        before = list(states) if listed else [states]
        input_masks, recurrent_masks = self._held or self.masks(inputs, before[0])
        after = self.step(self.projected(inputs, input_masks), before, recurrent_masks)
        return after[0], after if listed else after[0]

    def step(self, x: Tensor, states: States, masks: Masks) -> list[Tensor]:
        """The next states, from a step's projected inputs."""
        raise TypeError(f"{type(self).__name__} must define step(x, states, masks).")

    def can_fuse(self) -> bool:
        """Whether torch has a kernel that goes through all steps."""
        return False

    def _kernel_and_weights(self) -> tuple[Callable[..., Any], list[Tensor]]:
        raise TypeError(f"{type(self).__name__} must define _kernel_and_weights().")

    def fused(
        self, inputs: Tensor, states: States, batch_sizes: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Goes through all steps in torch's kernel.

        Args:
            inputs: (batch, steps, features); with `batch_sizes` the data of a packed sequence.

        Returns:
            The outputs of all steps, and the last states.
        """
        kernel, weights = self._kernel_and_weights()
        first: Any = [state.unsqueeze(0) for state in states]
        first = first if len(first) > 1 else first[0]
        settings = (self.use_bias, 1, 0.0, torch.is_grad_enabled(), False)
        if batch_sizes is None:
            outputs, *last = kernel(inputs, first, weights, *settings, True)
        else:
            outputs, *last = kernel(inputs, batch_sizes, first, weights, *settings)
        return outputs, [state.squeeze(0) for state in last]

    def projected(self, inputs: Tensor, masks: Masks) -> Tensor:
        """Inputs, of one step or of all, through the kernel."""
        kernel, bias = self.kernel, self._input_bias()
        if masks is None:
            return F.linear(inputs, kernel.t(), bias)
        masked = [inputs * (mask if inputs.dim() == 2 else mask.unsqueeze(1)) for mask in masks]
        if len(masked) == 1:
            return F.linear(masked[0], kernel.t(), bias)
        parts = zip(masked, kernel.chunk(self.gates, 1), strict=True)
        projected = torch.cat([x @ part for x, part in parts], -1)
        return projected if bias is None else projected + bias

    def _input_bias(self) -> Tensor | None:
        return self.bias if self.use_bias else None

    def masks(self, inputs: Tensor, state: Tensor) -> tuple[Masks, Masks]:
        """Masks for inputs and outputs, the same at every step; for each gate its own where
        the outputs are dropped too, as in Keras."""
        if not self.training or not (self.dropout or self.recurrent_dropout):
            return None, None
        count = self.gates if self.recurrent_dropout or self.implementation == 1 else 1
        features = (inputs.shape[0], inputs.shape[-1])
        return (
            self._mask_list(inputs, features, self.dropout, count),
            self._mask_list(inputs, state.shape, self.recurrent_dropout, count),
        )

    def _mask_list(self, like: Tensor, shape: Sequence[int], rate: float, count: int) -> Masks:
        # Keras drops nothing at a rate of 1 where there are gates.
        if not rate or (rate == 1 and self.gates > 1):
            return None
        return [self._noise.mask(like, shape, rate) for _ in range(count)]

    def hold_masks(self, inputs: Tensor, state: Tensor) -> None:
        """Draws the masks that `call` uses until `release_masks`."""
        vars(self)["_held"] = self.masks(inputs, state)

    def release_masks(self) -> None:
        vars(self)["_held"] = None

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros (batch, units), one tensor a state."""
        like: Any = next(self.parameters(), torch.zeros(()))
        return [like.new_zeros(batch_size or 1, self.units)] * self.state_count

    def compute_output_shape(self, input_shape: Shape) -> Any:
        self.check_shape(input_shape)
        state = (input_shape[0], self.units)
        return state, [state] * self.state_count

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


class GatedCell(Cell):
    """A cell whose gates have an activation of their own."""

    recurrent_activation: Callable[..., Tensor]

    def can_fuse(self) -> bool:
        return (
            self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        )

    def get_config(self) -> dict[str, Any]:
        gate = activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": gate}


def gated(output: Tensor, kernel: Tensor, gates: int, masks: Masks) -> Sequence[Tensor]:
    """The last output through the recurrent kernel, a part for each gate."""
    if masks is None:
        return (output @ kernel).chunk(gates, 1)
    parts = zip(masks, kernel.chunk(gates, 1), strict=True)
    return [(output * mask) @ part for mask, part in parts]
