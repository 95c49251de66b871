"""`Sequential`, models made of any torch module, and what all models share."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from elephas_torch.errors import ElephasError
from elephas_torch.keras import saving, serialization
from elephas_torch.keras.layers import InputLayer
from elephas_torch.keras.layers.base import Layer, Shape, _checked_shape
from elephas_torch.keras.saving import load_model, model_from_json
from elephas_torch.keras.step import Step
from elephas_torch.keras.summary import summary
from elephas_torch.keras.training import Compiled, Trainer

__all__ = ["Input", "Model", "Sequential", "TorchModel", "load_model", "model_from_json"]


def Input(shape: Sequence[int | None] | None = None, **kwargs: Any) -> InputLayer:
    """The start of a `Sequential`: says what shape a row has.

    Args:
        shape: of one row, without the batch.
        **kwargs: `batch_shape`, `batch_size`, `dtype`, `name`: see `InputLayer`.

    Example::

        Sequential([Input((784,)), Dense(10, activation="softmax")])
    """
    return InputLayer(shape=shape, **kwargs)


class Model(Trainer, Layer):
    """What all models share: training, weights, files. Make a `Sequential`, or
    `Model.from_torch(module)`."""

    keras_module: ClassVar[str] = "keras"

    def __init__(self, *, name: str | None = None, trainable: bool = True, **kwargs: Any) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self.compiled: Compiled | None = None
        self.stop_training = False
        self.history: Any = None
        self._step: Step | None = None
        self._input_shape: Shape | None = None
        self._output_shape: Shape | None = None

    @property
    def module(self) -> nn.Module:
        """The torch module that computes; a model is one itself."""
        return self

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, inputs left out."""
        return []

    @property
    def input_shape(self) -> Shape:
        """Shape of the inputs, batch (None) first."""
        self._needs_build()
        return cast(Shape, self._input_shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of the outputs, batch (None) first."""
        self._needs_build()
        return cast(Shape, self._output_shape)

    def _needs_build(self) -> None:
        if not self.built:
            raise ValueError(
                f"Model {self.name!r} has no weights yet, because it doesn't know its input shape. "
                "Give its first layer input_shape=…, or call build((None, …)), or fit it on data."
            )

    def last_activation(self) -> Any:
        """The activation function that the model ends with, or None if that isn't known."""
        return None

    def preactivation(self, inputs: Tensor) -> Tensor:
        """The outputs before `last_activation()`: logits."""
        return cast(Tensor, self(inputs))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its number.

        Raises:
            ValueError: there is none; the message has the names that there are.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"There are {len(layers)} layers. Received: index={index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in layers)
        raise ValueError(f"No layer has the name {name!r}. There are: {names}.")

    def summary(self, line_length: int | None = None, print_fn: Any = None) -> None:
        """Prints the layers with their output shapes and numbers of weights.

        Args:
            line_length: characters a line.
            print_fn: called with each line in place of `print`.
        """
        for text in summary(self, line_length):
            (print_fn or print)(text)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture, without weights, as JSON in Keras 3's form."""
        return json.dumps(serialization.serialize_keras_object(self), **kwargs)

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Saves architecture, weights, and how it is compiled, with the optimizer's state.

        Args:
            filepath: a file; ".keras" is the usual ending.
            overwrite: False raises FileExistsError where the file is there.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Saves the weights alone, as safetensors."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Takes the weights of a file that `save_weights` or `save` wrote."""
        saving.load_weights(self, filepath)

    @staticmethod
    def from_torch(
        module: nn.Module,
        input_shape: Sequence[int | None],
        input_dtype: torch.dtype = torch.float32,
        name: str | None = None,
    ) -> TorchModel:
        """A model of any torch module; see `TorchModel`."""
        return TorchModel(module, input_shape, input_dtype=input_dtype, name=name)

    def skeleton(self) -> Model:
        """A copy without weights (they are on torch's meta device), small to send.

        `flesh_out` gives it weights again.
        """
        memo: dict[int, Any] = {}
        for tensor in [*self.parameters(), *self.buffers()]:
            ghost = torch.empty_like(tensor, device="meta")
            if isinstance(tensor, nn.Parameter):
                ghost = nn.Parameter(ghost, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = ghost
        for model in (m for m in self.modules() if isinstance(m, Model)):
            for left_out in (model._step, model.history):
                memo[id(left_out)] = None
            if model.compiled is not None:
                memo[id(model.compiled.optimizer.slots)] = {}
        return copy.deepcopy(self, memo)

    def flesh_out(self, weights: dict[str, Tensor]) -> Model:
        """Gives a skeleton its weights.

        Args:
            weights: all parameters and buffers by their names; see `all_tensors`.
        """
        self.to_empty(device="cpu")
        with torch.no_grad():
            for name, tensor in all_tensors(self).items():
                tensor.copy_(weights[name])
        return self


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers by name, those left out of state_dict() too."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


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
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Layer] = []
        self._start: InputLayer | None = None
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return list(self._stack)

    @property
    def input_dtype(self) -> torch.dtype:  # type: ignore[override]
        return self._stack[0].input_dtype if self._stack else torch.float32

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
        if isinstance(layer, InputLayer):
            self._begin(layer)
            return
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(
                f"Two layers have the name {layer.name!r}; give one of them another by name=…, "
                "and add a layer only once."
            )
        shape = self._declared_by(layer) if not self._stack else None
        self._stack.append(layer)
        self.add_module(layer.name.replace(".", "_"), layer)
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
        del self._modules[layer.name.replace(".", "_")]
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
        shape = (None, *_checked_shape(tuple(input_shape)[1:]))
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
        if isinstance(last, Model):
            return last.last_activation()
        return last.activation if hasattr(last, "preactivation") else None

    def preactivation(self, inputs: Tensor) -> Tensor:
        for layer in self._stack[:-1]:
            inputs = layer(inputs)
        return cast(Any, self._stack[-1]).preactivation(inputs)

    def _sublayers(self) -> Iterator[nn.Module]:
        return iter(self._stack)

    def get_config(self) -> dict[str, Any]:
        shape = list(self._input_shape) if self._input_shape else None
        start = self._start or (InputLayer(batch_shape=shape, name="input_layer") if shape else None)
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
        self._wrapped = module
        self._dtype = input_dtype
        self._input_shape = (None, *_checked_shape(input_shape))
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
                f"{type(self._wrapped).__name__} fails on zeros of shape {tuple(shape)}: {error}. "
                "Received: input_shape=" + str(tuple(shape[1:]))
            ) from error
        finally:
            self._wrapped.train(before)
        if not isinstance(output, Tensor):
            raise ElephasError(
                f"{type(self._wrapped).__name__} must give one tensor. It gives: "
                f"{type(output).__name__}"
            )
        return (None, *output.shape[1:])

    def call(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self._wrapped(inputs))

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
