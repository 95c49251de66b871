"""`Model`: what all models share; its training is in `training.py`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from elephas_torch.errors import unknown
from elephas_torch.keras import saving, serialization
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.declared import checked_shape
from elephas_torch.keras.summary import summary
from elephas_torch.keras.training import Trainer
from elephas_torch.optimizers import Optimizer

if TYPE_CHECKING:
    from elephas_torch.keras.torch_model import TorchModel


class Model(Trainer):
    """What all models share: training, weights, files. Make a `Sequential`, or
    `Model.from_torch(module)`.

    A subclass that makes layers in its constructor and uses them in `call` is a model as well.
    """

    keras_module: ClassVar[str] = "keras"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if type(self) is Model or args or {"inputs", "outputs"} & set(kwargs):
            raise TypeError(
                "Model(inputs, outputs), the functional way, isn't there. Use a Sequential, or "
                "Model.from_torch(module, input_shape=…) with a torch module of any form."
            )
        super().__init__(**kwargs)

    def build(self, input_shape: Shape) -> None:
        """Makes the weights, and learns the outputs' shape by calling the model on zeros.

        Args:
            input_shape: with the batch (None) in front.
        """
        self._input_shape = (None, *checked_shape(tuple(input_shape)[1:]))
        self.built = True
        self._output_shape = tuple(self.compute_output_shape(self._input_shape))

    @property
    def module(self) -> nn.Module:
        """The torch module that computes; a model is one itself."""
        return self

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, inputs left out."""
        return [child for child in self.children() if isinstance(child, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its number.

        Raises:
            ValueError: there is none; the message has the names that there are.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(
                f"get_layer takes a name or a number. Received: name={name!r}, index={index!r}"
            )
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"There are {len(layers)} layers. Received: index={index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise unknown("layer", name, [layer.name for layer in layers])

    def summary(self, line_length: int | None = None, print_fn: Any = None) -> None:
        """Prints the layers with their output shapes and numbers of weights.

        Args:
            line_length: characters a line.
            print_fn: called with each line in place of `print`.
        """
        for text in summary(self, line_length):
            (print_fn or print)(text)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture, without weights, as JSON in Keras 3's form.

        Args:
            **kwargs: for `json.dumps`, such as `indent=2`.

        Raises:
            TypeError: a layer's config holds something that JSON can't.
        """
        return serialization.to_json(self.architecture(), **kwargs)

    def architecture(self) -> dict[str, Any]:
        """The config that `to_json` writes; `model_from_json` makes a model of it."""
        config = serialization.serialize_keras_object(self)
        if self._input_shape is not None:
            config["build_config"] = {"input_shape": list(self._input_shape)}
        return config

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
        from elephas_torch.keras.torch_model import TorchModel  # a subclass of this one

        return TorchModel(module, input_shape, input_dtype=input_dtype, name=name)

    def skeleton(self) -> Model:
        """A copy without weights, small to send; `flesh_out` gives it weights again.

        The optimizer's vectors and the history are left out as well, so the optimizer starts anew.
        """
        memo: dict[int, Any] = {
            id(tensor): _ghost(tensor) for tensor in (*self.parameters(), *self.buffers())
        }
        for model in (m for m in self.modules() if isinstance(m, Model)):
            for left_out in (model._step, model.history):
                memo[id(left_out)] = None
            if model.compiled is not None and model.compiled.optimizer.slots:
                memo[id(model.compiled.optimizer)] = _anew(model.compiled.optimizer)
        return copy.deepcopy(self, memo)

    def flesh_out(self, weights: dict[str, Tensor]) -> Model:
        """Gives a skeleton its weights.

        Args:
            weights: all parameters and buffers by their names; see `all_tensors`. They are copied.

        Raises:
            ValueError: they aren't this model's.
        """
        mine = dict(_named_tensors(self))
        if set(mine) != set(weights):
            odd = sorted(set(mine) ^ set(weights))
            raise ValueError(f"flesh_out: `weights` must be the model's own. In one only: {odd}")
        for name, tensor in mine.items():
            # In place, so that whatever else holds the tensor (a tied layer, a list) has it too.
            tensor.data = weights[name].detach().clone()
        return self


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers by name, those left out of state_dict() too."""
    return {name: tensor.detach() for name, tensor in _named_tensors(module)}


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _anew(optimizer: Optimizer) -> Optimizer:
    fresh = copy.copy(optimizer)
    fresh.reset()
    return copy.deepcopy(fresh)


def _ghost(tensor: Tensor) -> Tensor:
    empty = tensor.detach().new_empty(0)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
