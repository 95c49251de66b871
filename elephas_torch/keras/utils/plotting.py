"""Models as drawings of their graphs. Follows https://keras.io/api/utils/model_plotting_utils/

The text of the graph is Graphviz's language, made by pydot; to turn it into a picture, Graphviz's
program `dot` must be installed.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elephas_torch.errors import unknown
from elephas_torch.keras import trees

if TYPE_CHECKING:
    from elephas_torch.keras.model import Model

_DIRECTIONS = ("TB", "LR", "BT", "RL")


def plot_model(
    model: Model,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    **kwargs: Any,
) -> Path:
    """Draws a model's layers and what is connected to what.

    Args:
        model: built: a `Sequential`, or made with `Model(inputs, outputs)`.
        to_file: its ending says what is written: ".png", ".svg", ".pdf" need Graphviz's `dot`;
            ".dot" is Graphviz's text and needs nothing more. Default "model.png".
        show_shapes, show_dtype: of inputs and outputs. Default False.
        show_layer_names: Default False.
        rankdir: "TB" from top to bottom, "LR" from left to right, or "BT", "RL".
        expand_nested: draw models in the model as boxes with their layers. Default False.
        dpi: dots an inch. Default 200.
        show_layer_activations, show_trainable: Default False.

    Returns:
        The file's path.

    Raises:
        ImportError: pydot isn't installed, or Graphviz isn't.
        ValueError: the model isn't built, or a direction that there isn't.
    """
    _check_model("plot_model", model)
    path = Path(to_file)
    form = path.suffix.lstrip(".") or "png"
    if form != "dot" and shutil.which("dot") is None:
        raise ImportError(
            "plot_model needs Graphviz, whose program `dot` isn't on the PATH, for pictures: "
            "install it (https://graphviz.org/download/), or write text: to_file='model.dot'."
        )
    graph = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable, **kwargs,
    )  # fmt: skip
    if form == "dot":
        path.write_text(graph.to_string())
    else:
        graph.write(str(path), format=form)
    return path


def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    **kwargs: Any,
) -> Any:
    """Returns the drawing as a `pydot.Dot` (or a `pydot.Cluster`, with `subgraph=True`).

    Args:
        model, show_shapes …: see `plot_model`.
        subgraph: a part to be put into another drawing. Default False.
    """
    kwargs.pop("layer_range", None)
    if kwargs:
        raise TypeError(f"model_to_dot got an argument that it doesn't know: {sorted(kwargs)}")
    _check_model("model_to_dot", model)
    if rankdir not in _DIRECTIONS:
        raise unknown("rankdir", rankdir, _DIRECTIONS)
    model._needs_build()
    shows = {
        "names": show_layer_names, "activations": show_layer_activations,
        "shapes": show_shapes, "dtypes": show_dtype, "trainable": show_trainable,
    }  # fmt: skip
    return _Drawing(shows, expand_nested, rankdir, dpi).of(model, subgraph)


def _check_model(owner: str, model: Any) -> None:
    if not _is_model(model):
        raise TypeError(f"{owner}: `model` must be a Model. Received: model={model!r}")


class _Drawing:
    def __init__(self, shows: dict[str, bool], expand: bool, rankdir: str, dpi: int) -> None:
        self.pydot = _pydot()
        self.shows, self.expand, self.rankdir, self.dpi = shows, expand, rankdir, dpi

    def of(self, model: Any, inner: bool, prefix: str = "") -> Any:
        graph = self._frame(model, inner, prefix)
        layers = model.layers if model._graph is None else model._graph.layers
        for layer in layers:
            if self.expand and _is_model(layer):
                graph.add_subgraph(self.of(layer, True, f"{prefix}{layer.name}/"))
            else:
                label = self._label(layer)
                name = f'"{prefix}{layer.name}"'
                graph.add_node(self.pydot.Node(name, label=label, shape="box"))
        for source, target in self._edges(model, prefix):
            graph.add_edge(self.pydot.Edge(f'"{source}"', f'"{target}"'))
        return graph

    def _frame(self, model: Any, inner: bool, prefix: str) -> Any:
        if inner:
            name = prefix.rstrip("/") or model.name
            return self.pydot.Cluster(
                graph_name=f'"{name}"', label=f'"{model.name}"', style="dashed"
            )
        return self.pydot.Dot(
            graph_name=f'"{model.name}"', rankdir=self.rankdir, dpi=self.dpi, concentrate=True
        )

    def _label(self, layer: Any) -> str:
        lines = [getattr(layer, "label", type(layer).__name__)]
        if self.shows["names"]:
            lines[0] = f"{layer.name} ({lines[0]})"
        activation = getattr(getattr(layer, "activation", None), "__name__", None)
        if self.shows["activations"] and activation:
            lines.append(f"activation: {activation}")
        if self.shows["trainable"] and layer.weights:
            lines.append("trainable" if layer.trainable_weights else "frozen")
        node = layer._inbound_nodes[0] if layer._inbound_nodes else None
        if node is not None:
            for title, tensors in (("in", node.parents), ("out", trees.leaves(node.outputs))):
                lines += [f"{title}: {text}" for text in map(self._spec, tensors) if text]
        return '"' + "\\n".join(lines) + '"'

    def _spec(self, tensor: Any) -> str:
        parts = [str(tensor.shape)] * self.shows["shapes"]
        return " ".join(parts + [tensor.dtype] * self.shows["dtypes"])

    def _edges(self, model: Any, prefix: str) -> list[tuple[str, str]]:
        if model._graph is None:
            names = [self._ends(layer, prefix) for layer in model.layers]
            pairs = itertools.pairwise(names)
            return [(end, start) for (_, end), (start, _) in pairs]
        graph = model._graph
        made = {slot: layer for slot, layer in zip(graph.sources, graph.input_layers, strict=True)}
        for call in graph.calls:
            made |= {slot.number: call.layer for slot in trees.leaves(call.outputs)}
        found = [
            (self._ends(made[slot.number], prefix)[1], self._ends(call.layer, prefix)[0])
            for call in graph.calls
            for slot in graph.taken(call)
        ]
        return list(dict.fromkeys(found))

    def _ends(self, layer: Any, prefix: str) -> tuple[str, str]:
        """The names of the nodes that a layer begins and ends with."""
        own = f"{prefix}{layer.name}"
        if not (self.expand and _is_model(layer)):
            return own, own
        graph = layer._graph
        if graph is None:
            first, last = layer.layers[0], layer.layers[-1]
        else:
            call = graph.producer(graph.targets[0])
            first = graph.input_layers[0]
            last = call.layer if call is not None else first
        inside = f"{own}/"
        return self._ends(first, inside)[0], self._ends(last, inside)[1]


def _is_model(layer: Any) -> bool:
    return bool(getattr(layer, "layers", None)) and hasattr(layer, "_graph")


def _pydot() -> Any:
    try:
        import pydot
    except ImportError:
        raise ImportError(
            "Drawing models needs pydot: pip install 'elephas_torch[plot]'."
        ) from None
    return pydot
