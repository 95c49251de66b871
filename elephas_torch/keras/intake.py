"""Arrays to what a compiled model takes: checked tensors in the structure of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elephas_torch.errors import DataError
from elephas_torch.keras import batches, losses, trees
from elephas_torch.keras.arguments import check_class_weight
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.goals import Goals
from elephas_torch.keras.sparse import Sparse
from elephas_torch.keras.structure import Structure, has_rows, is_shape

if TYPE_CHECKING:
    from elephas_torch.keras.compiled_model import CompiledModel

Names = tuple[str, str, str]
Rows = Tensor | Sparse


def features(model: CompiledModel, x: Any, name: str = "x") -> Any:
    """Array-like features as tensors that fit the model; builds a model without shape.

    Raises:
        DataError: they don't fit.
    """
    structure, tensors = _arranged(model, x, name)
    return _fitted(model, structure, tensors, name)


def _arranged(model: CompiledModel, x: Any, name: str) -> tuple[Structure, list[Rows]]:
    if not model.built:
        _build(model, x, name)
    structure = model.input_structure
    if len(structure) == 1:
        given = [_only(structure, model.input_shape, x, name)]
    else:
        given = structure.spread(x, name, "input")
    missing = [structure.label(n) for n, one in enumerate(given) if one is None]
    if missing:
        raise DataError(f"`{name}` has nothing for the model's input {missing[0]}.")
    places = _places(structure, name)
    dtypes = structure.from_tree_order(model.input_dtypes)
    return structure, [
        batches.as_rows(one, dtype, place)
        for one, dtype, place in zip(given, dtypes, places, strict=True)
    ]


def _places(structure: Structure, name: str) -> list[str]:
    if structure.single:
        return [name]
    return [f"{name}{''.join(f'[{key!r}]' for key in path)}" for path in structure.paths]


def _only(structure: Structure, shape: Any, x: Any, name: str) -> Any:
    """What is meant for the one input that there is: x, or the one entry of a list or dict."""
    if isinstance(x, dict):
        return structure.spread(x, name, "input")[0]
    if isinstance(x, list | tuple) and len(x) == 1 and has_rows(x[0]):
        shape = shape if is_shape(shape) else None
        if shape is None or len(x[0].shape) == len(shape):
            return x[0]
    return x


def _build(model: CompiledModel, x: Any, name: str) -> None:
    if model.one_input and _lists_arrays(x) and len(x) == 1 and len(x[0].shape) > 1:
        x = x[0]
    if isinstance(x, dict) or (not model.one_input and _lists_arrays(x)):
        parts = _raw(x, name, sparse=True)
    else:
        parts = batches.as_rows(x, model.input_dtype, name)
        if model.one_input and model.input_dtype == torch.int64 and _built_for_any_length(model):
            return
    model.build(trees.map_leaves(_shape, parts))


def _built_for_any_length(model: CompiledModel) -> bool:
    """Builds a stack that begins with an Embedding for sequences of every length, if it can be."""
    try:
        model.build((None, None))
    except ValueError:  # a layer needs the length
        return False
    return True


def _lists_arrays(x: Any) -> bool:
    return isinstance(x, list | tuple) and bool(x) and all(map(has_rows, x))


def _shape(tensor: Rows) -> tuple[int | None, ...]:
    return (None, *tensor.shape[1:]) if tensor.dim() > 1 else (None, 1)


def _fitted(model: CompiledModel, structure: Structure, tensors: list[Rows], name: str) -> Any:
    shapes = structure.leaves(model.input_shape)
    places = _places(structure, name)
    fitted = [
        batches.fit_shape(tensor, shape, f"`{place}`")
        for tensor, shape, place in zip(tensors, shapes, places, strict=True)
    ]
    return structure.pack(fitted)


def samples(
    model: CompiledModel,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    names: Names = ("x", "y", "sample_weight"),
) -> Samples:
    """Array-likes as tensors that fit the compiled model, checked.

    Raises:
        DataError: shapes or labels don't fit the model or its losses.
    """
    model._needs_compile()
    check_class_weight(class_weight)
    if x is None:
        raise ValueError(f"`{names[0]}` is missing: training and evaluation need features.")
    structure, tensors = _arranged(model, x, names[0])
    goals = model._resolved()
    if y is None and any(goals.needs_target(n) for n in range(len(goals.losses))):
        raise ValueError(f"`{names[1]}` is missing: training and evaluation need targets.")
    targets = _targets(goals, y, len(tensors[0]), names[1])
    weights = _weights(goals, sample_weight, names[2])
    found = Samples(tensors, targets, weights)
    batches.check_lengths(_whole(structure, goals, found), names)
    found.x = _fitted(model, structure, tensors, names[0])
    _check(goals, found, names[2])
    return batches.weigh_classes(_bare(goals, found), class_weight)


def _whole(structure: Structure, goals: Goals, found: Samples) -> Samples:
    """The samples as trees, for messages that say where something lies."""
    return _bare(goals, Samples(structure.pack(found.x), found.y, found.weight))


def _bare(goals: Goals, found: Samples) -> Samples:
    if goals.outputs is not None and goals.outputs.single:
        weight = None if found.weight is None else found.weight[0]
        return Samples(found.x, None if found.y is None else found.y[0], weight)
    return found


def _targets(goals: Goals, y: Any, rows: int, name: str) -> list[Any] | None:
    if y is None:
        return None
    outputs = goals.outputs
    assert outputs is not None
    one = len(outputs) == 1
    given = [_only_target(outputs, y, rows, name)] if one else goals.targets(y, name)
    places = [name] if outputs.single else _places(outputs, name)
    return [
        None if part is None else _target(goals, number, part, places[number])
        for number, part in enumerate(given)
    ]


def _only_target(outputs: Structure, y: Any, rows: int, name: str) -> Any:
    if isinstance(y, dict):
        return outputs.spread(y, name)[0]
    listed = isinstance(y, list | tuple) and len(y) == 1 and has_rows(y[0])
    return y[0] if listed and len(y[0].shape) and len(y[0]) == rows else y


def _target(goals: Goals, number: int, given: Any, place: str) -> Tensor:
    dtype = goals.target_dtype(number)
    if dtype is None:
        return batches.any_tensor(given, place)
    return batches.as_tensor(given, dtype, place)


def _weights(goals: Goals, given: Any, name: str) -> list[Any] | None:
    if given is None:
        return None
    outputs = goals.outputs
    assert outputs is not None
    if len(outputs) == 1:
        one = outputs.spread(given, name)[0] if isinstance(given, dict) else _only_weight(given)
        return [_weight(one, name)]
    if isinstance(given, dict) or (isinstance(given, list | tuple) and _has_parts(given)):
        places = _places(outputs, name)
        several = outputs.spread(given, name)
        return [None if w is None else _weight(w, p) for w, p in zip(several, places, strict=True)]
    weight = _weight(given, name)
    if weight.dim() > 1:
        raise DataError(
            f"`{name}` for all of the model's {len(outputs)} outputs must have one weight a row. "
            "Weights of steps go into a list or dict with an entry for each output. "
            f"Received: shape {tuple(weight.shape)}"
        )
    return [weight] * len(outputs)


def _only_weight(given: Any) -> Any:
    listed = isinstance(given, list | tuple) and len(given) == 1 and has_rows(given[0])
    return given[0] if listed else given


def _has_parts(given: Any) -> bool:
    return any(one is None or has_rows(one) or isinstance(one, list | tuple) for one in given)


def _weight(given: Any, place: str) -> Tensor:
    weight = batches.as_tensor(given, torch.float32, place)
    return weight.squeeze(-1) if weight.dim() == 2 and weight.shape[1] == 1 else weight


def _check(goals: Goals, found: Samples, weight_name: str) -> None:
    outputs = goals.outputs
    assert outputs is not None
    shapes = outputs.leaves(goals.shapes)
    for number, (loss, shape) in enumerate(zip(goals.losses, shapes, strict=True)):
        if loss is None:
            continue
        y = None if found.y is None else found.y[number]
        if y is not None:
            _check_targets(outputs, number, loss, y, shape)
        weight = None if found.weight is None else found.weight[number]
        if weight is not None and loss.targets != "any":
            _check_weight(weight, shape, weight_name)


def _check_targets(
    outputs: Structure, number: int, loss: losses.Loss, y: Tensor, shape: tuple[int | None, ...]
) -> None:
    try:
        losses.check_targets(loss, y, shape)
    except ValueError as error:
        if len(outputs) == 1:
            raise
        raise type(error)(f"Output {outputs.label(number)}: {error}") from None


def _check_weight(weight: Tensor, shape: tuple[int | None, ...], name: str) -> None:
    steps = tuple(shape[1:-1])
    given = tuple(weight.shape[1:])
    fits = len(given) <= len(steps) and all(
        want is None or got in (want, 1) for got, want in zip(given, steps, strict=False)
    )
    if given and not fits:
        rows = weight.shape[0]
        also = "".join(
            f", or one a step, shape {(rows, *steps[: n + 1])}" for n in range(len(steps))
        )
        raise DataError(
            f"`{name}` has shape {tuple(weight.shape)}; there must be one weight a row, shape "
            f"({rows},){also}."
        )


def raw(
    model: CompiledModel,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    names: Names = ("x", "y", "sample_weight"),
) -> Samples:
    """Array-likes as tensors in the structure that they are given in, as a `train_step` of one's
    own gets them; floats become float32."""
    check_class_weight(class_weight)
    if x is None:
        raise ValueError(f"`{names[0]}` is missing: training and evaluation need features.")
    rest = [_raw(tree, name) for tree, name in zip((y, sample_weight), names[1:], strict=True)]
    found = Samples(_raw(x, names[0], sparse=True), *rest)
    batches.check_lengths(found, names)
    if not model.built and model.has_call:
        model.build(trees.map_leaves(lambda one: (None, *one.shape[1:]), found.x))
    return batches.weigh_classes(found, class_weight)


def _raw(tree: Any, name: str, sparse: bool = False) -> Any:
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: _raw(one, f"{name}[{key!r}]", sparse) for key, one in tree.items()}
    if _lists_arrays(tree):
        return type(tree)(_raw(one, f"{name}[{n}]", sparse) for n, one in enumerate(tree))
    return batches.as_rows(tree, None, name) if sparse else batches.any_tensor(tree, name)
