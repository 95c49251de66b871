"""Layers that put zeros around their inputs, or cut their borders off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.shapes import shown
from elephas_torch.keras.layers.spatial import Spatial

Border = tuple[int, int]
#: One number for all sides; for each axis one for both sides, or one for each.
Borders = int | Sequence[int | Sequence[int]]


class _Bordered(Spatial):
    """A layer that makes its inputs longer or shorter at their ends."""

    def __init__(self, argument: str, value: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_format(data_format)
        self._borders = _borders(type(self).__name__, argument, value, self.axes)

    def _setting(self) -> Any:
        """The borders as Keras writes them: of one axis without the outer tuple."""
        return self._borders[0] if self.axes == 1 else self._borders


class _ZeroPadding(_Bordered):
    def __init__(self, padding: Borders = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__("padding", padding, data_format, **kwargs)
        self.padding = self._setting()
        pairs = [*self._borders, *[(0, 0)] * (2 - self._first)]
        self._pads = tuple(n for pair in reversed(pairs) for n in pair)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_rank(inputs)
        return F.pad(inputs, self._pads)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        shape = list(input_shape)
        for axis, border in enumerate(self._borders, self._first):
            length = shape[axis]
            shape[axis] = None if length is None else length + sum(border)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        config = {"padding": self.padding, "data_format": self.data_format}
        return {**super().get_config(), **config}


class _Cropping(_Bordered):
    def __init__(
        self, cropping: Borders = 1, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__("cropping", cropping, data_format, **kwargs)
        self.cropping = self._setting()

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_rank(inputs)
        outputs = inputs
        for axis, (before, after) in enumerate(self._borders, self._first):
            length = inputs.shape[axis] - before - after
            if length <= 0:
                raise self._too_short(tuple(inputs.shape))
            outputs = outputs.narrow(axis, before, length)
        return outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_shape(input_shape)
        shape = list(input_shape)
        for axis, border in enumerate(self._borders, self._first):
            length = shape[axis]
            if length is not None and length <= sum(border):
                raise self._too_short(input_shape)
            shape[axis] = None if length is None else length - sum(border)
        return tuple(shape)

    def _too_short(self, shape: Shape) -> ValueError:
        return ValueError(
            f"{self._label}: cropping={self.cropping} leaves nothing of the inputs. "
            f"Received: inputs of shape {shown(shape)}"
        )

    def get_config(self) -> dict[str, Any]:
        config = {"cropping": self.cropping, "data_format": self.data_format}
        return {**super().get_config(), **config}


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after each sequence.

    Follows https://keras.io/api/layers/reshaping_layers/zero_padding1d/

    Args:
        padding: how many, one number for both ends or two. Default 1.
        data_format: "channels_last" (default): (batch, steps, channels), or "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: a number that isn't whole or is below 0.
    """

    axes = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images.

    Follows https://keras.io/api/layers/reshaping_layers/zero_padding2d/

    Args:
        padding: how many: one number for all sides, or for height and width each one number or
            two: ((top, bottom), (left, right)). Default 1.
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: a number that isn't whole or is below 0.

    Example:

        >>> import torch
        >>> ZeroPadding2D(((1, 0), 2))(torch.ones(2, 5, 5, 3)).shape
        torch.Size([2, 6, 9, 3])
    """

    axes = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes.

    Follows https://keras.io/api/layers/reshaping_layers/zero_padding3d/

    Args: those of `ZeroPadding2D`, for three axes.
    """

    axes = 3


class Cropping1D(_Cropping):
    """Cuts steps off the ends of each sequence.

    Follows https://keras.io/api/layers/reshaping_layers/cropping1d/

    Args:
        cropping: how many, one number for both ends or two. Default (1, 1).
        **kwargs: see `Layer`.

    Raises:
        ValueError: a number that isn't whole or is below 0; inputs of which nothing is left.
    """

    axes = 1

    def __init__(self, cropping: Borders = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class Cropping2D(_Cropping):
    """Cuts the borders off images.

    Follows https://keras.io/api/layers/reshaping_layers/cropping2d/

    Args:
        cropping: how many rows and columns: one number for all sides, or for height and width
            each one number or two: ((top, bottom), (left, right)). Default 0.
        data_format: "channels_last" (default): (batch, height, width, channels), or
            "channels_first".
        **kwargs: see `Layer`.

    Raises:
        ValueError: a number that isn't whole or is below 0; inputs of which nothing is left.
    """

    axes = 2

    def __init__(
        self, cropping: Borders = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Cuts the borders off volumes.

    Follows https://keras.io/api/layers/reshaping_layers/cropping3d/

    Args: those of `Cropping2D`, for three axes. Default of `cropping` 1.
    """

    axes = 3


def _borders(owner: str, argument: str, value: Any, axes: int) -> tuple[Border, ...]:
    entries = (value,) * axes if isinstance(value, int) or axes == 1 else value
    pairs = [_pair(entry) for entry in entries] if isinstance(entries, tuple | list) else []
    found = [pair for pair in pairs if pair is not None]
    if len(found) != axes or len(pairs) != axes:
        two = "two of them" if axes == 1 else f"{axes} of them, each one or two numbers"
        raise ValueError(
            f"{owner}: `{argument}` must be a whole number from 0, or {two}. "
            f"Received: {argument}={value!r}"
        )
    return tuple(found)


def _pair(value: Any) -> Border | None:
    """(before, after) of a number for both or of two; None where it is neither."""
    both = (value, value) if isinstance(value, int) else value
    if not isinstance(both, tuple | list) or len(both) != 2:
        return None
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in both):
        return None
    return both[0], both[1]
