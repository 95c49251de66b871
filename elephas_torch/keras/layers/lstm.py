"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import activations
from elephas_torch.keras.layers.cells import GatedCell, Masks, States, gated
from elephas_torch.keras.layers.rnn import Recurrent


class LSTMCell(GatedCell):
    """A step of `LSTM`: (batch, features) and two states (batch, units) -> (batch, units) and
    the next states. Follows https://keras.io/api/layers/recurrent_layers/lstm_cell/

    Args:
        units, activation, recurrent_activation, use_bias, kernel_initializer,
        recurrent_initializer, bias_initializer, unit_forget_bias, dropout, recurrent_dropout,
        seed: see `LSTM`.
        **kwargs: regularizers and constraints as of `LSTM`, and see `Layer`.
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
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)

    def _add_bias(self) -> None:
        first = self._forgetful if self.unit_forget_bias else self.bias_initializer
        self.add_weight(4 * self.units, first, name="bias")

    def _forgetful(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        initializer: Any = self.bias_initializer
        parts = initializer((self.units,), dtype), initializer((2 * self.units,), dtype)
        return torch.cat([parts[0], torch.ones(self.units, dtype=dtype), parts[1]])

    def _kernel_and_weights(self) -> tuple[Callable[..., Any], list[Tensor]]:
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        if self.use_bias:
            # torch adds two biases.
            weights += [self.bias, self.bias.new_zeros(4 * self.units)]
        return torch.lstm, weights

    def step(self, x: Tensor, states: States, masks: Masks) -> list[Tensor]:
        output, cell = states
        gate, activation = self.recurrent_activation, self.activation
        parts = x.chunk(4, 1), gated(output, self.recurrent_kernel, 4, masks)
        i, f, c, o = (a + b for a, b in zip(*parts, strict=True))
        cell = gate(f) * cell + gate(i) * activation(c)
        return [gate(o) * activation(cell), cell]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


class LSTM(Recurrent):
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
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint: Default None.
        dropout, recurrent_dropout: share of the inputs, and of the outputs on their way to
            the next step, that training drops; the same ones at every step. Default 0.
        seed: for the masks' own random generator. Default None, torch's global one.
        return_sequences: give the outputs of all steps (batch, steps, units). Default False.
        return_state: give the last states (output, cell) too. Default False.
        go_backwards: begin at the last step; the sequence comes out reversed. Default False.
        stateful, zero_output_for_mask: see `RNN`.
        unroll, use_cudnn, implementation: accepted, and change nothing.
        **kwargs: see `Layer`.

    Call arguments: see `RNN`.

    Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,);
    the columns are those of the input gate, the forget gate, the cell and the output gate.

    Raises:
        ValueError: an argument out of its range, or inputs that don't fit.
    """

    cell_class: ClassVar = LSTMCell

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
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = {
            "units": units,
            "activation": activation,
            "recurrent_activation": recurrent_activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
            "unit_forget_bias": unit_forget_bias,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "seed": seed,
        }
        super().__init__(
            settings,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            **kwargs,
        )


#: The name that Keras 2 had for a LSTM on GPUs.
CuDNNLSTM = LSTM
