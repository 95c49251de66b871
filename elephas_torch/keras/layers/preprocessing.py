"""Layers that prepare numbers: to mean 0 and variance 1, or to another range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras import config, serialization
from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = ["DataLayer", "Normalization", "Rescaling", "batches_of"]


class DataLayer(BuiltIn):
    """A layer that also takes arrays, lists and numbers, as they come from data."""

    def _as_tensors(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs
        values = torch.as_tensor(np.asarray(inputs))
        return values.float() if values.dtype == torch.float64 else values

    def _floats(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.is_floating_point() else inputs.to(self.dtype_policy.compute)


def batches_of(owner: str, data: Any) -> Iterator[Any]:
    """Gives the features of data, a batch at a time.

    Args:
        owner: the layer's name, for errors.
        data: an array or a tensor (one batch); a torch `Dataset`; or an iterable of batches, such
            as a `DataLoader`: arrays, tensors, or tuples whose first entry is one.

    Raises:
        TypeError: `data` is nothing of this.
        ValueError: there is no batch.
    """
    if isinstance(data, Tensor | np.ndarray):
        yield data
        return
    if isinstance(data, torch.utils.data.Dataset) and not isinstance(data, Iterable):
        data = torch.utils.data.DataLoader(data, batch_size=128)
    if not isinstance(data, Iterable) or isinstance(data, str | dict):
        raise TypeError(
            f"{owner}: `adapt` takes an array, a tensor, a Dataset, or batches such as a "
            f"DataLoader gives. Received: data of type {type(data).__name__}"
        )
    empty = True
    for batch in data:
        empty = False
        yield batch[0] if isinstance(batch, list | tuple) else batch
    if empty:
        raise ValueError(f"{owner}: `adapt` received no batches.")


def _writable(batch: Any) -> Tensor:
    """A tensor; of an array that can't be written to, such as pandas gives, of a copy: PyTorch
    warns of those."""
    if isinstance(batch, np.ndarray):
        batch = np.require(batch, requirements="W")
    return torch.as_tensor(batch)


class Normalization(DataLayer):
    """(inputs - mean) / sqrt(variance), with the mean and the variance of data seen by `adapt`.

    Follows https://keras.io/api/layers/preprocessing_layers/numerical/normalization/

    Args:
        axis: the axis, or several, along which each place has a mean of its own: the features.
            None has one mean for all. Default -1.
        mean, variance: in place of `adapt`: numbers, or arrays of the lengths of the axes. Both
            or none.
        invert: compute inputs * sqrt(variance) + mean. Default False.
        **kwargs: see `Layer`.

    Weights: mean, variance (each of the lengths of the axes) and count (which stays 0, as
    Keras's); none where `mean` is given.

    Raises:
        ValueError: `axis` is no axis, or only one of `mean` and `variance` is given, or their
            shapes don't fit.

    Example:

        >>> import torch
        >>> layer = Normalization()
        >>> layer.adapt(torch.tensor([[0.0], [4.0]]))
        >>> layer(torch.tensor([[2.0], [6.0]])).tolist()
        [[0.0], [2.0]]
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = [] if axis is None else axis
        if axes != [] and axes != ():
            axes = arguments.axes("Normalization", "axis", axis)
        self.axis = (axes,) if isinstance(axes, int) else tuple(axes)
        self.invert = bool(invert)
        self.input_mean = _plain(mean)
        self.input_variance = _plain(variance)
        self._check_given()

    def _check_given(self) -> None:
        mean, variance = self.input_mean, self.input_variance
        same = (mean is None) == (variance is None) and np.shape(mean) == np.shape(variance)
        if not same or np.ndim(mean) > len(self.axis):
            raise ValueError(
                "Normalization: `mean` and `variance` must both be given or none, of one shape, "
                f"with at most as many axes as `axis`. Received: mean={mean}, variance={variance}, "
                f"axis={self.axis}"
            )

    def build(self, input_shape: Shape) -> None:
        self.check_shape(input_shape)
        rank = len(input_shape)
        for axis in self.axis:
            arguments.has_axis(self._label, axis, input_shape)
        self._kept = tuple(sorted(axis % rank for axis in self.axis))
        lengths = tuple(self._length(input_shape, axis) for axis in self._kept)
        shape = [1] * rank
        for axis, length in zip(self._kept, lengths, strict=True):
            shape[axis] = length
        self._broadcast = tuple(shape)
        if self.input_mean is None:
            for name, start in (("mean", "zeros"), ("variance", "ones")):
                weight = self.add_weight(lengths, start, trainable=False, name=f"adapt_{name}")
                weight.path = f"{self.name}/{name}"
            self.add_weight((), "zeros", trainable=False, name="count")
        spec = [length if n in self._kept else None for n, length in enumerate(shape)]
        self.input_spec = tuple(spec)

    @property
    def mean(self) -> Tensor | None:
        """The mean, of a shape that broadcasts to the inputs'; None before the layer is built."""
        return self._statistic("mean")

    @property
    def variance(self) -> Tensor | None:
        """The variance, as `mean`."""
        return self._statistic("variance")

    def _statistic(self, name: str) -> Tensor | None:
        if not self.built:
            return None
        given = getattr(self, f"input_{name}")
        if given is None:
            weights: dict[str, Any] = self._buffers
            return weights[f"adapt_{name}"].view(self._broadcast)
        values = torch.tensor(given, dtype=torch.float32)
        if values.dim():
            # Along the last of the axes that there are.
            several = zip(self._kept[len(self._kept) - values.dim() :], values.shape, strict=True)
            shape = [1] * len(self._broadcast)
            for axis, length in several:
                shape[axis] = length
            values = values.view(shape)
        return values.expand(self._broadcast)

    def adapt(self, data: Any) -> None:
        """Takes the mean and the variance of data.

        Args:
            data: an array or a tensor; a torch `Dataset`; or an iterable of batches, such as a
                `DataLoader`: arrays, tensors, or tuples whose first entry is one.

        Raises:
            TypeError: `data` is nothing of this.
            ValueError: there is no data, its shape doesn't fit, or `mean` was given.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self._label} has the `mean` that it was given: nothing to adapt.")
        count, mean, squares = 0, torch.zeros(()), torch.zeros(())
        for batch in batches_of("Normalization", data):
            values = _writable(batch).double()
            self._build_or_check(values)
            others = [n for n in range(values.dim()) if n not in self._kept]
            own, new = math.prod(values.shape[n] for n in others), values
            if others:
                variance, new = torch.var_mean(values, others, correction=0)
                squares = squares + variance * own
            # Chan's way to put two means and sums of squares together.
            change, total = new - mean, count + own
            squares = squares + change**2 * (count * own / max(total, 1))
            mean, count = mean + change * (own / max(total, 1)), total
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / max(count, 1))

    def _build_or_check(self, values: Tensor) -> None:
        shape = (None, *values.shape[1:])
        if self.built:
            self.check_shape(shape)
        else:
            self.build(shape)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = self._floats(inputs)
        mean, variance = (one.to(inputs) for one in (self.mean, self.variance))  # type: ignore[union-attr]
        deviation = variance.sqrt().clamp_min(config.epsilon())
        return inputs * deviation + mean if self.invert else (inputs - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "invert": self.invert,
            "mean": self.input_mean,
            "variance": self.input_variance,
        }


def _plain(values: Any) -> Any:
    """Numbers as JSON has them."""
    if values is None:
        return None
    try:
        return np.asarray(values, dtype="float64").tolist()
    except (TypeError, ValueError):
        raise ValueError(
            f"Normalization: `mean` and `variance` must be numbers. Received: {values!r}"
        ) from None


class Rescaling(DataLayer):
    """inputs * scale + offset.

    Follows https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/

    Args:
        scale: a number, or one a channel: `1 / 255` takes images to 0 to 1.
        offset: a number, or one a channel. Default 0.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `scale` or `offset` are no numbers.
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = _factors("scale", scale)
        self.offset = _factors("offset", offset)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = self._floats(inputs)
        return inputs * self._of(self.scale, inputs) + self._of(self.offset, inputs)

    def _of(self, values: Any, like: Tensor) -> Any:
        if isinstance(values, int | float):
            return values
        factors = torch.as_tensor(np.asarray(values), dtype=like.dtype, device=like.device)
        if factors.dim() and config.image_data_format() == "channels_first":
            return factors.view(*factors.shape, *[1] * (3 - factors.dim()))
        return factors

    def get_config(self) -> dict[str, Any]:
        own = {
            name: serialization.serialize_keras_object(_untracked(getattr(self, name)))
            for name in ("scale", "offset")
        }
        return {**super().get_config(), **own}


def _untracked(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _factors(argument: str, value: Any) -> Any:
    if isinstance(value, dict):
        value = serialization.deserialize_keras_object(value)
    plain = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    try:
        kind = np.asarray(plain, dtype="float64").dtype
    except (TypeError, ValueError):
        kind = None
    if kind is None or plain is None or isinstance(plain, str | bool):
        raise ValueError(
            f"Rescaling: `{argument}` must be a number, or one a channel. "
            f"Received: {argument}={value!r}"
        )
    return plain
