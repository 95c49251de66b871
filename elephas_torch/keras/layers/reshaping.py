"""Layers that change the shape of their inputs and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn
from elephas_torch.keras.layers.shapes import shown


class Flatten(BuiltIn):
    """Puts all axes but the batch into one.

    Follows https://keras.io/api/layers/reshaping_layers/flatten/

    Args:
        data_format: "channels_last" (default), or "channels_first" for inputs (batch,
            channels, …), which are flattened in the order (…, channels).
        **kwargs: see `Layer`.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 2:
            return inputs
        if inputs.dim() == 1:
            return inputs.unsqueeze(1)
        if self.data_format == "channels_first":
            inputs = inputs.movedim(1, -1)
        return inputs.flatten(1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        batch, *lengths = input_shape
        return (batch, _product(lengths))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(BuiltIn):
    """Gives each sample another shape of as many elements.

    Follows https://keras.io/api/layers/reshaping_layers/reshape/

    Args:
        target_shape: without the batch. One of its lengths can be -1 (or None): what the others
            leave.
        **kwargs: see `Layer`.

    Raises:
        ValueError: a length that is neither positive nor -1, or -1 twice; when the inputs are
            known, also a number of elements that differs from theirs.
    """

    def __init__(self, target_shape: int | Sequence[int | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = _target(target_shape)
        self._lengths = tuple(-1 if n is None else n for n in self.target_shape)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.shape[0], *self._lengths)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        batch, *lengths = input_shape
        size = _product(lengths)
        known = math.prod(n for n in self._lengths if n != -1)
        if size is None:
            return (batch, *(None if n == -1 else n for n in self._lengths))
        if size % known or (-1 not in self._lengths and size != known):
            raise ValueError(
                f"{self._label} can't reshape {size} elements a sample into "
                f"{self.target_shape}. Received: inputs of shape {shown(input_shape)}"
            )
        return (batch, *(size // known if n == -1 else n for n in self._lengths))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(BuiltIn):
    """Puts the axes of each sample into another order.

    Follows https://keras.io/api/layers/reshaping_layers/permute/

    Args:
        dims: the axes in their new order, counted from 1: (2, 1) exchanges two.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `dims` isn't a permutation of 1 … n.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Permute: `dims` must hold each of the numbers 1 to n once. "
                f"Received: dims={dims!r}"
            )
        self.input_spec = (None,) * (len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(BuiltIn):
    """(batch, features) -> (batch, n, features), n times the same.

    Follows https://keras.io/api/layers/reshaping_layers/repeat_vector/

    Args:
        n: how often, a positive whole number.
        **kwargs: see `Layer`.
    """

    input_spec = (None, None)

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = arguments.positive_integer("RepeatVector", "n", n)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        batch, features = input_shape
        return (batch, self.n, features)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


def _product(lengths: Sequence[int | None]) -> int | None:
    known = [n for n in lengths if n is not None]
    return math.prod(known) if len(known) == len(lengths) else None


def _target(value: Any) -> tuple[int | None, ...]:
    lengths = value if isinstance(value, Iterable) else (value,)
    shape = tuple(int(n) if isinstance(n, Integral) else n for n in lengths)
    sizes = [n for n in shape if n not in (-1, None)]
    if len(shape) - len(sizes) > 1 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(
            "Reshape: `target_shape` must hold positive whole numbers, and -1 at most once. "
            f"Received: target_shape={value!r}"
        )
    return shape
