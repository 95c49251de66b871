"""Recurrent layers without gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import activations
from elephas_torch.keras.layers.cells import Cell, Masks, States
from elephas_torch.keras.layers.rnn import Recurrent


class SimpleRNNCell(Cell):
    """A step of `SimpleRNN`: (batch, features) and a state (batch, units) -> (batch, units) and
    the next state. Follows https://keras.io/api/layers/recurrent_layers/simple_rnn_cell/

    Args:
        units, activation, use_bias, kernel_initializer, recurrent_initializer,
        bias_initializer, dropout, recurrent_dropout, seed: see `SimpleRNN`.
        **kwargs: regularizers and constraints as of `SimpleRNN`, and see `Layer`.
    """

    def can_fuse(self) -> bool:
        return self.activation in (activations.tanh, activations.relu)

    def _kernel_and_weights(self) -> tuple[Callable[..., Any], list[Tensor]]:
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        if self.use_bias:
            # torch adds two biases.
            weights += [self.bias, self.bias.new_zeros(self.units)]
        function = torch.rnn_tanh if self.activation is activations.tanh else torch.rnn_relu
        return function, weights

    def step(self, x: Tensor, states: States, masks: Masks) -> list[Tensor]:
        output = states[0] if masks is None else states[0] * masks[0]
        return [self.activation(x + output @ self.recurrent_kernel)]


class SimpleRNN(Recurrent):
    """activation(inputs @ kernel + last output @ recurrent_kernel + bias), step by step:
    (batch, steps, features) -> (batch, units).

    Follows https://keras.io/api/layers/recurrent_layers/simple_rnn/

    Args:
        units: length of the outputs.
        activation: Default "tanh".
        use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
        recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
        return_sequences, go_backwards, stateful, zero_output_for_mask, unroll: see `LSTM`.
        return_state: give the last state too. Default False.
        **kwargs: see `Layer`.

    Call arguments: see `RNN`.

    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).

    Raises:
        ValueError: an argument out of its range, or inputs that don't fit.
    """

    cell_class: ClassVar = SimpleRNNCell

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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = {
            "units": units,
            "activation": activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
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

    def _cell_config(self) -> dict[str, Any]:
        config = super()._cell_config()
        del config["seed"]  # Keras doesn't write it here
        return config
