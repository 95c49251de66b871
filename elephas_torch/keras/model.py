"""`Model`: what all models share; its training is in `training.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

import torch
from torch import Tensor, nn

from elephas_torch.errors import unknown
from elephas_torch.keras import (
    exporting,
    legacy,
    masks,
    naming,
    saving,
    serialization,
    skeletons,
    trees,
)
from elephas_torch.keras.graph import Graph, flat_inputs, last_activation
from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.layers.declared import checked_shapes, flat_shapes, is_tree
from elephas_torch.keras.layers.operation import Operation
from elephas_torch.keras.summary import summary
from elephas_torch.keras.symbolic import KerasTensor
from elephas_torch.keras.tracing import traced
from elephas_torch.keras.training import Trainer

if TYPE_CHECKING:
    from elephas_torch.keras.torch_model import TorchModel


class Model(Trainer):
    """What all models share: training, weights, files. Follows
    https://keras.io/api/models/model/

    There are four ways to make one: `Model(inputs, outputs)` from layers called on the tensors of
    `Input`; a `Sequential`; a subclass that makes layers in its constructor and uses them in
    `call`; and `Model.from_torch(module, input_shape)` of any torch module.

    Args:
        inputs: the tensor of an `Input`, or a list or dict of them.
        outputs: what layers made of them, in the same forms.
        name: default "functional".
        trainable: whether training changes the weights. Default True.

    Raises:
        ValueError: an output can't be computed from the inputs; two layers have one name.

    Example::

        inputs = Input((784,))
        hidden = Dense(128, activation="relu")(inputs)
        model = Model(inputs, Dense(10, activation="softmax")(hidden))
    """

    keras_module: ClassVar[str] = "keras"
    _casts: ClassVar[bool] = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model:
            from elephas_torch.keras.functional import Functional  # a subclass of this one

            return Functional.__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        traced_graph, tensors = self._traced(args, kwargs)
        super().__init__(**kwargs)
        vars(self).update(_graph=traced_graph, _tensors=tensors)
        if traced_graph is not None:
            self._take_graph(traced_graph)

    _graph: Graph | None
    _tensors: tuple[Any, Any] | None

    @staticmethod
    def _traced(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Graph | None, tuple[Any, Any] | None]:
        """Takes inputs and outputs out of the arguments; returns the graph between them too."""
        given = dict(zip(("inputs", "outputs", "name"), args, strict=False))
        if "name" in given:
            kwargs["name"] = given["name"]
        inputs = kwargs.pop("inputs", given.get("inputs"))
        outputs = kwargs.pop("outputs", given.get("outputs"))
        if len(args) > 3 or (inputs is None) != (outputs is None):
            raise TypeError(
                "Model takes `inputs` and `outputs`, both, or none of them in a subclass with a "
                f"call(). Received: inputs={inputs!r}, outputs={outputs!r}"
            )
        return (None, None) if inputs is None else (traced(inputs, outputs), (inputs, outputs))

    def _take_graph(self, graph: Graph) -> None:
        for layer in graph.layers:
            self.add_module(self._key(layer), layer)
            if not self._trainable:
                layer.trainable = False
        shapes = trees.map_leaves(lambda one: one.shape, graph.specs())
        by_slot = dict(zip(graph.sources, graph.input_layers, strict=True))
        inputs = trees.map_leaves(lambda slot: by_slot[slot.number].batch_shape, graph.inputs)
        self._input_shape = _of_one(inputs)
        self._output_shape = shapes
        self.built = True

    def _key(self, layer: Layer) -> str:
        key = layer.name.replace(".", "_")
        # A layer may be called "loss" or "history", which are attributes of the model.
        return f"{key}_" if key in self.__dict__ or hasattr(type(self), key) else key

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Computes the outputs. Override it in a subclass; take `training=None` to know the
        mode, and `mask=None` to have the inputs' masks."""
        if self._graph is None:
            raise TypeError(
                f"{type(self).__name__} has no computation: define call(self, inputs), or make "
                "it with Model(inputs, outputs)."
            )
        flat = flat_inputs(self._graph, inputs)
        if mask is not None:
            for tensor, one in zip(flat, trees.leaves(mask), strict=True):
                masks.put(tensor, one)
        return self._graph.run(flat)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._graph is None or type(self).call is not Model.call:
            return super().compute_output_spec(*args, **kwargs)
        return self._graph.specs(flat_inputs(self._graph, args[0]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._graph is None or type(self).call is not Model.call:
            return super().compute_output_shape(input_shape)
        flat = flat_shapes(input_shape)
        found = self._graph.specs([KerasTensor(shape) for shape in flat])
        return trees.map_leaves(lambda one: one.shape, found)

    def _hand_on_masks(self, inputs: Any, outputs: Any, previous: Any) -> None:
        """Nothing: the layers within have done it."""

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, of a functional model or a built `Sequential`."""
        return trees.leaves(self._symbolic()[0])

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return trees.leaves(self._symbolic()[1])

    @property
    def input(self) -> Any:
        return self._symbolic()[0]

    @property
    def output(self) -> Any:
        return self._symbolic()[1]

    def _symbolic(self) -> tuple[Any, Any]:
        """The trees of symbolic inputs and outputs; recorded anew in a copied model."""
        if self._graph is None:
            raise AttributeError(
                f"Model {self.name!r} has no symbolic inputs and outputs: it is a subclass with a "
                "call() of its own."
            )
        if self._tensors is None:
            vars(self)["_tensors"] = self._graph.record()
        return cast("tuple[Any, Any]", self._tensors)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in order."""
        if self._graph is not None:
            return [layer.name for layer in self._graph.input_layers]
        return list(self._input_shape) if isinstance(self._input_shape, dict) else []

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order: of the layers that give them, or the keys of a dict."""
        if self._graph is not None:
            return self._graph.output_names()
        shape = self._output_shape
        if isinstance(shape, dict):
            return list(shape)
        several = isinstance(shape, list) or (
            isinstance(shape, tuple) and any(isinstance(one, tuple | list) for one in shape)
        )
        return [f"output_{n + 1}" for n in range(len(shape))] if shape and several else ["output"]

    @property
    def input_dtypes(self) -> list[torch.dtype]:
        """What each input is converted to, in the order of `input_names`."""
        if self._graph is not None:
            return self._graph.input_dtypes()
        return [self.input_dtype for _ in flat_shapes(self._input_shape or (None,))]

    @property
    def input_dtype(self) -> torch.dtype:  # type: ignore[override]
        return self._graph.input_dtypes()[0] if self._graph is not None else torch.float32

    def last_activations(self) -> list[Any]:
        """The activation function that each output ends with, None where that isn't known."""
        if self._graph is None or type(self).call is not Model.call:
            return [None for _ in self.output_names]
        return [last_activation(self._graph, number) for number in range(len(self._graph.targets))]

    def preactivations(self, inputs: Any, which: Iterable[int]) -> Any:
        """The outputs, those with the numbers in `which` before their activation."""
        if self._graph is None:
            return self(inputs)
        return self._graph.run(flat_inputs(self._graph, inputs), which)

    def last_activation(self) -> Any:
        found = self.last_activations()
        return found[0] if len(found) == 1 else None

    def preactivation(self, inputs: Any) -> Any:
        return self.preactivations(inputs, [0])

    def _sublayers(self) -> Iterable[nn.Module]:
        return self.children() if self._graph is None else iter(self._graph.layers)

    def build(self, input_shape: Any) -> None:
        """Makes the weights, and learns the outputs' shape by calling the model on zeros.

        Args:
            input_shape: with the batch (None) in front; a list or dict of such for several
                inputs.
        """
        if self._graph is not None:
            return
        self._input_shape = checked_shapes(input_shape)
        self.built = True
        self._output_shape = self.compute_output_shape(self._input_shape)

    @property
    def module(self) -> nn.Module:
        """The torch module that computes; a model is one itself."""
        return self

    @property
    def layers(self) -> list[Layer]:
        """The layers in order; those of a functional model with its inputs."""
        if self._graph is not None:
            self._symbolic()
            return [one for one in self._graph.layers if not isinstance(one, Operation)]
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

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints the layers with their output shapes and numbers of weights.

        Args:
            line_length: characters a line. Default, what the terminal has.
            positions: of the columns, as Keras has it; taken and not looked at.
            print_fn: called with each line in place of `print`.
            expand_nested: show the layers of models in the model too. Default False.
            show_trainable: a column that says whether training changes the layer's weights.
                Default False.
            layer_range: the names of the first and the last layer to show. Default, all.

        Raises:
            ValueError: `layer_range` isn't the names of two layers.
        """
        lines = summary(self, line_length, expand_nested, show_trainable, layer_range)
        for text in lines:
            (print_fn or print)(text)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; of a subclass made with `(inputs, outputs)` its layers and
        their calls, as in Keras."""
        from elephas_torch.keras import functional  # it has a subclass of this one

        if self._graph is not None and functional.takes_graph(type(self)):
            return functional.graph_config(self)
        overridden = type(self).get_config is not Model.get_config
        return {**super().get_config(), **({} if overridden else self._init_arguments)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Makes the model that `get_config` described, with new weights.

        Args:
            config: what `get_config` gave, here or in Keras.
            custom_objects: name -> class or function, for layers of your own.

        Raises:
            ValueError: a layer of it is unknown, or a tensor comes from nowhere.
        """
        from elephas_torch.keras import functional  # it has a subclass of this one

        with serialization.custom_object_scope(custom_objects or {}), naming.from_configs():
            if functional.is_graph_config(config) and functional.takes_graph(cls):
                return functional.from_graph_config(cls, config)
            return super().from_config(config)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture, without weights, as JSON in Keras 3's form.

        Args:
            **kwargs: for `json.dumps`, such as `indent=2`.

        Raises:
            TypeError: a layer's config holds something that JSON can't.
        """
        return serialization.to_json(saving.lean(self.architecture()), **kwargs)

    def to_yaml(self, **kwargs: Any) -> NoReturn:
        """Raises a RuntimeError that names `to_json`, as late Keras 2 did: YAML isn't written."""
        legacy.gone("to_yaml")

    def architecture(self) -> dict[str, Any]:
        """The config that `to_json` writes; `model_from_json` makes a model of it."""
        config = serialization.serialize_keras_object(self)
        if self._input_shape is not None:
            config["build_config"] = {"input_shape": self._input_shape}
        return config

    def save(
        self, filepath: Any, overwrite: bool = True, *, include_optimizer: bool = True
    ) -> None:
        """Saves architecture, weights, and how it is compiled, with the optimizer's state. Real
        Keras opens the file.

        Args:
            filepath: ends in ".keras"; or in ".h5" or ".hdf5", which gives Keras's older form.
            overwrite: False raises FileExistsError where the file is there.
            include_optimizer: False leaves out how the model is compiled.

        Raises:
            ValueError: another ending.
        """
        saving.save_model(self, filepath, overwrite, include_optimizer=include_optimizer)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Saves the weights alone.

        Args:
            filepath: ".weights.h5" gives Keras 3's form, ".h5" the one of Keras 1 and 2; every
                other ending is safetensors, but for ".keras", which is refused.
            overwrite: False raises FileExistsError where the file is there.
        """
        saving.save_weights(self, filepath, overwrite)

    def load_weights(
        self, filepath: Any, skip_mismatch: bool = False, *, by_name: bool = False
    ) -> None:
        """Takes the weights of a file that `save_weights` or `save` wrote, here or in Keras.

        Args:
            filepath: the content tells what form it has.
            skip_mismatch: layers that don't fit keep their weights, with a warning. For HDF5.
            by_name: match layers by name, not by order. For ".h5" files of Keras 1 and 2.

        Raises:
            ModelFileError: the file isn't one, or doesn't fit; no weight is changed then.
        """
        saving.load_weights(self, filepath, skip_mismatch, by_name)

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

    def to_torch(self) -> nn.Module:
        """A plain torch module that computes what `predict` does, and needs nothing of this
        package: for serving, `torch.save`, `torch.compile` or training elsewhere.

        It is made by `torch.export` from the model in eval mode, so dropout is off and moving
        statistics stay as they are; it computes in float32, also where the model is of mixed
        precision. Its weights are copies and can be trained. Several inputs are
        given one by one, in the order of their names.

        Returns:
            A module that takes float32 (or int64) tensors (batch, …) of any batch size.

        Raises:
            ValueError: the model isn't built.
            ElephasError: torch.export can't follow a layer's code.
        """
        return exporting.to_torch(self)

    def export(self, filepath: Any, format: str = "torch", verbose: Any = None) -> None:
        """Writes what the model computes to a file that `torch.export.load` reads.

        Args:
            filepath: ".pt2" is the usual ending.
            format: "torch", the only one.
            verbose: taken and not looked at.
        """
        exporting.export(self, filepath, format)

    def skeleton(self) -> Model:
        """A copy without weights, small to send; `flesh_out` gives it weights again.

        The optimizer's vectors and the history are left out as well, so the optimizer starts anew.
        """
        return skeletons.skeleton(self)

    def flesh_out(self, weights: dict[str, Tensor]) -> Model:
        """Gives a skeleton its weights.

        Args:
            weights: all parameters and buffers by their names; see `all_tensors`. They are copied.

        Raises:
            ValueError: they aren't this model's.
        """
        skeletons.flesh_out(self, weights)
        return self


def _of_one(shapes: Any) -> Any:
    """The one shape of a list of one."""
    alone = isinstance(shapes, list | tuple) and len(shapes) == 1 and is_tree(shapes)
    return shapes[0] if alone else shapes
