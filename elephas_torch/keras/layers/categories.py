"""Layers that turn numbers into categories, and categories into ones and zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras.layers import arguments
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.preprocessing import DataLayer, batches_of
from elephas_torch.keras.symbolic import KerasTensor

__all__ = ["CategoryEncoding", "Discretization"]


class CategoryEncoding(DataLayer):
    """Turns whole numbers into ones and zeros.

    Follows https://keras.io/api/layers/preprocessing_layers/categorical/category_encoding/

    Args:
        num_tokens: how many there are: 0 to `num_tokens - 1`.
        output_mode: "multi_hot" (default: 1 for each number that a sample has), "one_hot" (a
            vector for each number) or "count" (how often a sample has each).
        **kwargs: see `Layer`.

    Call arguments:
        inputs: whole numbers, (batch,) or (batch, count); (count,) is one sample unless "one_hot".
        count_weights: for "count" alone: what each number counts, of the inputs' shape.

    Raises:
        ValueError: an argument is none of these, or (when called) a number is too large.
    """

    input_dtype = torch.int64
    fixed_unwritten: ClassVar = {"sparse": False}

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = arguments.positive_integer("CategoryEncoding", "num_tokens", num_tokens)
        mode = "multi_hot" if output_mode == "binary" else output_mode
        self.output_mode = arguments.choice("output_mode", mode, ("count", "one_hot", "multi_hot"))

    def call(self, inputs: Tensor, count_weights: Any = None) -> Tensor:
        if count_weights is not None:
            if self.output_mode != "count":
                raise ValueError(
                    f"{self._label}: `count_weights` are for output_mode='count' alone. "
                    f"Received: output_mode={self.output_mode!r}"
                )
            count_weights = torch.as_tensor(count_weights, device=inputs.device)
        if inputs.numel() and int(inputs.max()) >= self.num_tokens:
            raise ValueError(
                f"{self._label} takes numbers below num_tokens={self.num_tokens}. "
                f"Received: numbers up to {int(inputs.max())}"
            )
        return _encoded(
            inputs, self.output_mode, self.num_tokens, self.dtype_policy.compute, count_weights
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return _encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "output_mode": self.output_mode,
        }


def _encoded(
    numbers: Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Tensor | None = None
) -> Tensor:
    numbers = numbers.long()
    numbers = numbers[None] if numbers.dim() == 0 else numbers
    if mode == "one_hot" and numbers.dim() > 1 and numbers.shape[-1] == 1:
        numbers = numbers.squeeze(-1)
    hot = F.one_hot(numbers.clamp_min(0), depth).to(dtype)
    hot = hot * (numbers >= 0)[..., None]
    if mode == "one_hot":
        return hot
    axis = min(numbers.dim() - 1, 1)
    if mode == "multi_hot":
        return hot.amax(axis)
    return (hot if weights is None else hot * weights[..., None]).sum(axis)


def _encoded_shape(shape: Shape, mode: str, depth: int) -> Shape:
    if mode == "one_hot":
        single = len(shape) > 1 and shape[-1] == 1
        return (*(shape[:-1] if single else shape), depth)
    return (shape[0], *shape[2:], depth) if len(shape) > 1 else (depth,)


_MODES = ("int", "one_hot", "multi_hot", "count")


class Discretization(DataLayer):
    """Turns numbers into the number of the bin that they lie in.

    Follows https://keras.io/api/layers/preprocessing_layers/numerical/discretization/

    Args:
        bin_boundaries: in rising order: `[0.0, 1.0]` makes three bins, below 0, from 0 to below
            1, and from 1.
        num_bins: in place of them: how many bins `adapt` finds, each with as many of the data.
        epsilon: how exact `adapt` is: the share of the data that may lie in another bin.
            Default 0.01.
        output_mode: "int" (default: the number), or "one_hot", "multi_hot", "count": see
            `CategoryEncoding`.
        **kwargs: see `Layer`.

    Raises:
        ValueError: neither or both of `bin_boundaries` and `num_bins`, or an argument is none of
            these.
    """

    fixed: ClassVar = {"sparse": False}

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(
                "Discretization takes either `bin_boundaries` or `num_bins`. Received: "
                f"bin_boundaries={bin_boundaries}, num_bins={num_bins}"
            )
        if num_bins is not None:
            arguments.positive_integer("Discretization", "num_bins", num_bins)
        self.num_bins = num_bins
        self.epsilon = arguments.positive("Discretization", "epsilon", epsilon)
        self.output_mode = arguments.choice("output_mode", output_mode, _MODES)
        self.bin_boundaries = None if bin_boundaries is None else _rising(bin_boundaries)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Finds boundaries between which there are as many of the data.

        Args:
            data: an array or a tensor; a torch `Dataset`; or an iterable of batches, such as a
                `DataLoader`: arrays, tensors, or tuples whose first entry is one.
            steps: how many batches to look at. Default None, all.

        Raises:
            TypeError: `data` is nothing of this.
            ValueError: there is no data, or `bin_boundaries` were given.
        """
        if self.num_bins is None:
            raise ValueError(f"{self._label} has the `bin_boundaries` that it was given.")
        summary = np.zeros((2, 0), "float32")
        for number, batch in enumerate(batches_of("Discretization", data)):
            if steps is not None and number >= steps:
                break
            found = _summary(np.asarray(batch, "float32").ravel(), self.epsilon)
            both = np.concatenate([found, summary], axis=1)
            summary = _shorter(both[:, both[0].argsort()], self.epsilon)
        self.bin_boundaries = _shorter(summary, 1 / self.num_bins)[0, :-1].tolist()

    def call(self, inputs: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise ValueError(
                f"{self._label} has no boundaries yet: call adapt(data) first, or give it "
                "`bin_boundaries`."
            )
        inputs = self._floats(inputs).contiguous()
        boundaries = inputs.new_tensor(list(self.bin_boundaries))
        bins = torch.bucketize(inputs, boundaries, out_int32=True, right=True)
        if self.output_mode == "int":
            return bins
        return _encoded(bins, self.output_mode, self._depth(), self.dtype_policy.compute)

    def _depth(self) -> int:
        if self.bin_boundaries is None:
            assert self.num_bins is not None
            return self.num_bins
        return len(self.bin_boundaries) + 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.output_mode == "int":
            return tuple(input_shape)
        return _encoded_shape(input_shape, self.output_mode, self._depth())

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return KerasTensor(self.compute_output_shape(args[0].shape), dtype)

    def load_own_variables(self, store: Any) -> None:
        """Nothing is in a file; older Keras put a summary of the data there."""

    def get_config(self) -> dict[str, Any]:
        # Keras writes no more of these.
        boundaries = self.bin_boundaries
        return {
            "bin_boundaries": None if boundaries is None else list(boundaries),
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": False,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Discretization:
        """Makes the layer again; one that was adapted has both its arguments in the config."""
        settings = dict(config)
        boundaries = settings.pop("bin_boundaries", None)
        if settings.get("num_bins") is None:
            return cls(boundaries, **settings)
        layer = cls(**settings)
        layer.bin_boundaries = None if boundaries is None else _rising(boundaries)
        return layer


def _rising(boundaries: Any) -> list[float]:
    try:
        found = [float(one) for one in boundaries]
    except (TypeError, ValueError):
        found = [0.0, -1.0]
    if found != sorted(found):
        raise ValueError(
            "Discretization: `bin_boundaries` must be numbers in rising order. "
            f"Received: bin_boundaries={boundaries!r}"
        )
    return found


def _summary(values: Any, epsilon: float) -> Any:
    """Some of the values, evenly spread in their order, and how many each stands for."""
    values = np.sort(values)
    step = max(values.size * epsilon, 1)
    some = values[int(step - 1) :: int(step)]
    return np.stack([some, np.full_like(some, step)])


def _shorter(summary: Any, epsilon: float) -> Any:
    """At most 1 / epsilon of the values, so that about as much lies between any two."""
    values, weights = summary
    if len(values) * epsilon < 1:
        return summary
    sums = weights.cumsum()
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    found = np.interp(shares, sums / sums[-1], values)
    return np.stack([found, np.diff(np.interp(shares, sums / sums[-1], sums), prepend=0)]).astype(
        "float32"
    )
