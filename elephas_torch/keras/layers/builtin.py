"""What the package's own layers share: checked shapes, and arguments that only Keras has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras import constraints, masks, regularizers, serialization
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.shapes import Spec, fits, shown


class BuiltIn(Layer):
    """A layer of this package. Subclasses say what shapes they take in `input_spec`."""

    #: The shape of inputs, batch first: None fits any length, `...` any number of axes.
    input_spec: Spec = (None, ...)
    #: Weights that take the arguments `…_regularizer` and `…_constraint`.
    regularized: ClassVar[tuple[str, ...]] = ()
    #: Whether Keras writes `activity_regularizer` into configs when there is none.
    writes_activity_regularizer: ClassVar[bool] = False
    #: Keras's arguments of which one value alone is taken; written into configs.
    fixed: ClassVar[dict[str, Any]] = {}
    #: The same, but Keras doesn't write them.
    fixed_unwritten: ClassVar[dict[str, Any]] = {"lora_rank": None, "lora_alpha": None}

    def __init__(self, **kwargs: Any) -> None:
        for name, only in {**self.fixed_unwritten, **self.fixed}.items():
            value = kwargs.pop(name, only)
            if value != only:
                raise ValueError(
                    f"{type(self).__name__}: `{name}` can only be {only!r}. "
                    f"Received: {name}={value!r}"
                )
        rules = {
            f"{weight}_{kind}": get(kwargs.pop(f"{weight}_{kind}", None))
            for weight in self.regularized
            for kind, get in (("regularizer", regularizers.get), ("constraint", constraints.get))
        }
        super().__init__(**kwargs)
        vars(self).update(rules)

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        name = str(kwargs.get("name"))
        # recurrent_kernel goes by recurrent_regularizer, depthwise_kernel by depthwise_…
        name = name if name in self.regularized else name.removesuffix("_kernel")
        if name in self.regularized:
            for kind in ("regularizer", "constraint"):
                kwargs.setdefault(kind, getattr(self, f"{name}_{kind}"))
        return super().add_weight(*args, **kwargs)

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
            + (self._hint(len(shape)) if isinstance(shape, tuple | list) else "")
        )

    def _hint(self, rank: int) -> str:
        """What to do with inputs that have so many axes; "" where that isn't known."""
        return ""

    def forward(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().forward(inputs, *args, **kwargs)
        except RuntimeError:
            # Looked at only now, so that inputs that fit pay nothing for the check.
            self._explain(inputs)
            if not self._takes_whole_numbers_for_floats(inputs):
                raise
        return super().forward(masks.moved(inputs, inputs.float()), *args, **kwargs)

    def _takes_whole_numbers_for_floats(self, inputs: Any) -> bool:
        whole = isinstance(inputs, Tensor) and not (
            inputs.is_floating_point() or inputs.is_complex()
        )
        return whole and self.input_dtype is torch.float32

    def _explain(self, inputs: Any) -> None:
        if isinstance(inputs, Tensor):
            self.check_shape(tuple(inputs.shape))
            self.compute_output_shape(tuple(inputs.shape))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        self.check_shape(input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **self.fixed}
        if self.writes_activity_regularizer:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        for weight in self.regularized:
            for kind, room in (("regularizer", regularizers), ("constraint", constraints)):
                config[f"{weight}_{kind}"] = room.serialize(getattr(self, f"{weight}_{kind}"))
        return config


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

    def last_activation(self) -> Any:
        # Only where nothing but `call` happens to the inputs, and that is known.
        known = serialization.is_own(type(self)) and not self.dtype_policy.is_mixed
        return self.activation if known and self.activity_regularizer is None else None
