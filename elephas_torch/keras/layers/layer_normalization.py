"""Normalization of each sample by itself: layer, group, unit, root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = [
    "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization",
]  # fmt: skip


class _AlongAxes(BuiltIn):
    """A layer whose weights lie along the axes that it normalizes."""

    axis: Any

    def _lengths(self, shape: Shape) -> tuple[int, ...]:
        """The lengths of the axes; from now on `axis` is a list, as Keras has it."""
        self._check_axes(shape)
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        spec: list[int | None] = [None] * len(shape)
        for axis in self.axis:
            spec[axis] = self._length(shape, axis)
        self.input_spec = tuple(spec)
        return tuple(shape[axis] for axis in self.axis)

    def _check_axes(self, shape: Shape) -> None:
        count = len(shape)
        for axis in self.axis if isinstance(self.axis, list) else [self.axis]:
            if not -count <= axis < count:
                raise ValueError(
                    f"{self._label}: the inputs have no axis {axis}. "
                    f"Received: inputs of shape {tuple(shape)}"
                )

    def _last(self, inputs: Tensor) -> bool:
        """Whether the axes are the last ones, in order: so torch's own functions take them."""
        count = inputs.dim()
        first = count - len(self.axis)
        return [axis % count for axis in self.axis] == list(range(first, count))

    def _broadcast(self, weight: Tensor, inputs: Tensor) -> Tensor:
        shape = [1] * inputs.dim()
        for axis in self.axis:
            shape[axis] = inputs.shape[axis]
        return weight.reshape(shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        self._check_axes(input_shape)
        return tuple(input_shape)

    def _axis_config(self) -> Any:
        return list(self.axis) if isinstance(self.axis, list) else self.axis


class LayerNormalization(_AlongAxes):
    """Gives every sample mean 0 and variance 1 along the axes, then scales and shifts it.

    Follows https://keras.io/api/layers/normalization_layers/layer_normalization/ and Ba et al.,
    2016.

    Args:
        axis: one, or a list. Default -1.
        epsilon: added to the variance. Default 1e-3.
        center: shift by `beta`. Default True.
        scale: multiply with `gamma`. Default True.
        beta_initializer, gamma_initializer: Defaults "zeros", "ones".
        **kwargs: `beta_regularizer`, `gamma_regularizer`, `beta_constraint`,
            `gamma_constraint`, all None by default; `rms_scaling` (Keras's older idea of
            `RMSNormalization`: divides by the standard deviation and subtracts nothing),
            default False; see `Layer`.

    Weights: gamma, beta, each of the lengths of the axes.

    Raises:
        ValueError: `axis` is no axis, or `epsilon` isn't above 0.
    """

    supports_masking = True
    regularized: ClassVar = ("beta", "gamma")

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = arguments.axes("LayerNormalization", "axis", axis)
        self.epsilon = arguments.positive("LayerNormalization", "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.rms_scaling = bool(rms_scaling)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Shape) -> None:
        lengths = self._lengths(input_shape)
        if self.scale or self.rms_scaling:
            self.add_weight(lengths, self.gamma_initializer, name="gamma")
        if self.center and not self.rms_scaling:
            self.add_weight(lengths, self.beta_initializer, name="beta")

    def call(self, inputs: Tensor) -> Tensor:
        gamma, beta = self._parameters.get("gamma"), self._parameters.get("beta")
        if self._last(inputs) and not self.rms_scaling:
            shape = inputs.shape[inputs.dim() - len(self.axis) :]
            return F.layer_norm(inputs, shape, gamma, beta, self.epsilon)
        variance, mean = torch.var_mean(inputs, tuple(self.axis), correction=0, keepdim=True)
        inverse = torch.rsqrt(variance + self.epsilon)
        if gamma is not None:
            inverse = inverse * self._broadcast(gamma, inputs)
        if self.rms_scaling:
            return inputs * inverse
        outputs = (inputs - mean) * inverse
        return outputs if beta is None else outputs + self._broadcast(beta, inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self._axis_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "rms_scaling": self.rms_scaling,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
        }


class RMSNormalization(_AlongAxes):
    """scale * inputs / sqrt(mean(inputs ** 2) + epsilon), along the axes.

    Follows https://keras.io/api/layers/normalization_layers/rms_normalization/ and Zhang and
    Sennrich, 2019. As in Keras, masks end here.

    Args:
        axis: one, or a list. Default -1.
        epsilon: added to the mean of squares. Default 1e-6.
        **kwargs: see `Layer`.

    Weights: scale, of the lengths of the axes, 1 at first.

    Raises:
        ValueError: `axis` is no axis, or `epsilon` isn't above 0.
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = arguments.axes("RMSNormalization", "axis", axis)
        self.epsilon = arguments.positive("RMSNormalization", "epsilon", epsilon)

    def build(self, input_shape: Shape) -> None:
        self.add_weight(self._lengths(input_shape), "ones", name="scale")

    def call(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        if self._last(inputs):
            shape = inputs.shape[inputs.dim() - len(self.axis) :]
            return F.rms_norm(inputs.float(), shape, weights["scale"], self.epsilon)
        mean = inputs.square().mean(tuple(self.axis), keepdim=True)
        return inputs * torch.rsqrt(mean + self.epsilon) * self._broadcast(weights["scale"], inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self._axis_config(), "epsilon": self.epsilon}


class UnitNormalization(_AlongAxes):
    """Gives every sample the length 1 (its squares sum to 1) along the axes.

    Follows https://keras.io/api/layers/normalization_layers/unit_normalization/

    Args:
        axis: one, or a list. Default -1.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `axis` is no axis.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = arguments.axes("UnitNormalization", "axis", axis)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        axes = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        length = torch.linalg.vector_norm(inputs, dim=axes, keepdim=True)
        return inputs / length.clamp_min(1e-12)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self._axis_config()}


class GroupNormalization(BuiltIn):
    """Gives every group of channels of a sample mean 0 and variance 1, then scales and shifts.

    Follows https://keras.io/api/layers/normalization_layers/group_normalization/ and Wu and He,
    2018.

    Args:
        groups: how many; the number of channels is a multiple of it. -1 makes a group of each
            channel (instance normalization). Default 32.
        axis: the channels'. Default -1.
        epsilon: added to the variance. Default 1e-3.
        center: shift by `beta`. Default True.
        scale: multiply with `gamma`. Default True.
        beta_initializer, gamma_initializer: Defaults "zeros", "ones".
        **kwargs: `beta_regularizer`, `gamma_regularizer`, `beta_constraint`,
            `gamma_constraint`, all None by default; see `Layer`.

    Weights: gamma, beta, each (channels,).

    Raises:
        ValueError: `groups` is neither positive nor -1, `axis` is the batch's, `epsilon` isn't
            above 0, or (when built) the channels can't be put into as many groups.
    """

    supports_masking = True
    regularized: ClassVar = ("beta", "gamma")

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if groups != -1:
            groups = arguments.positive_integer("GroupNormalization", "groups", groups)
        self.groups = groups
        self.axis = arguments.channel_axis("GroupNormalization", axis)
        self.epsilon = arguments.positive("GroupNormalization", "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)
        channels = self._length(input_shape, self.axis)
        self.groups = channels if self.groups == -1 else self.groups
        if channels % self.groups:
            raise ValueError(
                f"{self._label}: the number of channels must be a multiple of `groups`. "
                f"Received: groups={self.groups} and {channels} channels"
            )
        if self.scale:
            self.add_weight((channels,), self.gamma_initializer, name="gamma")
        if self.center:
            self.add_weight((channels,), self.beta_initializer, name="beta")
        spec: list[int | None] = [None] * len(input_shape)
        spec[self.axis] = channels
        self.input_spec = tuple(spec)

    def call(self, inputs: Tensor) -> Tensor:
        second = self.axis == 1 or inputs.dim() == 2
        moved = inputs if second else inputs.movedim(self.axis, 1)
        if torch.is_grad_enabled() and not inputs.requires_grad:
            # torch's backward pass ends the process where channels lie last and the inputs, as
            # rows do, take no gradient.
            moved = moved.contiguous()
        gamma, beta = self._parameters.get("gamma"), self._parameters.get("beta")
        if gamma is None and beta is not None:  # torch can't go back through that
            outputs = F.group_norm(moved, self.groups, eps=self.epsilon)
            outputs = outputs + beta.view(-1, *[1] * (moved.dim() - 2))
        else:
            outputs = F.group_norm(moved, self.groups, gamma, beta, self.epsilon)
        return outputs if second else outputs.movedim(1, self.axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        arguments.has_axis(self._label, self.axis, input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "groups": self.groups,
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
        }
