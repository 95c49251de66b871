"""`Functional`: what `Model(inputs, outputs)` gives, and its config in Keras 3's form."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any

from elephas_torch.keras import serialization, trees
from elephas_torch.keras.graph import Call, Graph, Slot
from elephas_torch.keras.layers.augmentation import Augmentation
from elephas_torch.keras.layers.basic import InputLayer
from elephas_torch.keras.layers.operation import (
    Operation,
    operation_arguments,
    operation_config,
    operation_of,
)
from elephas_torch.keras.model import Model

__all__ = ["Functional", "Model"]


class Functional(Model):
    """A model of layers called on the tensors of `Input`; make it with `Model(inputs, outputs)`."""

    keras_module = "keras.src.models.functional"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._graph is None:
            raise TypeError(
                "Model() needs inputs and outputs: Model(inputs, outputs). Or subclass it, with "
                "layers made in the constructor and used in call()."
            )


def takes_graph(cls: Any) -> bool:
    """Whether a class of models is made with `(inputs, outputs)`, as `Model` itself is."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    if {"inputs", "outputs"} <= {one.name for one in parameters}:
        return True
    kinds = {one.kind for one in parameters}
    return {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds


def is_graph_config(config: dict[str, Any]) -> bool:
    """Whether it is a config that `graph_config` gives."""
    return {"layers", "input_layers", "output_layers"} <= set(config)


def from_graph_config(cls: Any, config: dict[str, Any]) -> Any:
    """Makes a model of class `cls` from what `graph_config` gave."""
    made = cls if cls is not Functional else Model
    inputs, outputs = _revived(config)
    model = made(inputs, outputs, name=config.get("name"))
    if config.get("trainable") is False:
        model.trainable = False
    return model


def graph_config(model: Any) -> dict[str, Any]:
    """Returns a functional model's config: its layers, with the calls of each."""
    graph: Graph = model._graph
    writer = _Writer(graph)
    nodes: dict[int, list[Any]] = defaultdict(list)
    for call in graph.calls:
        nodes[id(call.layer)].append(writer.node(call))
    layers = [
        {**writer.layer(one), "name": one.name, "inbound_nodes": nodes[id(one)]}
        for one in graph.layers
    ]
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _unlisted(writer.histories(graph.inputs)),
        "output_layers": _unlisted(writer.histories(graph.outputs)),
    }


def _unlisted(histories: Any) -> Any:
    return list(histories) if isinstance(histories, tuple) else histories


class _Writer:
    """Writes the tensors of a graph as Keras does: by where they come from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.specs = graph.tensors()
        self.where = graph.histories()

    def histories(self, tree: Any) -> Any:
        return trees.map_leaves(self._end, tree)

    def _end(self, slot: Slot) -> list[Any]:
        name, number, position = self.where[slot.number]
        layer = next(one for one in self.graph.layers if one.name == name)
        return [name, number + _first(layer), position]

    def layer(self, layer: Any) -> dict[str, Any]:
        if isinstance(layer, Operation):
            call = next(one for one in self.graph.calls if one.layer is layer)
            return operation_config(layer, call.args, call.kwargs)
        return dict(serialization.serialize_keras_object(layer))

    def node(self, call: Call) -> dict[str, Any]:
        args, kwargs = call.args, call.kwargs
        if isinstance(call.layer, Operation):
            args, kwargs = operation_arguments(call.layer, args, kwargs)
        return {
            "args": [self.argument(one) for one in args],
            "kwargs": {name: self.argument(one) for name, one in kwargs.items()},
        }

    def argument(self, value: Any) -> Any:
        if isinstance(value, Slot):
            spec = self.specs[value.number]
            config = {
                "shape": list(spec.shape),
                "dtype": spec.dtype,
                "keras_history": self.where[value.number],
            }
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list | tuple):
            return [self.argument(one) for one in value]
        if isinstance(value, dict):
            return {name: self.argument(one) for name, one in value.items()}
        if isinstance(value, slice):
            parts = {n: self.argument(getattr(value, n)) for n in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": parts}
        if value is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        return value


def _revived(config: dict[str, Any]) -> tuple[Any, Any]:
    """Makes the layers of a config and calls them as it says; returns inputs and outputs."""
    layers: dict[str, Any] = {}
    waiting: list[tuple[Any, Any]] = []
    for one in config["layers"]:
        name = one.get("name") or one["config"]["name"]
        layers[name] = _revived_layer(one)
        waiting += [(layers[name], node) for node in one.get("inbound_nodes") or []]
    reader = _Reader(layers)
    while waiting:
        # Layers lie by their distance from the outputs, so a shared one may come too early.
        later = []
        blocked: set[int] = set()
        for layer, node in waiting:
            if id(layer) in blocked or not reader.call(layer, node):
                blocked.add(id(layer))
                later.append((layer, node))
        if len(later) == len(waiting):
            names = ", ".join(repr(layer.name) for layer, _ in later)
            raise ValueError(f"The model's config has calls whose tensors nobody makes: {names}")
        waiting = later
    return reader.tree(config["input_layers"]), reader.tree(config["output_layers"])


def _revived_layer(config: dict[str, Any]) -> Any:
    if str(config.get("module", "")).startswith("keras.src.ops"):
        return operation_of(config)
    return serialization.deserialize_keras_object(config)


class _Reader:
    """Finds the tensors that a config names, and makes its calls."""

    def __init__(self, layers: dict[str, Any]) -> None:
        self.layers = layers

    def call(self, layer: Any, node: Any) -> bool:
        """Makes a call; False where a tensor of it isn't there yet."""
        try:
            args, kwargs = self.argument(node["args"]), self.argument(node["kwargs"])
        except _NotYet:
            return False
        if isinstance(layer, Operation):
            args = [tuple(one) if _is_index(one) else one for one in args]
            layer(*args, **{**layer.constants, **kwargs})
        else:
            layer(*args, **_said(layer, kwargs))
        return True

    def tensor(self, history: Any) -> Any:
        name, number, position = history[:3]
        if name not in self.layers:
            raise ValueError(f"The model's config names a layer that it hasn't: {name!r}")
        layer = self.layers[name]
        if isinstance(layer, InputLayer):
            return layer.start()
        nodes = layer._inbound_nodes
        if number >= len(nodes):
            raise _NotYet
        return nodes[number].output_tensors[position]

    def argument(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.argument(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("class_name")
        if kind == "__keras_tensor__":
            return self.tensor(value["config"]["keras_history"])
        if kind == "__slice__":
            parts = value["config"]
            return slice(*(self.argument(parts[n]) for n in ("start", "stop", "step")))
        if kind == "__ellipsis__":
            return Ellipsis
        if kind == "__tuple__":
            return tuple(self.argument(value["config"]["value"]))
        return {name: self.argument(one) for name, one in value.items()}

    def tree(self, histories: Any) -> Any:
        if isinstance(histories, dict):
            return {name: self.tree(one) for name, one in histories.items()}
        if histories and isinstance(histories[0], str):
            name, number, position = histories[:3]
            return self.tensor([name, number - _first(self.layers.get(name)), position])
        return [self.tree(one) for one in histories]


def _first(layer: Any) -> int:
    """The number of a layer's first call among a model's inputs and outputs: there, though not in
    calls, Keras counts the making of a nested functional model as well."""
    return int(getattr(layer, "_graph", None) is not None)


def _said(layer: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments without what Keras writes though nobody said it: `mask=None`, and
    `training=True` of layers that augment data."""
    given = {name: one for name, one in kwargs.items() if one is not None}
    if isinstance(layer, Augmentation) and given.get("training") is True:
        del given["training"]
    return given


def _is_index(value: Any) -> bool:
    """Whether it is the tuple of an indexing, which JSON made a list."""
    parts = slice, type(Ellipsis)
    return isinstance(value, list) and any(isinstance(one, parts) for one in value)


class _NotYet(Exception):
    """A tensor that a later call makes."""
