"""A dense layer along any axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from elephas_torch.keras import activations, initializers
from elephas_torch.keras.initializers import VarianceScaling
from elephas_torch.keras.layers.base import Shape
from elephas_torch.keras.layers.builtin import Activated

__all__ = ["EinsumDense"]


class EinsumDense(Activated):
    """activation(einsum(equation, inputs, kernel) + bias).

    Follows https://keras.io/api/layers/core_layers/einsum_dense/

    Args:
        equation: such as "ab,bc->ac" (a Dense), "...x,xy->...y", or "abc,cde->abde": of inputs,
            kernel and outputs; the first axis is the batch.
        output_shape: of one sample: lengths, None where an axis is as long as the inputs', none
            for those that `...` stands for.
        activation: name or function. Default None, none.
        bias_axes: the letters of the outputs' axes that have a bias. Default None, no bias.
        kernel_initializer: Default "glorot_uniform".
        bias_initializer: Default "zeros".
        **kwargs: `kernel_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `bias_constraint`, all None by default; see `Layer`.

    Weights: kernel, and bias where there are `bias_axes`.

    Raises:
        ValueError: the equation, the shapes and the axes don't fit each other.
    """

    regularized: ClassVar = ("kernel", "bias")
    writes_activity_regularizer: ClassVar = True
    fixed: ClassVar = {"quantization_config": None}
    fixed_unwritten: ClassVar = {
        "lora_rank": None, "lora_alpha": None, "gptq_unpacked_column_size": None,
    }  # fmt: skip

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: str | Callable[..., Tensor] | None = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self._terms = _parsed(equation)
        lengths = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.partial_output_shape = lengths
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        kernel, bias = self._weight_shapes(input_shape)
        start = self.kernel_initializer
        if isinstance(start, VarianceScaling) and None in (start.input_axes, start.output_axes):
            start = _with_axes(start, self._terms)
        self.add_weight(kernel, start, name="kernel")
        if bias is not None:
            self.add_weight(bias, self.bias_initializer, name="bias")

    def _weight_shapes(self, shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        inputs, outputs = self._by_letter(shape)
        kernel = []
        for letter in self._terms.kernel:
            length = outputs.get(letter, inputs.get(letter))
            if length is None:
                raise ValueError(
                    f"{self._label} must know the length of axis {letter!r} to make its kernel. "
                    f"Received: equation={self.equation!r} for inputs of shape {tuple(shape)}"
                )
            kernel.append(length)
        return tuple(kernel), self._bias_shape(outputs, len(shape))

    def _bias_shape(self, outputs: dict[str, Any], rank: int) -> tuple[int, ...] | None:
        if self.bias_axes is None:
            return None
        letters = self._terms.outputs
        for letter in self.bias_axes:
            if letter not in letters or outputs[letter] is None:
                raise ValueError(
                    f"{self._label}: a bias needs an axis of the outputs {letters!r}, of known "
                    f"length. Received: bias_axes={self.bias_axes!r}"
                )
        first = min(letters.index(letter) for letter in self.bias_axes)
        shape = tuple(outputs[n] if n in self.bias_axes else 1 for n in letters[first:])
        after = rank - len(self._terms.inputs) if self._terms.dots == "after" else 0
        return shape + (1,) * after

    def _by_letter(self, shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
        """The lengths of the inputs' axes and of the outputs', by their letters."""
        self.check_shape(shape)
        given, told = self._terms.named(shape), self._full_output(shape)
        if given is None or len(told) != len(self._terms.outputs):
            raise ValueError(
                f"{self._label}: inputs, `equation` and `output_shape` have other numbers of axes. "
                f"Received: equation={self.equation!r}, output_shape={self.partial_output_shape} "
                f"for inputs of shape {tuple(shape)}"
            )
        inputs = dict(zip(self._terms.inputs, given, strict=True))
        outputs = dict(zip(self._terms.outputs, told, strict=True))
        for letter in inputs.keys() & outputs.keys():
            if outputs[letter] is not None and outputs[letter] != inputs[letter]:
                raise ValueError(
                    f"{self._label}: axis {letter!r} of the inputs is {inputs[letter]} long, and "
                    f"{outputs[letter]} by `output_shape`. Received: inputs of shape {tuple(shape)}"
                )
        return inputs, outputs

    def _full_output(self, shape: Shape) -> Shape:
        """The lengths of the outputs' axes that have letters."""
        batch = () if self._terms.dots == "before" and self._covered(shape) else (shape[0],)
        return (*batch, *self.partial_output_shape)

    def _covered(self, shape: Shape) -> bool:
        """Whether `...` stands for the batch too."""
        return len(shape) > len(self._terms.inputs)

    def preactivation(self, inputs: Tensor) -> Tensor:
        weights: dict[str, Any] = self._parameters
        outputs = torch.einsum(self.equation, inputs, weights["kernel"])
        return outputs if self.bias_axes is None else outputs + weights["bias"]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _, outputs = self._by_letter(input_shape)
        return self._terms.around(input_shape, tuple(outputs.values()))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


class _Terms(NamedTuple):
    """An equation: the letters of inputs, kernel and outputs, and where `...` is: "before",
    "after" or "" (nowhere)."""

    inputs: str
    kernel: str
    outputs: str
    dots: str

    def named(self, shape: Shape) -> Shape | None:
        """The lengths of the inputs' axes that have letters; None where it can't be."""
        extra = len(shape) - len(self.inputs)
        if extra < 0 or (extra and not self.dots):
            return None
        return shape[extra:] if self.dots == "before" else shape[: len(self.inputs)]

    def around(self, shape: Shape, outputs: Shape) -> Shape:
        """The outputs' shape, with the axes that `...` stands for."""
        extra = len(shape) - len(self.inputs)
        if self.dots == "before":
            return (*shape[:extra], *outputs)
        return (*outputs, *shape[len(shape) - extra :])


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _parsed(equation: Any) -> _Terms:
    found = _EQUATION.fullmatch(equation) if isinstance(equation, str) else None
    if found:
        before, inputs, after, kernel, *rest = found.groups()
        outputs = rest[1]
        known = all(letter in inputs + kernel for letter in outputs)
        used = all(letter in inputs + outputs for letter in kernel)
        if (before, after) == (rest[0], rest[2]) and not (before and after) and known and used:
            return _Terms(inputs, kernel, outputs, "before" if before else "after" if after else "")
    raise ValueError(
        "EinsumDense: `equation` must be of the form 'ab,bc->ac', '...b,bc->...c' or "
        "'ab...,bc->ac...', each letter of the kernel also of the inputs or outputs. "
        f"Received: equation={equation!r}"
    )


def _with_axes(initializer: Any, terms: _Terms) -> Any:
    """The initializer, told which axes of the kernel are inputs and which are outputs."""
    numbered = list(enumerate(terms.kernel))
    outputs = [number for number, letter in numbered if letter in terms.outputs]
    inputs = [number for number, letter in numbered if letter not in terms.outputs]
    config = {**initializer.get_config(), "input_axes": inputs, "output_axes": outputs}
    return type(initializer).from_config(config)
