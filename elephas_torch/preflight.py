"""What is looked at on the driver before a Spark job starts: whether workers and the parameter
server can do what a model asks for, and what the server must be told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from elephas_torch import optimizers
from elephas_torch.keras import constraints
from elephas_torch.keras.layers import Embedding
from elephas_torch.keras.models import Model
from elephas_torch.keras.own_steps import OwnSteps
from elephas_torch.optimizers import LearningRateSchedule, LossScaleOptimizer, Optimizer


def check_stateless(model: Model) -> None:
    """Raises ValueError where a layer goes on from batch to batch."""
    for layer in model.modules():
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"Layer {layer.name!r} ({type(layer).__name__}) is stateful: it goes on from batch "
                "to batch, and on Spark batches are of rows that don't follow each other. Use "
                "stateful=False, or train and predict with model.fit and model.predict."
            )


def check(model: Model, gradients: bool, class_weight: Mapping[int, float] | None = None) -> None:
    """Looks at a compiled model that is to be trained.

    Args:
        gradients: `frequency='batch'`: workers compute gradients, and the server steps.

    Raises:
        ValueError: it can't be trained by many workers; the message says what can.
    """
    check_stateless(model)
    if gradients:
        _check_train_step(model)
        constraint_specs(model, needed=True)
    if class_weight is not None and not model.steps_by_itself and len(model._resolved().losses) > 1:
        raise ValueError(
            "`class_weight` is for models of one output; this one has "
            f"{len(model._resolved().losses)}."
        )


def _check_train_step(model: Model) -> None:
    if type(model).train_step is not OwnSteps.train_step:
        raise ValueError(
            f"{type(model).__name__} has a train_step of its own, which makes its updates itself. "
            "With frequency='batch' the parameter server makes them, from gradients of "
            "compute_loss: override compute_loss in place of train_step, or use "
            "frequency='epoch' or a number of batches, where each worker calls train_step."
        )


def constraint_specs(model: Model, needed: bool = False) -> list[dict[str, Any]]:
    """The constrained weights in the flat vector, for `elephas_torch.constraints.project`.

    Args:
        needed: whether a constraint that the server can't apply is an error; else it is left out.

    Raises:
        ValueError: there is one of somebody's own.
    """
    places = _places(model)
    specs = []
    for weight, constraint in model.constrained_weights():
        if id(weight) not in places:
            continue  # frozen: nothing moves it
        found = constraints.spec(constraint, places.pop(id(weight)), tuple(weight.shape))
        if found is not None:
            specs.append(found)
        elif needed:
            kind = getattr(constraint, "__name__", type(constraint).__name__)
            raise ValueError(
                f"The weight {getattr(weight, 'path', '')!r} has the constraint {kind}, which the "
                "parameter server doesn't know. With frequency='batch' use MaxNorm, NonNeg, "
                "UnitNorm or MinMaxNorm; or frequency='epoch' or a number of batches, where each "
                "worker applies it."
            )
    return specs


def embeddings(model: Model) -> list[tuple[int, int, int]]:
    """The embeddings in the flat vector: the first element, the rows and the width of each.

    Their gradients are zero but for the rows of a batch's indices.
    """
    places = _places(model)
    found = set()
    for layer in model.modules():
        if isinstance(layer, Embedding | torch.nn.Embedding):
            for weight in layer.parameters(recurse=False):
                if id(weight) in places and weight.dim() == 2 and weight.numel():
                    found.add((places[id(weight)], weight.shape[0], weight.shape[1]))
    return sorted(found)


def _places(model: Model) -> dict[int, int]:
    places, offset = {}, 0
    for weight in trained(model):
        places[id(weight)] = offset
        offset += weight.numel()
    return places


def trained(model: Model) -> list[Tensor]:
    """The weights in the flat vector, in order."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def check_sendable(optimizer: Optimizer) -> None:
    """Raises ValueError where the server can't have the optimizer."""
    inner = _inner(optimizer)
    rate: Any = inner._learning_rate
    if not isinstance(rate, float | LearningRateSchedule):
        raise ValueError(
            f"The learning rate of {type(inner).__name__} is a function, which the parameter "
            "server can't be sent. Use a number or a LearningRateSchedule. "
            f"Received: learning_rate={rate!r}"
        )
    for one in (inner, rate):
        if type(one).__module__ == "__main__":
            raise ValueError(
                f"{type(one).__name__} is defined in the script or notebook itself, where the "
                "parameter server, a process of its own, can't import it. Put the class into a "
                "module."
            )


def for_server(optimizer: Optimizer, model: Model, names: list[str]) -> dict[str, Any]:
    """The optimizer as the server gets it.

    Gradients come to it as they are: whoever scales a loss divides its gradients again. So it is
    without what scales.

    Args:
        names: of the weights in the flat vector, in order.
    """
    inner, weights = _inner(optimizer), trained(model)
    inner.describe(names, [tuple(weight.shape) for weight in weights], weights)
    data = optimizers.serialize(inner)
    if data["config"].get("loss_scale_factor") is not None:
        data["config"] = {**data["config"], "loss_scale_factor": None}
    return data


def is_scheduled(optimizer: Optimizer) -> bool:
    """Whether a schedule or a function decides on the learning rate."""
    return not isinstance(_inner(optimizer)._learning_rate, float)


def _inner(optimizer: Optimizer) -> Optimizer:
    return optimizer.inner_optimizer if isinstance(optimizer, LossScaleOptimizer) else optimizer
