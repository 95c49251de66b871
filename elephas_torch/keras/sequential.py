"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, cast

import torch
from torch import nn

from elephas_torch.keras import masks, naming, serialization, trees
from elephas_torch.keras.graph import with_mask_of, with_place
from elephas_torch.keras.layers import probing
from elephas_torch.keras.layers.base import Layer, Shape, specs_of
from elephas_torch.keras.layers.basic import InputLayer
from elephas_torch.keras.layers.declared import checked_shapes, is_tree
from elephas_torch.keras.layers.signature import shape_of
from elephas_torch.keras.layers.torch_module import TorchModuleWrapper
from elephas_torch.keras.model import Model
from elephas_torch.keras.symbolic import KerasTensor


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

    one_input: ClassVar[bool] = True

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        vars(self).update(_stack=[], _start=None, _implied=None)
        if isinstance(layers, nn.Module | type) or not isinstance(layers, Iterable | None):
            raise TypeError(f"Sequential takes a list of layers. Received: layers={layers!r}")
        for layer in layers or []:
            self.add(layer)

    _stack: list[Layer]
    #: The input that was put first, and the one made where none was.
    _start: InputLayer | None
    _implied: InputLayer | None

    @property
    def layers(self) -> list[Layer]:
        if self.built and self._tensors is None:
            self._symbolic()
        return list(self._stack)

    @property
    def input_dtype(self) -> torch.dtype:  # type: ignore[override]
        first = self._stack[0].input_dtype if self._stack else torch.float32
        declared = self._start.input_dtype if self._start is not None else torch.float32
        return first if declared == torch.float32 else declared

    def add(self, layer: Any) -> None:
        """Puts a layer at the end; a torch module becomes one (see `TorchModuleWrapper`).

        Raises:
            TypeError: it is no layer.
            ValueError: another layer has its name, or its input doesn't fit what comes before.
        """
        if isinstance(layer, KerasTensor) and layer.node.is_input:
            layer = layer.node.layer
        if isinstance(layer, nn.Module) and not isinstance(layer, Layer):
            layer = TorchModuleWrapper(layer)
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
                self._grow(layer)
                self._step = None
            elif shape is not None:
                self.build(shape)
        except Exception as error:
            index = len(self._stack) - 1
            self._drop_last()
            raise with_place(error, index, layer) from error.__cause__

    def _begin(self, layer: InputLayer) -> None:
        if self._stack or self._start is not None:
            raise ValueError("An input comes first in a Sequential, and only once.")
        vars(self)["_start"] = layer

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
            self._tensors = vars(self)["_implied"] = None
        elif self.built:
            self._trace()
        return layer

    def _drop_last(self) -> Layer:
        layer = self._stack.pop()
        del self._modules[next(key for key, one in self._modules.items() if one is layer)]
        return layer

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
        self._input_shape = checked_shapes(input_shape)
        self._trace()

    def _trace(self) -> None:
        """Calls the layers on a symbolic tensor, which builds them."""
        first = self._first_tensor()
        self._tensors = (first, first)
        self._input_shape = shape_of(first)
        for index, layer in enumerate(self._stack):
            try:
                self._grow(layer)
            except Exception as error:
                raise with_place(error, index, layer) from error.__cause__

    def _first_tensor(self) -> Any:
        shape = checked_shapes(self._input_shape)
        if self._start is not None and self._start.declared_shape == shape:
            return self._start.start()
        if is_tree(shape):
            return specs_of(shape)
        first = self._stack[0] if self._stack else None
        if isinstance(first, Model) and first._graph is not None:
            return KerasTensor(shape, first._graph.input_layers[0].dtype)
        vars(self)["_implied"] = InputLayer(batch_shape=shape)
        return cast(InputLayer, self._implied).start()

    def _grow(self, layer: Layer) -> None:
        start, end = cast("tuple[Any, Any]", self._tensors)
        outputs = layer(end)
        self._tensors = start, outputs
        self._output_shape = shape_of(outputs)

    def _symbolic(self) -> tuple[Any, Any]:
        self._needs_build()
        if self._tensors is None:
            self._trace()
        return cast("tuple[Any, Any]", self._tensors)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            for one, its in zip(trees.leaves(inputs), trees.leaves(mask), strict=True):
                if masks.get(one) is None:
                    masks.put(one, its)
        layer: Any = None
        try:
            for layer in self._stack:
                inputs = layer(inputs)
        except Exception as error:
            raise with_place(error, self._stack.index(layer), layer) from error.__cause__
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return shape_of(self.compute_output_spec(specs_of(input_shape)))

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        for index, layer in enumerate(self._stack):
            try:
                if not layer.built:
                    layer._build_for((inputs,), {})
                inputs = probing.spec(layer, (inputs,), {})
            except Exception as error:
                raise with_place(error, index, layer) from error.__cause__
        return inputs

    def last_activation(self) -> Any:
        # Only where the code in between is known: a call() of somebody's own may do more.
        if type(self).call is not Sequential.call or not self._stack:
            return None
        return self._stack[-1].last_activation()

    def last_activations(self) -> list[Any]:
        return [self.last_activation()]

    def preactivation(self, inputs: Any) -> Any:
        for layer in self._stack[:-1]:
            inputs = layer(inputs)
        return with_mask_of(inputs, self._stack[-1])

    def preactivations(self, inputs: Any, which: Iterable[int]) -> Any:
        return self.preactivation(inputs) if list(which) else self(inputs)

    @property
    def input_names(self) -> list[str]:
        start = self._start or self._implied
        return [start.name if start is not None else f"{self.name}_input"]

    @property
    def output_names(self) -> list[str]:
        return [self._stack[-1].name] if self._stack else ["output"]

    def _sublayers(self) -> Iterator[nn.Module]:
        return iter(self._stack)

    def get_config(self) -> dict[str, Any]:
        shape = list(self._input_shape) if self._input_shape else None
        start = self._start or self._implied
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
        with naming.from_configs():
            model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        for layer in config["layers"]:
            if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
                raise ValueError(f"A layer's config has no 'class_name'. Received: {layer!r}")
            model.add(serialization.deserialize_keras_object(layer, custom_objects))
        shape = config.get("build_input_shape")
        if shape and not model.built and model._stack:
            model.build(tuple(shape))
        return model
