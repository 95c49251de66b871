"""Batch normalization."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import initializers
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn


class BatchNormalization(BuiltIn):
    """Gives every channel mean 0 and variance 1, then scales and shifts it.

    In training the mean and the (population) variance are the batch's, and the moving ones
    follow them: `moving = momentum * moving + (1 - momentum) * batch`. Otherwise, and where
    `trainable` is False, they are the moving ones.
    Follows https://keras.io/api/layers/normalization_layers/batch_normalization/ and Ioffe and
    Szegedy, 2015.

    Args:
        axis: the channels' axis. Default -1.
        momentum: share of the moving statistics that is kept. Default 0.99 (torch counts the
            complement).
        epsilon: added to the variance. Default 1e-3.
        center: shift by `beta`. Default True.
        scale: multiply with `gamma`. Default True.
        beta_initializer, gamma_initializer: Defaults "zeros", "ones".
        moving_mean_initializer, moving_variance_initializer: Defaults "zeros", "ones".
        **kwargs: `beta_regularizer`, `gamma_regularizer`, `beta_constraint`,
            `gamma_constraint`, all None by default; see `Layer`.

    Call arguments:
        inputs: a float tensor.
        mask: which steps count: in training the statistics are of those alone. One axis less
            than the inputs. Default the inputs' own mask.

    Weights: gamma, beta, and not trained by gradients moving_mean, moving_variance; each
    (channels,).

    Raises:
        ValueError: `momentum` isn't from 0 to 1, `epsilon` isn't above 0, or (when built) the
            inputs have no such axis.
    """

    supports_masking = True
    regularized: ClassVar = ("beta", "gamma")
    fixed: ClassVar = {
        "synchronized": False,
        "renorm": False,
        "renorm_clipping": None,
        "renorm_momentum": 0.99,
    }
    #: In the order of the weights.
    _names: ClassVar = ("gamma", "beta", "moving_mean", "moving_variance")

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = arguments.channel_axis("BatchNormalization", axis)
        self.momentum = arguments.rate("BatchNormalization", "momentum", momentum)
        self.epsilon = arguments.positive("BatchNormalization", "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        arguments.has_axis(self._label, self.axis, input_shape)
        channels = self._length(input_shape, self.axis)
        wanted = (self.scale, self.center, True, True)
        for name in (n for n, want in zip(self._names, wanted, strict=True) if want):
            initializer = getattr(self, f"{name}_initializer")
            self.add_weight(channels, initializer, name=name, trainable="moving" not in name)
        spec: list[int | None] = [None] * len(input_shape)
        spec[self.axis] = channels
        self.input_spec = tuple(spec)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None and self.training and self._trainable:
            return self._trained_masked(inputs, mask)
        second = self.axis == 1 or inputs.dim() == 2
        # A moved axis is a view; torch knows it as its channels_last memory format.
        outputs = self._normalized(inputs if second else inputs.movedim(self.axis, 1))
        return outputs if second else outputs.movedim(1, self.axis)

    def _normalized(self, inputs: Tensor) -> Tensor:
        gamma, beta = self._parameters.get("gamma"), self._parameters.get("beta")
        mean: Any = self._buffers["moving_mean"]
        variance: Any = self._buffers["moving_variance"]
        if self.training and self._trainable:
            return self._trained(inputs, gamma, beta, mean, variance)
        return F.batch_norm(inputs, mean, variance, gamma, beta, eps=self.epsilon)

    def _trained(
        self, inputs: Tensor, gamma: Any, beta: Any, mean: Tensor, variance: Tensor
    ) -> Tensor:
        count = inputs.numel() // max(inputs.shape[1], 1)
        settings = True, 1 - self.momentum, self.epsilon, True
        if count < 2:
            # torch's unbiased variance of one value would be 0 / 0.
            variance.mul_(self.momentum)
            return torch.batch_norm(inputs, gamma, beta, mean, variance.clone(), *settings)
        # torch follows the unbiased variance, count / (count - 1) times the population variance
        # that Keras follows: so the moving one is stretched as much meanwhile. Through `.data`,
        # because autograd keeps the moving variance, though it won't need its value.
        variance.data.mul_(count / (count - 1))
        outputs = torch.batch_norm(inputs, gamma, beta, mean, variance, *settings)
        variance.data.mul_((count - 1) / count)
        return outputs

    def _trained_masked(self, inputs: Tensor, mask: Tensor) -> Tensor:
        if mask.dim() != inputs.dim() - 1:
            raise ValueError(
                f"{self._label}: the mask must have one axis less than the inputs. Received: a "
                f"mask of shape {tuple(mask.shape)}, inputs of shape {tuple(inputs.shape)}"
            )
        kept = mask.bool()[..., None].expand(inputs.shape)
        others = [axis for axis in range(inputs.dim()) if axis != self.axis % inputs.dim()]
        inputs = inputs.float()
        # Keras's fuzz, so that nothing is divided by 0 where no step counts.
        count = kept.sum(others, keepdim=True) + 1e-7
        mean = torch.where(kept, inputs, 0.0).sum(others, keepdim=True) / count
        squares = torch.where(kept, inputs - mean, 0.0).square()
        variance = squares.sum(others, keepdim=True) / count
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            moving: Any = self._buffers[name]
            moving.data.lerp_(value.detach().flatten(), 1 - self.momentum)
        gamma, beta = self._parameters.get("gamma"), self._parameters.get("beta")
        scale = torch.rsqrt(variance + self.epsilon)
        if gamma is not None:
            scale = scale * gamma.view(mean.shape)
        outputs = (inputs - mean) * scale
        return outputs if beta is None else outputs + beta.view(mean.shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **{
                f"{name}_initializer": initializers.serialize(getattr(self, f"{name}_initializer"))
                for name in self._names
            },
        }
