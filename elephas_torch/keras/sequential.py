"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from elephas_torch.keras import serialization
from elephas_torch.keras.layers import InputLayer
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.declared import checked_shape
from elephas_torch.keras.model import Model


class Sequential(Model):
    """Layers one after the other. Follows https://keras.io/api/models/sequential/

    Args:
        layers: to begin with; more come by `add`.
        name: default "sequential".

    A model whose first layer has `input_shape=` or `input_dim=` (or that begins with `Input`) is
    built at once; another one when it first sees data.

    Example::

        model = Sequential()
        model.add(Dense(128, input_dim=784, activation="relu"))
        model.add(Dense(10, activation="softmax"))
        model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._stack: list[Layer] = []
        self._start: InputLayer | None = None
        if isinstance(layers, nn.Module | type) or not isinstance(layers, Iterable | None):
            raise TypeError(f"Sequential takes a list of layers. Received: layers={layers!r}")
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return list(self._stack)

    @property
    def input_dtype(self) -> torch.dtype:  # type: ignore[override]
        first = self._stack[0].input_dtype if self._stack else torch.float32
        declared = self._start.input_dtype if self._start is not None else torch.float32
        return first if declared == torch.float32 else declared

    def add(self, layer: Layer) -> None:
        """Puts a layer at the end.

        Raises:
            TypeError: it is no layer.
            ValueError: another layer has its name, or its input doesn't fit what comes before.
        """
        if isinstance(layer, nn.Module) and not isinstance(layer, Layer):
            raise TypeError(
                f"add() takes layers of elephas_torch.keras. Received: {type(layer).__name__}, a "
                "torch module: Model.from_torch(module, input_shape=…) makes a model of one."
            )
        if not isinstance(layer, Layer):
            raise TypeError(f"add() takes a layer (an object, no class). Received: {layer!r}")
        if "name" not in layer.__dict__:
            raise TypeError(
                f"{type(layer).__name__}.__init__ must call super().__init__(**kwargs) first."
            )
        if isinstance(layer, InputLayer):
            self._begin(layer)
            return
        key = self._key(layer)
        if key in self._modules:
            raise ValueError(
                f"Two layers have the name {layer.name!r}; give one of them another by name=…, "
                "and add a layer only once."
            )
        shape = self._declared_by(layer) if not self._stack else None
        self._stack.append(layer)
        self.add_module(key, layer)
        if not self._trainable:
            layer.trainable = False
        try:
            if self.built:
                self._output_shape = self._grow(layer, cast(Shape, self._output_shape))
                self._step = None
            elif shape is not None:
                self.build(shape)
        except Exception:
            self._drop_last()
            raise

    def _begin(self, layer: InputLayer) -> None:
        if self._stack or self._start is not None:
            raise ValueError("An input comes first in a Sequential, and only once.")
        self._start = layer

    def _declared_by(self, layer: Layer) -> Shape | None:
        if self._start is not None:
            return self._start.declared_shape
        if isinstance(layer, Model) and layer.built:
            return layer.input_shape
        return layer.declared_shape

    def pop(self) -> Layer:
        """Takes the last layer off and returns it.

        Raises:
            ValueError: there is none.
        """
        if not self._stack:
            raise ValueError("pop(): the model has no layers.")
        layer = self._drop_last()
        self._step = None
        if not self._stack:
            self.built = False
        elif self.built:
            self._output_shape = self._shapes(cast(Shape, self._input_shape))
        return layer

    def _drop_last(self) -> Layer:
        layer = self._stack.pop()
        del self._modules[next(key for key, one in self._modules.items() if one is layer)]
        return layer

    def _key(self, layer: Layer) -> str:
        key = layer.name.replace(".", "_")
        # A layer may be called "loss" or "history", which are attributes of the model.
        return f"{key}_" if key in self.__dict__ or hasattr(type(self), key) else key

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the weights of all layers.

        Args:
            input_shape: with the batch (None) in front.
        """
        if input_shape is None and self._start is not None:
            input_shape = self._start.declared_shape
        if input_shape is None or not self._stack:
            raise ValueError(
                f"Model {self.name!r} can't be built: it has "
                + ("no layers." if not self._stack else "no input shape; pass build((None, …)).")
            )
        shape = (None, *checked_shape(tuple(input_shape)[1:]))
        self._input_shape = shape
        self._output_shape = self._shapes(shape)

    def _shapes(self, shape: Shape) -> Shape:
        for layer in self._stack:
            shape = self._grow(layer, shape)
        return shape

    @staticmethod
    def _grow(layer: Layer, shape: Shape) -> Shape:
        if not layer.built:
            layer.build(shape)
        return layer.compute_output_shape(shape)

    def call(self, inputs: Tensor) -> Tensor:
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for layer in self._stack:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def last_activation(self) -> Any:
        last = self._stack[-1]
        # Only where the code in between is known: a call() of somebody's own may do more.
        if type(self).call is not Sequential.call:
            return None
        if isinstance(last, Model):
            return last.last_activation()
        known = serialization.is_own(type(last)) and hasattr(last, "preactivation")
        return cast(Any, last).activation if known else None

    def preactivation(self, inputs: Tensor) -> Tensor:
        for layer in self._stack[:-1]:
            inputs = layer(inputs)
        return cast(Any, self._stack[-1]).preactivation(inputs)

    def _sublayers(self) -> Iterator[nn.Module]:
        return iter(self._stack)

    def get_config(self) -> dict[str, Any]:
        shape = list(self._input_shape) if self._input_shape else None
        start = self._start
        if start is None and shape is not None:
            start = InputLayer(batch_shape=shape, name="input_layer")
        layers: list[Layer] = [start] if start is not None else []
        return {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [serialization.serialize_keras_object(one) for one in layers + self._stack],
            "build_input_shape": shape,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Sequential:
        """Makes the model that `get_config` described, with new weights.

        Raises:
            ValueError: a layer of it is unknown; the message says how to make it known.
        """
        if not isinstance(config.get("layers"), list):
            raise ValueError("Not the config of a Sequential: it has no list of 'layers'.")
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        for layer in config["layers"]:
            model.add(serialization.deserialize_keras_object(layer, custom_objects))
        shape = config.get("build_input_shape")
        if shape and not model.built and model._stack:
            model.build(tuple(shape))
        return model
