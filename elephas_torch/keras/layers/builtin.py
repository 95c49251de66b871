"""What the package's own layers share: checked shapes, and arguments that only Keras has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.shapes import Spec, fits, shown

#: Keras's arguments that a layer with a kernel and a bias has, of which only None is taken.
KERNEL_EXTRAS: dict[str, Any] = {
    "kernel_regularizer": None,
    "bias_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
}


class BuiltIn(Layer):
    """A layer of this package. Subclasses say what shapes they take in `input_spec`."""

    #: The shape of inputs, batch first: None fits any length, `...` any number of axes.
    input_spec: Spec = (None, ...)
    #: Keras's arguments of which one value alone is taken; written into configs.
    fixed: ClassVar[dict[str, Any]] = {}
    #: The same, but Keras doesn't write them.
    fixed_unwritten: ClassVar[dict[str, Any]] = {
        "activity_regularizer": None,
        "lora_rank": None,
        "lora_alpha": None,
    }

    def __init__(self, **kwargs: Any) -> None:
        for name, only in {**self.fixed_unwritten, **self.fixed}.items():
            value = kwargs.pop(name, only)
            if value != only:
                raise ValueError(
                    f"{type(self).__name__}: `{name}` can only be {only!r} so far. "
                    f"Received: {name}={value!r}"
                )
        super().__init__(**kwargs)

    def build(self, input_shape: Shape) -> None:
        self.check_shape(input_shape)

    def check_shape(self, shape: Any) -> None:
        """Raises ValueError, naming the layer, unless inputs of this shape fit."""
        if not fits(self.input_spec, shape):
            raise self._misfit(shape)

    def _length(self, shape: Shape, axis: int) -> int:
        """The length of an axis that the weights need to know."""
        self.check_shape(shape)
        length = shape[axis]
        if length is None:
            raise ValueError(
                f"{self._label} must know the length of axis {axis} of its inputs to make its "
                f"weights. Received: an input shape of {shown(shape)}"
            )
        return length

    def _misfit(self, shape: Any) -> ValueError:
        received = shown(tuple(shape)) if isinstance(shape, tuple | list) else repr(shape)
        return ValueError(
            f"{self._label} expects inputs of shape {shown(self.input_spec)}. "
            f"Received: inputs of shape {received}"
        )

    def forward(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().forward(inputs, *args, **kwargs)
        except RuntimeError:
            # Looked at only now, so that inputs that fit pay nothing for the check.
            self._explain(inputs)
            raise

    def _explain(self, inputs: Any) -> None:
        if isinstance(inputs, Tensor):
            self.check_shape(tuple(inputs.shape))
            self.compute_output_shape(tuple(inputs.shape))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        self.check_shape(input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.fixed}


class Activated(BuiltIn):
    """A layer whose last step is an activation.

    Attributes:
        activation: that step, a function on tensors. A trainer may fuse it into a loss, and
            call `preactivation` in place of the layer.
    """

    activation: Callable[..., Tensor]

    def preactivation(self, inputs: Tensor) -> Tensor:
        """What the activation is applied to."""
        return inputs

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(self.preactivation(inputs))
