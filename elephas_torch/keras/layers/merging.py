"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import config, masks
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class Merging(BuiltIn):
    """What these layers share: they are called on a list of tensors."""

    supports_masking = True
    fixed_unwritten: ClassVar = {}
    #: How many tensors the layer takes; None for any number from 1 on.
    _count: ClassVar[int | None] = None

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def check_shape(self, shape: Any) -> None:
        """Raises ValueError, naming the layer, unless it is a list of shapes."""
        many = "" if self._count is None else f"{self._count} "
        listed = isinstance(shape, list | tuple) and all(
            isinstance(one, list | tuple) for one in shape
        )
        if not listed or not shape or (self._count or len(shape)) != len(shape):
            raise ValueError(
                f"{self._label} must be called on a list of {many}tensors. "
                f"Received: inputs of shape {shape}"
            )

    def _explain(self, inputs: Any) -> None:
        if isinstance(inputs, list | tuple):
            shapes: Any = [tuple(one.shape) for one in inputs]
            self.compute_output_shape(shapes)

    def call(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, list | tuple) or (self._count or len(inputs)) != len(inputs):
            self.check_shape(
                [tuple(one.shape) for one in inputs]
                if isinstance(inputs, list | tuple)
                else tuple(inputs.shape)
            )
        return self.merge(list(inputs))

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """One tensor of several."""
        raise TypeError(f"{type(self).__name__} must define merge(inputs).")


class _Elementwise(Merging):
    """Tensors of shapes that broadcast; those with fewer axes get axes of 1 after the batch."""

    def merge(self, inputs: list[Tensor]) -> Tensor:
        most = max(one.dim() for one in inputs)
        return self.combine([_with_axes(one, most) for one in inputs])

    def combine(self, inputs: list[Tensor]) -> Tensor:
        """One tensor of several of as many axes."""
        raise TypeError(f"{type(self).__name__} must define combine(inputs).")

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self.check_shape(input_shape)
        batches = {shape[0] for shape in input_shape} - {None}
        try:
            if len(batches) > 1:
                raise ValueError
            rest = functools.reduce(_broadcast, [tuple(shape[1:]) for shape in input_shape])
        except ValueError:
            raise ValueError(
                f"{self._label} takes tensors of shapes that broadcast to one shape. "
                f"Received: inputs of shapes {_shown(input_shape)}"
            ) from None
        return (batches.pop() if batches else None, *rest)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        several = previous_mask if isinstance(previous_mask, list | tuple) else [previous_mask]
        if any(mask is None for mask in several):
            return None
        return functools.reduce(torch.logical_or, several)


class Add(_Elementwise):
    """The sum of tensors. Follows https://keras.io/api/layers/merging_layers/add/

    Args:
        **kwargs: see `Layer`.

    Called on a list of tensors whose shapes broadcast; one with fewer axes than another counts
    for all of that one's axes after the batch. A step that any input's mask has is in the
    outputs' mask, where all inputs have one.

    Raises:
        ValueError: when called, the shapes don't broadcast.
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs)


class Subtract(_Elementwise):
    """The first of two tensors less the second. Follows
    https://keras.io/api/layers/merging_layers/subtract/

    Args, masks, errors: see `Add`.
    """

    _count = 2

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return inputs[0] - inputs[1]


class Average(_Elementwise):
    """The mean of tensors. Follows https://keras.io/api/layers/merging_layers/average/

    Args, masks, errors: see `Add`.
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs) / len(inputs)


class Multiply(_Elementwise):
    """The product of tensors. Follows https://keras.io/api/layers/merging_layers/multiply/

    Args, errors: see `Add`. Steps that a mask leaves out count as 1; the product is 0 where all
    inputs have masks and none has the step.
    """

    def combine(self, inputs: list[Tensor]) -> Tensor:
        known = [_full_mask(one) for one in inputs]
        if all(mask is None for mask in known):
            return functools.reduce(torch.mul, inputs)
        pairs = zip(inputs, known, strict=True)
        product = functools.reduce(
            torch.mul, [x if mask is None else torch.where(mask, x, 1.0) for x, mask in pairs]
        )
        if any(mask is None for mask in known):
            return product
        return torch.where(functools.reduce(torch.logical_or, known), product, 0.0)


class _Extreme(_Elementwise):
    function: ClassVar[Callable[..., Tensor]]

    def combine(self, inputs: list[Tensor]) -> Tensor:
        function = type(self).function
        if all(masks.get(one) is None for one in inputs):
            return functools.reduce(function, inputs)
        output, counted = inputs[0], _full_mask(inputs[0])
        for x in inputs[1:]:
            mask = _full_mask(x)
            x = x if mask is None else torch.where(mask, x, output)
            output = output if counted is None else torch.where(counted, output, x)
            both = counted is not None and mask is not None
            counted = torch.logical_or(counted, mask) if both else None
            output = function(output, x)
        return output


class Maximum(_Extreme):
    """The largest of tensors, element by element. Follows
    https://keras.io/api/layers/merging_layers/maximum/

    Args, errors: see `Add`. Steps that an input's mask leaves out aren't compared.
    """

    function = torch.maximum


class Minimum(_Extreme):
    """The smallest of tensors, element by element. Follows
    https://keras.io/api/layers/merging_layers/minimum/

    Args, masks, errors: see `Maximum`.
    """

    function = torch.minimum


class Concatenate(Merging):
    """Tensors one after the other. Follows
    https://keras.io/api/layers/merging_layers/concatenate/

    Args:
        axis: along which. Default -1.
        **kwargs: see `Layer`.

    Called on a list of tensors of one shape but for that axis.

    Raises:
        ValueError: when called, the shapes differ elsewhere.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"Concatenate: `axis` must be a whole number. Received: axis={axis!r}")
        self.axis = axis

    def merge(self, inputs: list[Tensor]) -> Tensor:
        return torch.cat(inputs, self.axis)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self.check_shape(input_shape)
        rank = len(input_shape[0])
        others = [_without(shape, self.axis) for shape in input_shape]
        if not -rank <= self.axis < rank or not all(_same(others[0], one) for one in others[1:]):
            raise ValueError(
                f"{self._label} takes tensors of one shape but for axis {self.axis}. "
                f"Received: inputs of shapes {_shown(input_shape)}"
            )
        lengths = [shape[self.axis] for shape in input_shape]
        found = list(input_shape[0])
        found[self.axis] = None if None in lengths else sum(lengths)
        return tuple(found)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        several = previous_mask if isinstance(previous_mask, list | tuple) else [previous_mask]
        if all(mask is None for mask in several):
            return None
        full = [
            torch.ones_like(x, dtype=torch.bool) if mask is None else _expanded(mask, x)
            for x, mask in zip(inputs, several, strict=True)
        ]
        return torch.cat(full, self.axis).any(-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Dot(Merging):
    """Products of two tensors, summed along an axis of each. Follows
    https://keras.io/api/layers/merging_layers/dot/

    Args:
        axes: an axis of both, or two: one of the first tensor and one of the second. Not the
            batch, 0.
        normalize: scale both to length 1 along the axis first: the cosine. Default False.
        **kwargs: see `Layer`.

    Called on two tensors: (batch, …) and (batch, …) -> (batch, the first one's other axes, the
    second one's); (batch, 1) where there are none.

    Raises:
        ValueError: `axes` is neither; when called, the lengths of the axes differ.
    """

    _count = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        several = [axes] if isinstance(axes, int) else axes
        if (
            not isinstance(several, list | tuple)
            or len(several) != (1 if isinstance(axes, int) else 2)
            or not all(isinstance(one, int) and one != 0 for one in several)
        ):
            raise ValueError(
                f"Dot: `axes` must be an axis other than 0, or two of them. Received: axes={axes!r}"
            )
        vars(self)["axes"] = axes
        self.normalize = bool(normalize)

    def _places(self, ranks: Sequence[int]) -> list[int]:
        axes = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        return [axis % rank for axis, rank in zip(axes, ranks, strict=True)]

    def merge(self, inputs: list[Tensor]) -> Tensor:
        x, y = inputs
        first, second = self._places([x.dim(), y.dim()])
        if self.normalize:
            least = config.epsilon()
            x, y = F.normalize(x, dim=first, eps=least), F.normalize(y, dim=second, eps=least)
        # Axes by number: the batch is 0, the summed one 1.
        of_x, of_y = [0, *range(2, x.dim())], [0, *range(x.dim(), x.dim() + y.dim() - 2)]
        rest = [*of_x, *of_y[1:]]
        of_x.insert(first, 1)
        of_y.insert(second, 1)
        found = torch.einsum(x, of_x, y, of_y, rest)
        return found.unsqueeze(1) if found.dim() == 1 else found

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self.check_shape(input_shape)
        x, y = input_shape
        fits = len(x) > 1 and len(y) > 1
        axes = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        fits = fits and all(-len(s) < a < len(s) for a, s in zip(axes, (x, y), strict=True))
        first, second = self._places([len(x), len(y)])
        if not fits or 0 in (first, second) or not _same([x[first]], [y[second]]):
            raise ValueError(
                f"{self._label} needs axes of one length, axes={self.axes}. "
                f"Received: inputs of shapes {_shown(input_shape)}"
            )
        rest = (*_without(x, first), *_without(y, second)[1:])
        return rest if len(rest) > 1 else (*rest, 1)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)


def _with_axes(x: Tensor, count: int) -> Tensor:
    if x.dim() == count:
        return x
    return x.reshape(x.shape[0], *[1] * (count - x.dim()), *x.shape[1:])


def _broadcast(first: Shape, second: Shape) -> Shape:
    if len(first) < len(second):
        first, second = second, first
    start = len(first) - len(second)
    pairs = zip(first[start:], second, strict=True)
    return first[:start] + tuple(_wider(m, n) for m, n in pairs)


def _wider(m: int | None, n: int | None) -> int | None:
    if m is None or n is None:
        return None
    if m != n and 1 not in (m, n):
        raise ValueError
    return n if m == 1 else m


def _same(first: Sequence[int | None], second: Sequence[int | None]) -> bool:
    pairs = zip(first, second, strict=False)
    return len(first) == len(second) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _without(shape: Sequence[Any], axis: int) -> tuple[Any, ...]:
    place = axis % len(shape) if shape else 0
    return tuple(n for number, n in enumerate(shape) if number != place)


def _shown(shapes: Any) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


def _expanded(mask: Tensor, x: Tensor) -> Tensor:
    """A mask with axes of 1 behind, as large as x."""
    mask = mask.to(torch.bool)
    return mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim())).expand(x.shape)


def _full_mask(x: Tensor) -> Any:
    mask = masks.get(x)
    return None if mask is None else _expanded(mask, x)
