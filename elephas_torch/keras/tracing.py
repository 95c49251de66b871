"""How a `Graph` is read from symbolic tensors: from the outputs back to the inputs."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras import trees
from elephas_torch.keras.graph import Call, Graph, Slot
from elephas_torch.keras.symbolic import KerasTensor, Node


def traced(inputs: Any, outputs: Any) -> Graph:
    """Returns the graph between symbolic tensors.

    Args:
        inputs, outputs: trees of KerasTensors.

    Raises:
        ValueError: an output can't be computed from the inputs; two layers have one name.
    """
    if isinstance(outputs, list | tuple) and len(outputs) == 1:
        outputs = outputs[0]  # a list of one output gives that one, as in Keras
    starts, ends = trees.leaves(inputs), trees.leaves(outputs)
    _check(starts, "inputs")
    _check(ends, "outputs")
    input_layers = [_input_layer(tensor) for tensor in starts]
    start_layers = {id(one): layer for one, layer in zip(starts, input_layers, strict=True)}
    nodes, met = _walked(starts, ends, start_layers)
    numbers = {id(tensor): number for number, tensor in enumerate(starts)}
    for node in nodes:
        for tensor in node.output_tensors:
            numbers.setdefault(id(tensor), len(numbers))

    def slot(one: Any) -> Any:
        return Slot(numbers[id(one)]) if isinstance(one, KerasTensor) else one

    calls = [
        Call(node.layer, *trees.map_leaves(slot, (node.args, node.kwargs, node.outputs)))
        for node in nodes
    ]
    layers = _ordered_layers(nodes, met, start_layers)
    _check_names(layers)
    return Graph(
        calls,
        trees.map_leaves(slot, inputs),
        trees.map_leaves(slot, outputs),
        input_layers,
        layers,
        len(numbers),
    )


def _check(tensors: list[Any], argument: str) -> None:
    for tensor in tensors:
        if not isinstance(tensor, KerasTensor):
            hint = " Call the layer: layer(x)." if hasattr(tensor, "get_config") else ""
            raise ValueError(
                f"Model: `{argument}` must be tensors of Input, or what layers made of them.{hint} "
                f"Received: {type(tensor).__name__}"
            )
    if not tensors:
        raise ValueError(f"Model: `{argument}` is empty.")
    if argument == "inputs" and len({id(one) for one in tensors}) < len(tensors):
        raise ValueError("Model: the same tensor is twice in `inputs`.")


def _input_layer(tensor: KerasTensor) -> Any:
    if tensor.node.is_input:
        return tensor.node.layer
    # A tensor in the midst of another model may be an input too, as in Keras.
    from elephas_torch.keras.layers.basic import InputLayer

    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype)


def _walked(
    starts: list[KerasTensor], ends: list[KerasTensor], start_layers: dict[int, Any]
) -> tuple[list[Node], dict[int, int]]:
    """Walks from the outputs back, depth first.

    Returns:
        The calls, each after those that it depends on; and when each layer was first met.
    """
    nodes: list[Node] = []
    met: dict[int, int] = {}
    begun: set[int] = set()
    waiting: list[tuple[Any, Any, bool]] = [(tensor, None, False) for tensor in reversed(ends)]
    while waiting:
        tensor, consumer, over = waiting.pop()
        if id(tensor) in start_layers:
            met.setdefault(id(start_layers[id(tensor)]), len(met))
            continue
        node = tensor.node
        if over:
            nodes.append(node)
            continue
        if id(node) in begun:
            continue
        if node.is_input:
            _raise_disconnected(tensor, consumer)
        begun.add(id(node))
        met.setdefault(id(node.layer), len(met))
        waiting.append((tensor, consumer, True))
        waiting += [(parent, node.layer, False) for parent in reversed(node.parents)]
    return nodes, met


def _raise_disconnected(tensor: KerasTensor, consumer: Any) -> None:
    where = f"layer {consumer.name!r} needs" if consumer is not None else "an output is"
    raise ValueError(
        f"Model: the outputs can't be computed from `inputs`: {where} the tensor of the input "
        f"{tensor.node.layer.name!r}, which isn't among them."
    )


def _ordered_layers(
    nodes: list[Node], met: dict[int, int], start_layers: dict[int, Any]
) -> list[Any]:
    """Layers by their distance from the outputs, the farthest first; those of one distance in
    the order in which they are met on the way back. So are the weights of Keras's models."""
    depths: dict[int, int] = {}
    by_layer: dict[int, int] = {}
    made_by = {id(tensor): node for node in nodes for tensor in node.output_tensors}
    for node in reversed(nodes):
        depth = max(depths.get(id(node), 0), by_layer.get(id(node.layer), 0))
        depths[id(node)] = by_layer[id(node.layer)] = depth
        for tensor in node.parents:
            if id(tensor) in start_layers:
                layer = id(start_layers[id(tensor)])
                by_layer[layer] = max(by_layer.get(layer, 0), depth + 1)
            else:
                parent = id(made_by[id(tensor)])
                depths[parent] = max(depths.get(parent, 0), depth + 1)
    layers = {id(one): one for one in [*start_layers.values(), *(node.layer for node in nodes)]}
    found = sorted(layers, key=lambda key: (-by_layer.get(key, 0), met.get(key, -1)))
    return [layers[key] for key in found]


def _check_names(layers: list[Any]) -> None:
    seen: dict[str, Any] = {}
    for layer in layers:
        if layer.name in seen:
            raise ValueError(
                f"Two layers of the model have the name {layer.name!r}: give one of them another "
                "by name=…"
            )
        seen[layer.name] = layer
