"""`TimeDistributed`: a layer applied to every step of sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.wrapper import Wrapper

#: Layers to which the other rows of a batch may matter: they see one step after the other.
_BY_STEP = ("BatchNormalization", "Lambda", "Operation", "SpectralNormalization")


class TimeDistributed(Wrapper):
    """Applies a layer to every step: (batch, steps, …) -> (batch, steps, …).

    Follows https://keras.io/api/layers/recurrent_layers/time_distributed/

    Args:
        layer: a layer or a model, with one input and one output.
        **kwargs: see `Layer`.

    Call arguments: inputs (batch, steps, …); `mask`, bools (batch, steps, …), of which the layer
    has a step's, where it takes masks.

    All steps are computed at once, as rows of one batch, by layers of this package that look at
    each row by itself; by others one after the other.

    Raises:
        ValueError: `layer` is no layer, inputs have fewer than 3 axes, or the mask is of
            another batch and number of steps.

    Example::

        Sequential([Input((None, 28, 28, 1)), TimeDistributed(Conv2D(8, 3)), …])
    """

    supports_masking = True

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        vars(self)["input_dtype"] = self.layer.input_dtype

    def build(self, input_shape: Any = None) -> None:
        super().build(self._step_shape(input_shape))

    def _step_shape(self, shape: Any) -> Shape:
        if not isinstance(shape, tuple | list) or len(shape) < 3:
            raise ValueError(
                f"{self._label} expects inputs of shape (batch, steps, …), at least 3 axes. "
                f"Received: inputs of shape {shape}"
            )
        return (shape[0], *shape[2:])

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        self._step_shape(tuple(inputs.shape))
        self._check_mask(inputs, mask)
        if "mask" not in type(self.layer)._signature.names:
            mask = None
        if self._at_once():
            rows = None if mask is None else mask.flatten(0, 1)
            return self._applied(inputs.flatten(0, 1), rows).unflatten(0, inputs.shape[:2])
        steps = inputs.unbind(1)
        marks = [None] * len(steps) if mask is None else mask.unbind(1)
        return torch.stack(list(map(self._applied, steps, marks)), 1)

    def _applied(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.layer(inputs) if mask is None else self.layer(inputs, mask=mask)

    def _at_once(self) -> bool:
        return not any(map(_by_step, self.layer.modules()))

    def _check_mask(self, inputs: Tensor, mask: Tensor | None) -> None:
        if mask is not None and (mask.dim() < 2 or mask.shape[:2] != inputs.shape[:2]):
            raise ValueError(
                f"{self._label}: the shape of the mask must begin with the inputs' batch and "
                f"steps, {tuple(inputs.shape[:2])}. Received: a mask of shape {tuple(mask.shape)}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *rest = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (batch, input_shape[1], *rest)


def _by_step(module: Any) -> bool:
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return False
    if not isinstance(module, Layer) or not serialization.is_own(type(module)):
        return True
    names = {cls.__name__ for cls in type(module).__mro__}
    if "BatchNormalization" in names and not (module.training and module.trainable):
        return False
    return not names.isdisjoint(_BY_STEP) or bool(getattr(module, "stateful", False))
