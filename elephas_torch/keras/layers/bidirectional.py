"""`Bidirectional`: a recurrent layer, and another that goes backwards."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.shapes import Spec

_MERGES = ("sum", "mul", "ave", "concat")


class Bidirectional(BuiltIn):
    """Goes through sequences forwards and backwards, and merges what comes out.

    Follows https://keras.io/api/layers/recurrent_layers/bidirectional/

    Args:
        layer: a recurrent layer. It is copied, with new weights.
        merge_mode: "concat" (default), "sum", "mul", "ave", or None: two outputs.
        weights: of both, the forward ones first. Default None, the layers' own beginnings.
        backward_layer: goes backwards. Default a copy of `layer` that does.
        **kwargs: see `Layer`.

    Call arguments: see `RNN`; `initial_state` has the forward layer's states first.

    With `return_sequences` the backward outputs come in the order of the steps, and steps that a
    mask leaves out give 0.

    Raises:
        ValueError: no recurrent layers, or two that don't fit each other.

    Example::

        Sequential([Input((None, 8)), Bidirectional(LSTM(16)), Dense(1)])
    """

    input_spec: Spec = (None, None, ...)
    supports_masking = True
    fixed_unwritten: ClassVar = {}

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        if merge_mode is not None and merge_mode not in _MERGES:
            raise unknown("merge mode", merge_mode, _MERGES)
        _check_layer("layer", layer)
        super().__init__(**kwargs)
        self.forward_layer = _copied(layer, "forward")
        if backward_layer is None:
            self.backward_layer = _copied(layer, "backward", go_backwards=True)
        else:
            _check_layer("backward_layer", backward_layer)
            self.backward_layer = backward_layer
        _check_pair(self.forward_layer, self.backward_layer)
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = one.return_sequences
        self.input_spec = getattr(self.forward_layer, "input_spec", self.input_spec)
        self.merge_mode = merge_mode
        self.stateful = bool(getattr(layer, "stateful", False))
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        vars(self)["_first_weights"] = weights

    def _hint(self, rank: int) -> str:
        of_layer = getattr(self.forward_layer, "_hint", None)
        return "" if of_layer is None else str(of_layer(rank))

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        self.check_shape(sequences_shape)
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
                layer.built = True
        if self._first_weights is not None:
            self.set_weights(self._first_weights)

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        half = 0 if initial_state is None else len(initial_state) // 2
        first = initial_state and initial_state[:half]
        second = initial_state and initial_state[half:]
        forward = _through(self.forward_layer, sequences, first, mask)
        backward = _through(self.backward_layer, sequences, second, mask)
        if not self.return_state:
            return self._merged(forward, backward)
        merged = self._merged(forward[0], backward[0])
        outputs = merged if self.merge_mode is None else (merged,)
        return (*outputs, *forward[1:], *backward[1:])

    def _merged(self, y: Tensor, z: Tensor) -> Any:
        z = z.flip(1) if self.return_sequences else z
        if self.merge_mode == "concat":
            return torch.cat([y, z], -1)
        if self.merge_mode == "mul":
            return y * z
        if self.merge_mode is None:
            return y, z
        return y + z if self.merge_mode == "sum" else (y + z) / 2

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states that stateful layers keep, the forward ones first; None before the first
        call."""
        several = [self.forward_layer.states, self.backward_layer.states]
        return None if None in several else (*several[0], *several[1])

    def reset_state(self) -> None:
        """Sets the states that stateful layers keep to 0."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = previous_mask if self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state or len(outputs) > 1:
            return [*outputs, *[None] * 2 * len(self.forward_layer.state_size)]
        return mask

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        found = self.forward_layer.compute_output_shape(sequences_shape)
        outputs, states = (found[0], tuple(found[1:])) if self.return_state else (found, ())
        if self.merge_mode is None:
            return (outputs, outputs, *states, *states)
        if self.merge_mode == "concat":
            outputs = (*outputs[:-1], outputs[-1] * 2)
        return (outputs, *states, *states) if self.return_state else tuple(outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": serialization.serialize_keras_object(self.forward_layer),
            "backward_layer": serialization.serialize_keras_object(self.backward_layer),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Bidirectional:
        """Makes the layer that `get_config` described."""
        layers = {
            name: serialization.deserialize_keras_object(config[name], custom_objects)
            for name in ("layer", "backward_layer")
            if config.get(name) is not None
        }
        return cls(**{**config, **layers})


def _check_layer(argument: str, layer: Any) -> None:
    needed = ("go_backwards", "return_sequences", "return_state")
    if not isinstance(layer, Layer) or not all(hasattr(layer, name) for name in needed):
        raise ValueError(
            f"Bidirectional: `{argument}` must be a recurrent layer, such as LSTM(16). "
            f"Received: {argument}={layer!r}"
        )


def _check_pair(forward: Any, backward: Any) -> None:
    if forward.go_backwards == backward.go_backwards:
        raise ValueError(
            "Bidirectional: one layer must go backwards, and the other one not. "
            f"Received: go_backwards={forward.go_backwards} for both"
        )
    for name in ("stateful", "return_sequences", "return_state"):
        first, second = getattr(forward, name, False), getattr(backward, name, False)
        if first != second:
            raise ValueError(
                f"Bidirectional: both layers must have the same `{name}`. "
                f"Received: {name}={first} for `layer`, {second} for `backward_layer`"
            )


def _copied(layer: Any, direction: str, **changes: Any) -> Any:
    described = serialization.serialize_keras_object(layer)
    name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    described["config"] = {**described["config"], "name": name, **changes}
    return serialization.deserialize_keras_object(described)


def _through(layer: Any, sequences: Tensor, states: Any, mask: Tensor | None) -> Any:
    given: dict[str, Any] = {}
    if states is not None:
        given["initial_state"] = states
    if "mask" in type(layer)._signature.names:
        given["mask"] = mask
    return layer(sequences, **given)
