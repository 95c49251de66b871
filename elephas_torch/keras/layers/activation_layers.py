"""Activations that are layers, with arguments or weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import activations, initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"]


class ReLU(BuiltIn):
    """The larger of inputs and 0.

    Follows https://keras.io/api/layers/activation_layers/relu/

    Args:
        max_value: where the outputs are cut off, 0 or more. Default None, nowhere.
        negative_slope: below the threshold: negative_slope * (inputs - threshold). Default 0.
        threshold: inputs up to it count as negative, 0 or more. Default 0.
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument is negative or no number.
    """

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None:
            max_value = arguments.not_negative("ReLU", "max_value", max_value)
        self.max_value = max_value
        self.negative_slope = arguments.not_negative("ReLU", "negative_slope", negative_slope)
        self.threshold = arguments.not_negative("ReLU", "threshold", threshold)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(BuiltIn):
    """inputs, or negative_slope * inputs where they are negative.

    Follows https://keras.io/api/layers/activation_layers/leaky_relu/

    Args:
        negative_slope: 0 or more. Default 0.3.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `negative_slope` is negative or no number.
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = arguments.not_negative("LeakyReLU", "negative_slope", negative_slope)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(BuiltIn):
    """inputs, or alpha * (exp(inputs) - 1) where they are negative.

    Follows https://keras.io/api/layers/activation_layers/elu/

    Args:
        alpha: Default 1.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `alpha` is no number.
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = arguments.number("ELU", "alpha", alpha)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class ThresholdedReLU(BuiltIn):
    """inputs, or 0 where they are not above theta. Keras 1 and 2 had it.

    Args:
        theta: 0 or more. Default 1.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `theta` is negative or no number.
    """

    supports_masking = True

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = arguments.not_negative("ThresholdedReLU", "theta", theta)

    def call(self, inputs: Tensor) -> Tensor:
        return torch.where(inputs > self.theta, inputs, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "theta": self.theta}


class PReLU(BuiltIn):
    """inputs, or alpha * inputs where they are negative; alpha is learned.

    Follows https://keras.io/api/layers/activation_layers/prelu/ and He et al., 2015.

    Args:
        alpha_initializer: Default "zeros".
        shared_axes: axes (from 1) along which there is one alpha, such as (1, 2) for one a
            channel of images. Default None.
        **kwargs: `alpha_regularizer`, `alpha_constraint`, None by default; see `Layer`.

    Weights: alpha, of the shape of one sample, 1 along shared axes.

    Raises:
        ValueError: `shared_axes` are no axes beside the batch.
    """

    supports_masking = True
    regularized: ClassVar = ("alpha",)

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        *,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.shared_axes = None
        if shared_axes is not None:
            axes = arguments.axes("PReLU", "shared_axes", shared_axes)
            self.shared_axes = axes if isinstance(axes, list) else [axes]

    def build(self, input_shape: Shape) -> None:
        self.check_shape(input_shape)
        shared = [self._shared(axis, len(input_shape)) for axis in self.shared_axes or []]
        spec = [None if n in shared else length for n, length in enumerate(input_shape)]
        shape = [
            1 if axis in shared else self._length(input_shape, axis)
            for axis in range(1, len(input_shape))
        ]
        self.add_weight(tuple(shape), self.alpha_initializer, name="alpha")
        self.input_spec = (None, *spec[1:])

    def _shared(self, axis: int, count: int) -> int:
        if not 0 < (axis + count if axis < 0 else axis) < count:
            raise ValueError(
                f"{self._label}: the inputs have no axis {axis} beside the batch. "
                f"Received: shared_axes={list(self.shared_axes or [])} and inputs of {count} axes"
            )
        return axis % count

    def call(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        return torch.relu(inputs) - weights["alpha"] * torch.relu(-inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "shared_axes": self.shared_axes,
        }


class Softmax(BuiltIn):
    """exp(inputs) / sum(exp(inputs)): positive, and 1 in sum.

    Follows https://keras.io/api/layers/activation_layers/softmax/

    Args:
        axis: along which the sum is 1; several in a list. Default -1.
        **kwargs: see `Layer`.

    Call arguments:
        inputs: a float tensor.
        mask: what counts, of a shape that broadcasts to the inputs': elsewhere the outputs are 0.
            Default the inputs' own mask.

    Raises:
        ValueError: `axis` is no axis, or (when called) the mask doesn't broadcast.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = arguments.axes("Softmax", "axis", axis)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self._shares(inputs)
        mask = self._broadcast(mask, inputs)
        lowest = -3e4 if inputs.dtype == torch.float16 else -1e9
        return torch.where(mask, self._shares(torch.where(mask, inputs, lowest)), 0.0)

    def _shares(self, inputs: Tensor) -> Tensor:
        if isinstance(self.axis, int):
            return torch.softmax(inputs, self.axis)
        if len(self.axis) == 1:
            return torch.softmax(inputs, self.axis[0])
        return torch.exp(inputs - torch.logsumexp(inputs, tuple(self.axis), keepdim=True))

    def _broadcast(self, mask: Tensor, inputs: Tensor) -> Tensor:
        pairs = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        if mask.dim() > inputs.dim() or any(m not in (1, n) for m, n in pairs):
            raise ValueError(
                f"{self._label}: the mask must broadcast to the inputs. Received: a mask of shape "
                f"{tuple(mask.shape)} and inputs of shape {tuple(inputs.shape)}"
            )
        return mask if mask.dtype == torch.bool else mask > 0.5

    def get_config(self) -> dict[str, Any]:
        axis = self.axis if isinstance(self.axis, int) else list(self.axis)
        return {**super().get_config(), "axis": axis}
