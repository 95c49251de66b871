"""`TorchModel`: any torch module as a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from elephas_torch.errors import ElephasError
from elephas_torch.flat import check_dtypes
from elephas_torch.keras import serialization
from elephas_torch.keras.layers.declared import Shape, checked_shape
from elephas_torch.keras.model import Model


class TorchModel(Model):
    """A model of any torch module: compile and fit it, or give it to a `SparkModel`.

    Args:
        module: takes one tensor (batch, ...) and gives one. It isn't copied: training changes it.
        input_shape: of one row, without the batch.
        input_dtype: what features are converted to: float32, or int64 for indices.
        name: default "torch_model".

    Raises:
        TypeError: it is no torch module, or a class of one.
        ElephasError: the module fails on a batch of zeros of that shape.

    Example::

        net = torch.nn.Sequential(torch.nn.Linear(784, 10))
        model = Model.from_torch(net, input_shape=(784,))
        model.compile(loss=SparseCategoricalCrossentropy(from_logits=True), optimizer="sgd")
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: Sequence[int | None],
        input_dtype: torch.dtype = torch.float32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(module, nn.Module):
            raise TypeError(f"from_torch takes a torch.nn.Module object. Received: {module!r}")
        if input_dtype not in (torch.float32, torch.int64):
            raise ValueError(
                "`input_dtype` must be torch.float32, or torch.int64 for indices. "
                f"Received: input_dtype={input_dtype!r}"
            )
        check_dtypes(module)
        self._wrapped = module
        self._dtype = input_dtype
        self._input_shape = (None, *checked_shape(input_shape))
        self._output_shape = self._probed()
        self.built = True

    @property
    def module(self) -> nn.Module:
        return self._wrapped

    @property
    def input_dtype(self) -> torch.dtype:  # type: ignore[override]
        return self._dtype

    def _probed(self) -> Shape:
        shape = [1 if n is None else n for n in cast(Shape, self._input_shape)]
        before = self._wrapped.training
        try:
            with torch.no_grad():
                output = self._wrapped.eval()(torch.zeros(shape, dtype=self._dtype))
        except Exception as error:
            raise ElephasError(
                f"{type(self._wrapped).__name__} fails on zeros of shape {tuple(shape)} and dtype "
                f"{self._dtype}: {error}. A module that takes indices needs "
                f"input_dtype=torch.int64. Received: input_shape={tuple(shape[1:])}"
            ) from error
        finally:
            self._wrapped.train(before)
        if not isinstance(output, Tensor):
            raise ElephasError(
                f"{type(self._wrapped).__name__} must give one tensor. It gives: "
                f"{type(output).__name__}"
            )
        return (None, *output.shape[1:])

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return self._wrapped(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.output_shape

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "module_class": type(self._wrapped).__name__,
            "input_shape": list(self.input_shape[1:]),
            "input_dtype": str(self._dtype).removeprefix("torch."),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> TorchModel:
        """Makes the model again.

        The module's code isn't in the config: `custom_objects` must have, under the module's
        class name, a function or class that makes one without arguments, or a module.
        """
        name = config["module_class"]
        with serialization.custom_object_scope(custom_objects or {}):
            factory = serialization.find_custom(name)
        if factory is None:
            raise ValueError(
                f"The model wraps a torch module, {name!r}, whose code isn't saved with it. Pass "
                f"custom_objects={{{name!r}: function}}, where function() makes such a module."
            )
        module = factory if isinstance(factory, nn.Module) else factory()
        dtype = getattr(torch, config["input_dtype"])
        return cls(module, config["input_shape"], input_dtype=dtype, name=config["name"])
