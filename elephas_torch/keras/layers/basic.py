"""Dense layers, activations, and the input of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import activations, initializers, trees
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import Activated, BuiltIn
from elephas_torch.keras.layers.linear import linear
from elephas_torch.keras.layers.shapes import Spec
from elephas_torch.keras.symbolic import KerasTensor, Node

__all__ = ["Activation", "Dense", "Identity", "InputLayer"]

_INPUT_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
}


class InputLayer(BuiltIn):
    """The first layer of a model: says what shape its inputs have, and hands them on.

    Follows https://keras.io/api/layers/core_layers/input/

    Args:
        shape: of one sample, without the batch; None where any length will do. `input_shape`
            is the same.
        batch_size: kept for the config; batches of every size are taken.
        dtype: "float32" (default), or an integer type for inputs that are indices.
        batch_shape: shape with the batch in front, in place of the two.

    Raises:
        ValueError: no shape or two of them, or an unknown dtype.
    """

    fixed: ClassVar = {"sparse": False, "ragged": False, "optional": False}
    fixed_unwritten: ClassVar = {"input_tensor": None}

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        shape = kwargs.pop("input_shape", None) if shape is None else shape
        batch_shape = batch_shape or kwargs.pop("batch_input_shape", None)
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                "InputLayer takes either `shape` or `batch_shape`. "
                f"Received: shape={shape}, batch_shape={batch_shape}"
            )
        if batch_shape is not None:
            batch_size, *shape = batch_shape
        if batch_size is not None:
            arguments.positive_integer("InputLayer", "batch_size", batch_size)
        kwargs["sparse"] = bool(kwargs.get("sparse"))
        kwargs["ragged"] = bool(kwargs.get("ragged"))
        super().__init__(input_shape=shape, **kwargs)
        self.batch_size = batch_size
        self._values = _input_dtype(dtype)
        self.input_dtype = _INPUT_DTYPES[self._values]  # type: ignore[misc]
        assert self.declared_shape is not None
        self.input_spec = self.declared_shape
        self.built = True
        vars(self)["_build_shapes"] = None

    @property
    def dtype(self) -> str:
        """The dtype of the inputs."""
        return self._values

    def start(self) -> KerasTensor:
        """The symbolic tensor that a functional model begins with; always the same one."""
        if not self._inbound_nodes:
            Node(self, (), {}, KerasTensor(self.batch_shape, self._values, self.name))
        return cast(KerasTensor, self._inbound_nodes[0].outputs)

    @property
    def output(self) -> Any:
        return self.start()

    @property
    def batch_shape(self) -> Shape:
        """The declared shape, with the batch size (None by default) in front."""
        return (self.batch_size, *self.input_spec[1:])

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self._values,
            **self.fixed,
            "name": self.name,
        }


class Dense(Activated):
    """activation(inputs @ kernel + bias), along the last axis.

    Follows https://keras.io/api/layers/core_layers/dense/

    Args:
        units: length of the output's last axis.
        activation: name or function. Default None, none.
        use_bias: Default True.
        kernel_initializer: Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `kernel_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `bias_constraint`, all None by default; `input_dim`, `input_shape`, `name` …: see
            `Layer`.

    Weights: kernel (inputs, units), bias (units,).

    Raises:
        ValueError: `units` isn't a positive whole number, or a name isn't known.

    Example:

        >>> import torch
        >>> Dense(3, activation="relu")(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    input_spec: Spec = (None, ..., None)
    regularized: ClassVar = ("kernel", "bias")
    supports_masking = True
    fixed: ClassVar = {"quantization_config": None}

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Tensor] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = arguments.positive_integer("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        features = self._length(input_shape, -1)
        self.add_weight((features, self.units), self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.add_weight((self.units,), self.bias_initializer, name="bias")
        self.input_spec = (None, ..., features)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        return linear(inputs, weights["kernel"], weights["bias"] if self.use_bias else None)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


class Activation(Activated):
    """Applies an activation to its inputs.

    Follows https://keras.io/api/layers/core_layers/activation/

    Args:
        activation: name or function.
        **kwargs: see `Layer`.
    """

    supports_masking = True

    def __init__(self, activation: str | Callable[..., Tensor], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class Identity(BuiltIn):
    """Hands its inputs on.

    Follows https://keras.io/api/layers/core_layers/identity/
    """

    supports_masking = True

    def build(self, input_shape: Any) -> None:
        pass

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return trees.map_leaves(lambda one: KerasTensor(one.shape, one.dtype), args[0])


def _input_dtype(dtype: Any) -> str:
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    name = "float32" if dtype is None else str(getattr(dtype, "name", dtype))
    name = name.removeprefix("torch.")
    if name not in _INPUT_DTYPES:
        raise unknown("dtype", dtype, _INPUT_DTYPES)
    return name
