"""The table that `model.summary()` prints. Follows https://keras.io/api/models/model/"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from elephas_torch.keras import trees

if TYPE_CHECKING:
    from elephas_torch.keras.model import Model


@dataclass
class Row:
    """A layer as the table has it."""

    label: str
    shape: str
    count: str
    sources: str
    trainable: str
    depth: int = 0


def summary(
    model: Model,
    line_length: int | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> Iterator[str]:
    """The lines of a summary: layer and class, output shape, number of weights, and for a model
    that isn't a chain the layers that each is connected to."""
    rows = list(_rows(model, _in_range(_layers(model), layer_range), expand_nested))
    connected = _is_branched(model)
    names = ["Layer (type)", "Output Shape", "Param #"]
    names += ["Connected to"] * connected + ["Trainable"] * show_trainable
    cells = [_cells(row, connected, show_trainable) for row in rows]
    yield f'Model: "{model.name}"'
    yield from _table(names, cells, line_length)
    trainable, others = _count(model.trainable_weights), _count(model.non_trainable_weights)
    slots = _optimizer_slots(model)
    yield f" Total params: {_size(trainable + others + slots)}"
    yield f" Trainable params: {_size(trainable)}"
    yield f" Non-trainable params: {_size(others)}"
    if slots:
        yield f" Optimizer params: {_size(slots)}"


def _is_branched(model: Model) -> bool:
    graph = model._graph
    if graph is None:
        return False
    calls = [call.source >= 0 for call in graph.calls]
    consumed = [call.source for call in graph.calls]
    return not all(calls) or len(set(consumed)) < len(consumed) or len(graph.sources) > 1


def _layers(model: Model) -> list[Any]:
    """The layers, operations between them too."""
    return model.layers if model._graph is None else list(model._graph.layers)


def _optimizer_slots(model: Model) -> int:
    if model.compiled is None:
        return 0
    return _count(model.compiled.optimizer.slots.values())


def _in_range(layers: list[Any], names: Any) -> list[Any]:
    if names is None:
        return layers
    known = [layer.name for layer in layers]
    found = [n for n in names if n in known] if isinstance(names, list | tuple) else []
    if len(found) != 2:
        raise ValueError(
            "`layer_range` must be the names of two layers of the model. "
            f"Received: layer_range={names!r}; it has {', '.join(known)}"
        )
    first, last = sorted(map(known.index, found))
    return layers[first : last + 1]


def _rows(model: Model, layers: Iterable[Any], expand: bool, depth: int = 0) -> Iterator[Row]:
    if not model.layers and model.built and depth == 0:
        shape = str(model.output_shape)
        yield Row(type(model.module).__name__, shape, f"{model.count_params():,}", "-", "-")
    calls = _calls(model)
    for layer in layers:
        sources = ", ".join(calls.get(id(layer), [])) or "-"
        count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        flag = "-" if not layer.weights else ("Y" if layer.trainable_weights else "N")
        label = f"{layer.name} ({getattr(layer, 'label', type(layer).__name__)})"
        yield Row(label, _shape(layer), count, sources, flag, depth)
        if expand and getattr(layer, "layers", None) and hasattr(layer, "_graph"):
            inner = [one for one in _layers(layer) if type(one).__name__ != "InputLayer"]
            yield from _rows(layer, inner, expand, depth + 1)


def _calls(model: Model) -> dict[int, list[str]]:
    """Layer -> the calls whose tensors it takes, as "name[call][output]"."""
    graph = model._graph
    if graph is None:
        return {}
    where = graph.histories()
    found: dict[int, list[str]] = {}
    for call in graph.calls:
        for slot in graph.taken(call):
            name, number, position = where[slot.number]
            found.setdefault(id(call.layer), []).append(f"{name}[{number}][{position}]")
    return found


def _shape(layer: Any) -> str:
    shapes = {str(_shapes_of(node.outputs)) for node in layer._inbound_nodes}
    if len(shapes) > 1:
        return "multiple"
    if shapes:
        return shapes.pop()
    built_with = layer.get_build_config() or {}
    if not layer.built or "input_shape" not in built_with:
        return "?"
    try:
        return str(layer.compute_output_shape(built_with["input_shape"]))
    except Exception:
        return "?"  # a layer of somebody's own that can't tell


def _shapes_of(outputs: Any) -> Any:
    return trees.map_leaves(lambda one: getattr(one, "shape", one), outputs)


def _cells(row: Row, connected: bool, trainable: bool) -> list[str]:
    indent = "   " * row.depth + "└ " * (row.depth > 0)
    cells = [indent + row.label, row.shape, row.count]
    return cells + [row.sources] * connected + [row.trainable] * trainable


def _table(names: list[str], rows: list[list[str]], line_length: int | None) -> Iterator[str]:
    widths = _widths(names, rows, line_length)
    yield _rule(widths, "┏┳┓", "━")
    yield from _line(names, widths, "┃")
    yield _rule(widths, "┡╇┩", "━")
    for number, row in enumerate(rows):
        if number:
            yield _rule(widths, "├┼┤", "─")
        yield from _line(row, widths, "│")
    yield _rule(widths, "└┴┘", "─")


def _widths(names: list[str], rows: list[list[str]], line_length: int | None) -> list[int]:
    """As wide as the contents need; the first and fourth columns give way in a narrow line."""
    limit = line_length or max(shutil.get_terminal_size((100, 24)).columns, 60)
    needed = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    spare = limit - 3 * len(names) - 1 - sum(needed)
    for column in (3, 0, 1):
        if spare < 0 and column < len(needed):
            width = max(needed[column] + spare, min(needed[column], 14))
            spare += needed[column] - width
            needed[column] = width
    if line_length and spare > 0:
        needed[0] += spare
    return needed


def _rule(widths: list[int], corners: str, bar: str) -> str:
    left, middle, right = tuple(corners)
    return left + middle.join(bar * (width + 2) for width in widths) + right


def _line(cells: list[str], widths: list[int], bar: str) -> Iterator[str]:
    wrapped = [_wrapped(c, w) for c, w in zip(cells, widths, strict=True)]
    for number in range(max(map(len, wrapped))):
        parts = [w[number] if number < len(w) else "" for w in wrapped]
        texts = [
            f"{part:>{width}}" if column == 2 else f"{part:<{width}}"
            for column, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        yield f"{bar} " + f" {bar} ".join(texts) + f" {bar}"


def _wrapped(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
    )


def _count(weights: Iterable[Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def _size(count: int) -> str:
    size, unit = count * 4.0, "B"
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{count:,} ({size:.2f} {unit})"
