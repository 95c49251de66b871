"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import activations
from elephas_torch.keras.layers.cells import GatedCell, Masks, States, gated
from elephas_torch.keras.layers.rnn import Recurrent


class GRUCell(GatedCell):
    """A step of `GRU`: (batch, features) and a state (batch, units) -> (batch, units) and the
    next state. Follows https://keras.io/api/layers/recurrent_layers/gru_cell/

    Args:
        units, activation, recurrent_activation, use_bias, kernel_initializer,
        recurrent_initializer, bias_initializer, dropout, recurrent_dropout, seed, reset_after:
            see `GRU`.
        **kwargs: regularizers and constraints as of `GRU`, and see `Layer`.
    """

    gates = 3

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
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)

    def _add_bias(self) -> None:
        shape = (2, 3 * self.units) if self.reset_after else (3 * self.units,)
        self.add_weight(shape, self.bias_initializer, name="bias")

    def can_fuse(self) -> bool:
        return self.reset_after and super().can_fuse()

    def _input_bias(self) -> Tensor | None:
        if not self.use_bias:
            return None
        return self.bias[0] if self.reset_after else self.bias

    def _kernel_and_weights(self) -> tuple[Callable[..., Any], list[Tensor]]:
        weights = [_reset_first(self.kernel).t(), _reset_first(self.recurrent_kernel).t()]
        if self.use_bias:
            weights += _reset_first(self.bias).unbind(0)
        return torch.gru, weights

    def step(self, x: Tensor, states: States, masks: Masks) -> list[Tensor]:
        (output,) = states
        gate = self.recurrent_activation
        x_z, x_r, x_h = x.chunk(3, 1)
        if self.reset_after:
            h_z, h_r, h_h = self._inner(output, masks)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            candidate = self.activation(x_h + r * h_h)
        else:
            kernel = self.recurrent_kernel
            h_z, h_r = gated(output, kernel[:, : 2 * self.units], 2, masks and masks[:2])
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            kept = output if masks is None else output * masks[2]
            candidate = self.activation(x_h + (r * kept) @ kernel[:, 2 * self.units :])
        return [z * output + (1 - z) * candidate]

    def _inner(self, output: Tensor, masks: Masks) -> Sequence[Tensor]:
        parts = gated(output, self.recurrent_kernel, 3, masks)
        if not self.use_bias:
            return parts
        return [a + b for a, b in zip(parts, self.bias[1].chunk(3), strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014): (batch, steps, features) -> (batch, units).

    Follows https://keras.io/api/layers/recurrent_layers/gru/

    Args:
        units, activation, recurrent_activation, use_bias, kernel_initializer,
        recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
        bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
        recurrent_dropout, seed, return_sequences, go_backwards, stateful,
        zero_output_for_mask, unroll, use_cudnn, implementation: see `LSTM`.
        return_state: give the last state too. Default False.
        reset_after: apply the reset gate after the product with the recurrent kernel
            (default True, as cuDNN does), or before it.
        **kwargs: see `Layer`.

    Call arguments: see `RNN`.

    Weights: kernel (features, 3 units), recurrent_kernel (units, 3 units), bias (2, 3 units),
    one for each kernel (with `reset_after=False` (3 units,)); the columns are those of the
    update gate, the reset gate and the candidate.

    Raises:
        ValueError: an argument out of its range, or inputs that don't fit.
    """

    cell_class: ClassVar = GRUCell

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
        stateful: bool = False,
        reset_after: bool = True,
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
            "reset_after": reset_after,
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


#: The name that Keras 2 had for a GRU on GPUs.
CuDNNGRU = GRU


def _reset_first(weight: Tensor) -> Tensor:
    """Keras's update, reset, candidate as torch's reset, update, candidate."""
    z, r, h = weight.chunk(3, -1)
    return torch.cat((r, z, h), -1)
