"""Models as plain torch modules, which need nothing of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from elephas_torch.errors import ElephasError, unknown
from elephas_torch.keras.layers.declared import flat_shapes
from elephas_torch.keras.policy import FLOAT32

if TYPE_CHECKING:
    from elephas_torch.keras.model import Model

#: Batch sizes that an exported module takes.
_BATCHES = {"min": 1, "max": 2**31 - 1}


def to_torch(model: Model) -> nn.Module:
    """Returns a plain module that computes what the model predicts; see `Model.to_torch`."""
    program = exported(model)
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return _module(program, weights, [_identifier(name) for name in model.input_names], model)


def export(model: Model, filepath: Any, format: str = "torch") -> None:
    """Writes the model's computation to a file; see `Model.export`."""
    if format != "torch":
        raise unknown("export format", format, ["torch"])
    path = Path(filepath)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to export to.")
    torch.export.save(exported(model), path)


def exported(model: Model) -> Any:
    """The model in eval mode as a `torch.export.ExportedProgram`.

    Raises:
        ValueError: the model isn't built.
        ElephasError: torch.export can't follow a layer's code, or a layer is stateful.
    """
    model._needs_build()
    _no_states(model)
    before = model.training
    model.eval()
    try:
        inputs, dynamic = _example(model)
        with _in_float32(model), torch.no_grad():
            program = torch.export.export(_Bare(model), inputs, dynamic_shapes=dynamic)
            if any(node.op == "get_attr" for node in program.graph.nodes):
                # What a layer computes under autocast is a module by itself: written out as casts.
                program = program.run_decompositions({})
            return program
    except Exception as error:
        raise ElephasError(
            f"Model {model.name!r} can't be exported: torch.export says: {error}"
        ) from error
    finally:
        model._forget_losses()  # they are symbols of the export, not numbers
        model.train(before)


def _no_states(model: Model) -> None:
    for one in model.modules():
        if getattr(one, "stateful", False) and hasattr(one, "reset_state"):
            raise ElephasError(
                f"Model {model.name!r} can't be exported: {one._label} is stateful, and what is "
                "exported keeps nothing from call to call. Build the model with stateful=False, "
                "and give it this one's weights: new.set_weights(model.get_weights())."
            )


@contextmanager
def _in_float32(model: Model) -> Iterator[None]:
    """Within it no layer computes in a shorter type: an exported module has float32 throughout."""
    layers: list[Any] = [one for one in model.modules() if hasattr(one, "dtype_policy")]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = FLOAT32
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def _module(program: Any, weights: dict[str, Any], inputs: list[str], model: Model) -> nn.Module:
    """A module of the program's operations, with copies of the weights under their names."""
    root, graph = nn.Module(), torch.fx.Graph()
    signature = program.graph_signature
    kept = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    nodes: dict[Any, Any] = {}
    names = iter(inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in kept:
            path = kept[node.name].removeprefix("model.")
            value = weights.get(path, program.constants.get(kept[node.name]))
            _place(root, path, value)
            nodes[node] = graph.get_attr(path)
        elif node.op == "placeholder":
            nodes[node] = graph.placeholder(next(names))
        elif node.op == "output":
            values = torch.fx.map_arg(list(node.args[0]), nodes.__getitem__)
            graph.output(torch.utils._pytree.tree_unflatten(values, program.call_spec.out_spec))
        else:
            nodes[node] = graph.node_copy(node, nodes.__getitem__)
    made = torch.fx.GraphModule(root, graph, class_name=_identifier(model.name))
    made.meta = {}
    return made.eval()


def _place(root: nn.Module, path: str, value: Any) -> None:
    """Puts a copy of a weight where its path says."""
    *rooms, name = path.split(".")
    for room in rooms:
        if room not in root._modules:
            root.add_module(room, nn.Module())
        root = getattr(root, room)
    copy = value.detach().clone().as_subclass(torch.Tensor)
    if isinstance(value, nn.Parameter):
        root.register_parameter(name, nn.Parameter(copy, requires_grad=value.requires_grad))
    else:
        root.register_buffer(name, copy)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", f"_{name}" if name[:1].isdigit() else name)


class _Bare(nn.Module):
    """The model called with its inputs one by one."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Any:
        form = self.model._input_shape
        if isinstance(form, dict):
            names = sorted(form, key=str)
            return self.model.call(dict(zip(names, inputs, strict=True)))
        return self.model.call(inputs[0] if len(inputs) == 1 else list(inputs))


def _example(model: Model) -> tuple[tuple[Any, ...], Any]:
    """Zeros for each input, and which of their axes have no fixed length."""
    shapes = flat_shapes(model._input_shape)
    batch = torch.export.Dim("batch", **_BATCHES)
    tensors, axes = [], []
    for shape, dtype in zip(shapes, model.input_dtypes, strict=True):
        rows = shape[0] or 3
        tensors.append(torch.zeros([rows] + [n or 7 for n in shape[1:]], dtype=dtype))
        free = {k: torch.export.Dim.AUTO for k, n in enumerate(shape) if n is None and k}
        axes.append(free if shape[0] else {0: batch, **free})
    return tuple(tensors), (tuple(axes),)
