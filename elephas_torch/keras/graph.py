"""`Graph`: the computation between symbolic inputs and outputs, as plain data.

Its calls are in an order in which they can be computed, and name their tensors by number. So a
graph can be copied and sent without the chain of nodes it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from elephas_torch.keras import masks, trees
from elephas_torch.keras.layers import probing
from elephas_torch.keras.symbolic import KerasTensor


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for a tensor of the graph: the one with this number."""

    number: int


@dataclass(slots=True)
class Call:
    """A layer's call: with which tensors, and which tensors it gives.

    Attributes:
        args, kwargs: trees with a `Slot` for each tensor.
        outputs: a tree of slots.
        source, target: numbers, where the call is of one tensor and gives one; else -1.
    """

    layer: Any
    args: Any
    kwargs: Any
    outputs: Any
    source: int = -1
    target: int = -1

    def __post_init__(self) -> None:
        alone = len(self.args) == 1 and isinstance(self.args[0], Slot) and not self.kwargs
        if alone and isinstance(self.outputs, Slot):
            self.source, self.target = self.args[0].number, self.outputs.number


@dataclass
class Graph:
    """What a functional model computes.

    Attributes:
        calls: in an order in which they can be computed; without those of the inputs.
        inputs, outputs: trees of slots.
        input_layers: a layer for each input, in order.
        layers: all layers, each once, in Keras's order: by their distance from the outputs.
        size: the number of tensors.
    """

    calls: list[Call]
    inputs: Any
    outputs: Any
    input_layers: list[Any]
    layers: list[Any]
    size: int
    # Slots of inputs and outputs in order.
    sources: list[int] = field(init=False)
    targets: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.sources = [slot.number for slot in trees.leaves(self.inputs)]
        self.targets = [slot.number for slot in trees.leaves(self.outputs)]

    def run(self, inputs: Sequence[Any], raw: Iterable[int] = ()) -> Any:
        """Computes the outputs.

        Args:
            inputs: a tensor for each input, in order.
            raw: the numbers of outputs to give before their layer's activation.

        Returns:
            A tree of tensors of the form of `outputs`.
        """
        values: list[Any] = [None] * self.size
        for slot, tensor in zip(self.sources, inputs, strict=True):
            values[slot] = tensor
        before = {self.targets[number] for number in raw}
        for call in self.calls:
            if call.source < 0:
                self._run_one(call, values)
                continue
            inputs = values[call.source]
            try:
                if call.target in before:
                    values[call.target] = with_mask_of(inputs, call.layer)
                else:
                    values[call.target] = call.layer(inputs)
            except Exception as error:
                raise self.located(error, call) from error.__cause__
        return trees.map_leaves(lambda slot: values[slot.number], self.outputs)

    def _run_one(self, call: Call, values: list[Any]) -> None:
        args, kwargs = _filled(call, values)
        try:
            found = call.layer(*args, **kwargs)
        except Exception as error:
            raise self.located(error, call) from error.__cause__
        for slot, tensor in zip(trees.leaves(call.outputs), trees.leaves(found), strict=True):
            values[slot.number] = tensor

    def located(self, error: Exception, call: Call) -> Exception:
        """Returns the error with the place of the layer in its message."""
        return with_place(error, self.layers.index(call.layer), call.layer)

    def record(self) -> tuple[Any, Any]:
        """Calls all layers on symbolic tensors; returns the trees of inputs and outputs."""
        return self._ends([layer.start() for layer in self.input_layers], _itself)

    def cloned(
        self, clone: Callable[[Any], Any], inputs: Sequence[KerasTensor] | None = None
    ) -> tuple[Any, Any]:
        """The same calls of other layers; returns the trees of inputs and outputs.

        Args:
            clone: layer -> the one to call in its place; asked once a layer.
            inputs: to start from. Default, new ones.
        """
        starts = inputs or [
            type(one).from_config(one.get_config()).start() for one in self.input_layers
        ]
        called = {id(call.layer): call.layer for call in self.calls}
        made = {key: clone(layer) for key, layer in called.items()}
        return self._ends(starts, lambda layer: made[id(layer)])

    def _ends(
        self, starts: Sequence[KerasTensor], layer: Callable[[Any], Callable[..., Any]]
    ) -> tuple[Any, Any]:
        tensors = self.tensors(starts, layer)
        return trees.map_leaves(lambda slot: tensors[slot.number], (self.inputs, self.outputs))

    def specs(self, inputs: Sequence[KerasTensor] | None = None) -> Any:
        """The tree of symbolic outputs for other symbolic inputs, without noting any call."""
        tensors = self.tensors(inputs)
        return trees.map_leaves(lambda slot: tensors[slot.number], self.outputs)

    def tensors(
        self,
        inputs: Sequence[KerasTensor] | None = None,
        step: Callable[[Any], Callable[..., Any]] | None = None,
    ) -> list[KerasTensor]:
        """A symbolic tensor for each number.

        Args:
            inputs: to start from. Default, those that the input layers declare.
            step: layer -> what to call. Default, what gives its outputs without noting the call.
        """
        step = step or _unnoted
        found: list[Any] = [None] * self.size
        starts = inputs or [KerasTensor(one.batch_shape, one.dtype) for one in self.input_layers]
        for slot, tensor in zip(self.sources, starts, strict=True):
            found[slot] = tensor
        for call in self.calls:
            args, kwargs = _filled(call, found)
            try:
                made = trees.leaves(step(call.layer)(*args, **kwargs))
            except Exception as error:
                raise self.located(error, call) from error.__cause__
            for slot, tensor in zip(trees.leaves(call.outputs), made, strict=True):
                found[slot.number] = tensor
        return found

    def output_names(self) -> list[str]:
        """Names of the outputs: the keys of a dict, else of the layers that give them; of a
        layer that gives several, all but the first with a number."""
        if isinstance(self.outputs, dict):
            return sorted(self.outputs, key=str)
        own: list[str] = []
        for number in self.targets:
            call = self.producer(number)
            layer = call.layer if call else self.input_layers[self.sources.index(number)]
            own.append(layer.name)
        names: list[str] = []
        for name in own:
            free, again = name, 0
            while free in names or (again and free in own):
                again += 1
                free = f"{name}_{again}"
            names.append(free)
        return names

    def histories(self) -> dict[int, list[Any]]:
        """Number of a tensor -> the name of its layer, which of its calls, which output."""
        found = {
            slot: [layer.name, 0, 0]
            for slot, layer in zip(self.sources, self.input_layers, strict=True)
        }
        counts: dict[int, int] = {}
        for call in self.calls:
            number = counts.get(id(call.layer), 0)
            for position, slot in enumerate(trees.leaves(call.outputs)):
                found[slot.number] = [call.layer.name, number, position]
            counts[id(call.layer)] = number + 1
        return found

    def taken(self, call: Call) -> list[Slot]:
        """The tensors that a call takes."""
        return _slots((call.args, call.kwargs))

    def producer(self, number: int) -> Call | None:
        """The call that gives a tensor; None for an input."""
        for call in self.calls:
            if any(slot.number == number for slot in trees.leaves(call.outputs)):
                return call
        return None

    def consumers(self, number: int) -> list[Call]:
        """The calls that take a tensor."""
        return [call for call in self.calls if Slot(number) in _slots((call.args, call.kwargs))]

    def input_dtypes(self) -> list[torch.dtype]:
        """What each input is to be converted to."""
        return [
            _input_dtype(layer.input_dtype, self.consumers(slot))
            for layer, slot in zip(self.input_layers, self.sources, strict=True)
        ]


def _filled(call: Call, tensors: Sequence[Any]) -> Any:
    """A call's arguments with the tensors in the places of their slots."""
    return trees.map_leaves(
        lambda one: tensors[one.number] if isinstance(one, Slot) else one, (call.args, call.kwargs)
    )


def _itself(layer: Any) -> Any:
    return layer


def _unnoted(layer: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: probing.spec(layer, args, kwargs)


def with_mask_of(inputs: Any, layer: Any) -> Any:
    """Returns what a layer's activation is applied to, with the mask that its outputs have."""
    mask = masks.get(inputs)
    if inputs.dtype in (torch.bfloat16, torch.float16):
        inputs = inputs.float()  # of layers before it: one that is mixed itself isn't asked
    outputs = layer.preactivation(inputs)
    if mask is not None and layer.supports_masking and masks.get(outputs) is None:
        masks.put(outputs, mask)
    return outputs


def with_place(error: Exception, index: int, layer: Any) -> Exception:
    """Adds to an error's message which layer of a model it came from; returns it."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        text = error.args[0]
        place = f"layer {index} of the model, {layer.name!r} ({type(layer).__name__})"
        if place not in text:
            error.args = (f"{text}\n  In {place}.",)
    return error


def _slots(tree: Any) -> list[Slot]:
    return [one for one in trees.leaves(tree) if isinstance(one, Slot)]


def _input_dtype(declared: torch.dtype, consumers: list[Call]) -> torch.dtype:
    wanted = {call.layer.input_dtype for call in consumers}
    # An Embedding's indices, though nobody said so: floats hold them exactly only up to 2 ** 24.
    if declared == torch.float32 and wanted == {torch.int64}:
        return torch.int64
    return declared


def last_activation(graph: Graph, number: int) -> Any:
    """The activation function that an output ends with; None where it isn't known, or where
    something else takes the output too.

    Args:
        number: of the output.
    """
    slot = graph.targets[number]
    call = graph.producer(slot)
    if call is None or call.source < 0 or graph.consumers(slot) or graph.targets.count(slot) > 1:
        return None
    return call.layer.last_activation()


def flat_inputs(graph: Graph, given: Any) -> list[Any]:
    """Returns a tensor for each input of the graph, in order.

    Args:
        given: one tensor, a list in the order of the inputs, a dict by the inputs' names, or a
            tree of the form that the model was made with.

    Raises:
        ValueError: another number of tensors, or a name that is missing.
    """
    names = [layer.name for layer in graph.input_layers]
    if isinstance(given, dict):
        keys = sorted(graph.inputs, key=str) if isinstance(graph.inputs, dict) else names
        missing = [key for key in keys if key not in given]
        if missing and all(name in given for name in names):
            keys, missing = names, []
        if missing:
            raise ValueError(
                f"The model's inputs are {', '.join(map(repr, keys))}. Missing: "
                f"{', '.join(map(repr, missing))}. Received: {', '.join(map(repr, given))}"
            )
        return trees.leaves([given[key] for key in keys])
    flat = trees.leaves(given)
    if len(flat) != len(names):
        raise ValueError(
            f"The model takes {len(names)} inputs ({', '.join(names)}). "
            f"Received: {len(flat)} tensors"
        )
    return flat
