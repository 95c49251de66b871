"""Where Keras has its models: `Sequential`, `Model`, and how they come from files."""

from collections.abc import Callable
from typing import Any

from elephas_torch.keras import naming, saving
from elephas_torch.keras.functional import Functional
from elephas_torch.keras.layers.inputs import Input
from elephas_torch.keras.legacy import moved
from elephas_torch.keras.model import Model
from elephas_torch.keras.saving import load_model, model_from_json, save_model
from elephas_torch.keras.sequential import Sequential
from elephas_torch.keras.skeletons import all_tensors
from elephas_torch.keras.torch_model import TorchModel

__all__ = [
    "Functional", "Input", "Model", "Sequential", "TorchModel", "all_tensors", "clone_model",
    "load_model", "model_from_config", "model_from_json", "save_model",
]  # fmt: skip

model_from_config = saving.model_from_config
_, __getattr__ = moved(__name__)


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
) -> Any:
    """A model of the same architecture, with new weights and not compiled. Follows
    https://keras.io/api/models/model/

    Args:
        model: a `Sequential`, or made with `Model(inputs, outputs)`; one of a subclass where it
            has get_config() and from_config().
        input_tensors: symbolic tensors to start from, one for each input. Default, new ones.
        clone_function: layer -> the layer to take in its place. Default, one made from its
            config.

    Raises:
        TypeError: `model` is no model.
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model: `model` must be a Model. Received: {model!r}")
    with naming.from_configs():
        if input_tensors is None and clone_function is None:
            return type(model).from_config(model.get_config())
        clone = clone_function or _from_its_config
        if isinstance(model, Sequential):
            return _cloned_sequential(model, input_tensors, clone)
        return _cloned_functional(model, input_tensors, clone)


def _from_its_config(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _cloned_sequential(model: Sequential, tensors: Any, clone: Callable[[Any], Any]) -> Any:
    start: list[Any] = [Input(batch_shape=model.input_shape)] if model.built else []
    if tensors is not None:
        start = list(tensors) if isinstance(tensors, list | tuple) else [tensors]
    return Sequential([*start, *map(clone, model.layers)], name=model.name)


def _cloned_functional(model: Model, tensors: Any, clone: Callable[[Any], Any]) -> Any:
    graph = model._graph
    if graph is None:
        raise ValueError(
            "clone_model: `input_tensors` and `clone_function` work with a Sequential or a "
            f"Model(inputs, outputs). Received: model={model!r}"
        )
    given = None
    if tensors is not None:
        given = list(tensors) if isinstance(tensors, list | tuple) else [tensors]
    inputs, outputs = graph.cloned(clone, given)
    return Model(inputs, outputs, name=model.name)
