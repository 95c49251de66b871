"""Recurrent layers: LSTM and GRU.

With Keras's default activations they run in torch's fused kernels, otherwise step by step. The
inputs of all steps are projected in one product either way.
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
from elephas_torch.keras.layers.noise import Noise

#: One mask a gate, or None for no dropout.
Masks = list[Tensor] | None
States = list[Tensor]


class _Recurrent(BuiltIn):
    """What LSTM and GRU share. `gates` is the number of blocks of columns in their kernels,
    `state_count` the number of tensors that go from step to step, the output first."""

    gates: ClassVar[int]
    state_count: ClassVar[int]
    input_spec = (None, None, None)
    regularized: ClassVar = ("kernel", "recurrent", "bias")
    writes_activity_regularizer: ClassVar = True
    fixed: ClassVar = {
        "stateful": False,
        "zero_output_for_mask": False,
    }
    fixed_unwritten: ClassVar = {"time_major": False}

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Tensor] | None = "tanh",
        recurrent_activation: str | Callable[..., Tensor] | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        implementation: Any = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.units = arguments.positive_integer(owner, "units", units)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.dropout = arguments.rate(owner, "dropout", dropout)
        self.recurrent_dropout = arguments.rate(owner, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.unroll = bool(unroll)
        self._noise = Noise(seed)

    def build(self, input_shape: Shape) -> None:
        features = self._length(input_shape, -1)
        columns = self.gates * self.units
        self.add_weight((features, columns), self.kernel_initializer, name="kernel")
        self.add_weight((self.units, columns), self.recurrent_initializer, name="recurrent_kernel")
        if self.use_bias:
            self._add_bias()
        self.input_spec = (None, None, features)  # type: ignore[assignment]

    def _add_bias(self) -> None:
        self.add_weight(self.gates * self.units, self.bias_initializer, name="bias")

    def call(self, inputs: Tensor, initial_state: Any = None) -> Any:
        # Looked at before, not after: torch's fused LSTM reads beyond inputs that don't fit.
        if inputs.dim() != 3 or inputs.shape[2] != self.input_spec[2]:
            raise self._misfit(tuple(inputs.shape))
        states = self._first_states(inputs, initial_state)
        if self.go_backwards:
            inputs = inputs.flip(1)
        input_masks, recurrent_masks = self._masks(inputs)
        if input_masks is not None and recurrent_masks is None:
            inputs, input_masks = inputs * input_masks[0].unsqueeze(1), None
        if recurrent_masks is None and self._can_fuse():
            sequence, states = self._fused(inputs, states)
        else:
            sequence, states = self._looped(inputs, states, input_masks, recurrent_masks)
        outputs = sequence if self.return_sequences else states[0]
        return (outputs, *states) if self.return_state else outputs

    def _first_states(self, inputs: Tensor, given: Any) -> States:
        if given is None:
            return [inputs.new_zeros(len(inputs), self.units)] * self.state_count
        states = [given] if isinstance(given, Tensor) else list(given)
        wanted, shapes = (len(inputs), self.units), [tuple(state.shape) for state in states]
        if shapes != [wanted] * self.state_count:
            raise ValueError(
                f"{self._label}: `initial_state` must hold {self.state_count} tensors of shape "
                f"{wanted}. Received: tensors of shapes {shapes}"
            )
        return states

    def _masks(self, inputs: Tensor) -> tuple[Masks, Masks]:
        """Masks for inputs and outputs, the same at every step; for each gate its own where
        the outputs are dropped too, as in Keras."""
        if not self.training or not (self.dropout or self.recurrent_dropout):
            return None, None
        batch, _, features = inputs.shape
        count = self.gates if self.recurrent_dropout else 1
        return (
            self._mask_list(inputs, (batch, features), self.dropout, count),
            self._mask_list(inputs, (batch, self.units), self.recurrent_dropout, count),
        )

    def _mask_list(self, like: Tensor, shape: tuple[int, int], rate: float, count: int) -> Masks:
        return [self._noise.mask(like, shape, rate) for _ in range(count)] if rate else None

    def _can_fuse(self) -> bool:
        return (
            self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        )

    def _fused(self, inputs: Tensor, states: States) -> tuple[Tensor | None, States]:
        """Runs torch's kernel; returns all outputs and the last states."""
        raise TypeError(f"{type(self).__name__} must define _fused(inputs, states).")

    def _step(self, x: Tensor, states: States, masks: Masks) -> States:
        """One step from a step's projected inputs."""
        raise TypeError(f"{type(self).__name__} must define _step(x, states, masks).")

    def _looped(
        self, inputs: Tensor, states: States, input_masks: Masks, recurrent_masks: Masks
    ) -> tuple[Tensor | None, States]:
        outputs = []
        for x in self._projected(inputs, input_masks).unbind(1):
            states = self._step(x, states, recurrent_masks)
            outputs.append(states[0])
        return torch.stack(outputs, 1) if self.return_sequences else None, states

    def _projected(self, inputs: Tensor, masks: Masks) -> Tensor:
        kernel, bias = self.kernel, self._input_bias()
        if masks is None:
            return F.linear(inputs, kernel.t(), bias)
        masked = [inputs * mask.unsqueeze(1) for mask in masks]
        parts = zip(masked, kernel.chunk(self.gates, 1), strict=True)
        projected = torch.cat([x @ part for x, part in parts], -1)
        return projected if bias is None else projected + bias

    def _input_bias(self) -> Tensor | None:
        return self.bias if self.use_bias else None

    def compute_output_shape(self, input_shape: Shape) -> Any:
        self.check_shape(input_shape)
        batch, steps, _ = input_shape
        state = (batch, self.units)
        outputs = (batch, steps, self.units) if self.return_sequences else state
        return (outputs, *[state] * self.state_count) if self.return_state else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "unroll": self.unroll,
        }


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): (batch, steps, features) ->
    (batch, units).

    Follows https://keras.io/api/layers/recurrent_layers/lstm/

    Args:
        units: length of the outputs.
        activation: of the cell's input and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        use_bias: Default True.
        kernel_initializer, recurrent_initializer, bias_initializer: Defaults
            "glorot_uniform", "orthogonal", "zeros".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        dropout, recurrent_dropout: share of the inputs, and of the outputs on their way to
            the next step, that training drops; the same ones at every step. Default 0.
        seed: for the masks' own random generator. Default None, torch's global one.
        return_sequences: give the outputs of all steps (batch, steps, units). Default False.
        return_state: give the last states (output, cell) too. Default False.
        go_backwards: begin at the last step; the sequence comes out reversed. Default False.
        unroll, use_cudnn, implementation: accepted, and change nothing.
        **kwargs: see `Layer`.

    Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,);
    the columns are those of the input gate, the forget gate, the cell and the output gate.

    Raises:
        ValueError: an argument out of its range, or `stateful=True`.
    """

    gates = 4
    state_count = 2

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Tensor] | None = "tanh",
        recurrent_activation: str | Callable[..., Tensor] | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **kwargs,
        )
        self.unit_forget_bias = bool(unit_forget_bias)

    def _add_bias(self) -> None:
        first = self._forgetful if self.unit_forget_bias else self.bias_initializer
        self.add_weight(4 * self.units, first, name="bias")

    def _forgetful(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        initializer: Any = self.bias_initializer
        parts = initializer((self.units,), dtype), initializer((2 * self.units,), dtype)
        return torch.cat([parts[0], torch.ones(self.units, dtype=dtype), parts[1]])

    def _fused(self, inputs: Tensor, states: States) -> tuple[Tensor | None, States]:
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        if self.use_bias:
            # torch adds two biases.
            weights += [self.bias, inputs.new_zeros(4 * self.units)]
        sequence, output, cell = torch.lstm(
            inputs,
            [state.unsqueeze(0) for state in states],
            weights,
            self.use_bias,
            1,
            0.0,
            torch.is_grad_enabled(),
            False,
            True,
        )
        return sequence, [output.squeeze(0), cell.squeeze(0)]

    def _step(self, x: Tensor, states: States, masks: Masks) -> States:
        output, cell = states
        gate, activation = self.recurrent_activation, self.activation
        parts = x.chunk(4, 1), _gated(output, self.recurrent_kernel, 4, masks)
        i, f, c, o = (a + b for a, b in zip(*parts, strict=True))
        cell = gate(f) * cell + gate(i) * activation(c)
        return [gate(o) * activation(cell), cell]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al., 2014): (batch, steps, features) -> (batch, units).

    Follows https://keras.io/api/layers/recurrent_layers/gru/

    Args:
        units, activation, recurrent_activation, use_bias, kernel_initializer,
        recurrent_initializer, bias_initializer, dropout, recurrent_dropout, seed,
        return_sequences, go_backwards, unroll, use_cudnn, implementation: see `LSTM`.
        return_state: give the last state too. Default False.
        reset_after: apply the reset gate after the product with the recurrent kernel
            (default True, as cuDNN does), or before it.
        **kwargs: see `Layer`.

    Weights: kernel (features, 3 units), recurrent_kernel (units, 3 units), bias (2, 3 units),
    one for each kernel (with `reset_after=False` (3 units,)); the columns are those of the
    update gate, the reset gate and the candidate.

    Raises:
        ValueError: an argument out of its range, or `stateful=True`.
    """

    gates = 3
    state_count = 1

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Tensor] | None = "tanh",
        recurrent_activation: str | Callable[..., Tensor] | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **kwargs,
        )
        self.reset_after = bool(reset_after)

    def _add_bias(self) -> None:
        shape = (2, 3 * self.units) if self.reset_after else (3 * self.units,)
        self.add_weight(shape, self.bias_initializer, name="bias")

    def _can_fuse(self) -> bool:
        return self.reset_after and super()._can_fuse()

    def _input_bias(self) -> Tensor | None:
        if not self.use_bias:
            return None
        return self.bias[0] if self.reset_after else self.bias

    def _fused(self, inputs: Tensor, states: States) -> tuple[Tensor | None, States]:
        weights = [_reset_first(self.kernel).t(), _reset_first(self.recurrent_kernel).t()]
        if self.use_bias:
            weights += _reset_first(self.bias).unbind(0)
        sequence, output = torch.gru(
            inputs,
            states[0].unsqueeze(0),
            weights,
            self.use_bias,
            1,
            0.0,
            torch.is_grad_enabled(),
            False,
            True,
        )
        return sequence, [output.squeeze(0)]

    def _step(self, x: Tensor, states: States, masks: Masks) -> States:
        (output,) = states
        gate = self.recurrent_activation
        x_z, x_r, x_h = x.chunk(3, 1)
        if self.reset_after:
            h_z, h_r, h_h = self._inner(output, masks)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            candidate = self.activation(x_h + r * h_h)
        else:
            kernel = self.recurrent_kernel
            h_z, h_r = _gated(output, kernel[:, : 2 * self.units], 2, masks and masks[:2])
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            kept = output if masks is None else output * masks[2]
            candidate = self.activation(x_h + (r * kept) @ kernel[:, 2 * self.units :])
        return [z * output + (1 - z) * candidate]

    def _inner(self, output: Tensor, masks: Masks) -> Sequence[Tensor]:
        parts = _gated(output, self.recurrent_kernel, 3, masks)
        if not self.use_bias:
            return parts
        return [a + b for a, b in zip(parts, self.bias[1].chunk(3), strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}


def _gated(output: Tensor, kernel: Tensor, gates: int, masks: Masks) -> Sequence[Tensor]:
    """The last output through the recurrent kernel, a part for each gate."""
    if masks is None:
        return (output @ kernel).chunk(gates, 1)
    parts = zip(masks, kernel.chunk(gates, 1), strict=True)
    return [(output * mask) @ part for mask, part in parts]


def _reset_first(weight: Tensor) -> Tensor:
    """Keras's update, reset, candidate as torch's reset, update, candidate."""
    z, r, h = weight.chunk(3, -1)
    return torch.cat((r, z, h), -1)
