"""The model that an estimator trains: a copy of the user's, or built or read anew at each fit."""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import models as keras_models
from elephas_torch.keras.models import Model, all_tensors
from elephas_torch.keras.serialization import custom_object_scope, find_custom

_LOCK = threading.Lock()


def copied(model: Model) -> Model:
    """A copy with weights of its own, compiled as the model is; its optimizer starts anew."""
    with _LOCK:  # fits of several threads copy one model
        found = model.skeleton().flesh_out(all_tensors(model))
    if found.compiled is not None:
        found.compiled.optimizer.reset()
    return found


def from_json(text: str, custom_objects: Mapping[str, Any] | None) -> Model:
    """The model of a config, not compiled."""
    model: Model = keras_models.model_from_json(text, dict(custom_objects or {}))
    return model


def from_builder(
    builder: Callable[..., Any] | str, params: Mapping[str, Any], more: Mapping[str, Any]
) -> Model:
    """Calls a model builder.

    Args:
        builder: a function, or the name that it is registered under.
        params: all params by all their names; the builder gets those that it has arguments for.
        more: arguments by name, besides.

    Raises:
        TypeError: it takes none of that name, needs others, or returns no model.
        ValueError: nobody knows the name.
    """
    builder = _registered(builder) if isinstance(builder, str) else builder
    model = builder(*_one_dict(builder, params, more), **_arguments(builder, params, more))
    if not isinstance(model, Model):
        raise TypeError(
            "`modelBuilder` must return a model of elephas_torch.keras. "
            f"It returned {type(model).__name__}: {str(model)[:80]!r}"
        )
    return copied(model)  # a builder may return the same one again


def _registered(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = find_custom(name)
    if found is None:
        raise ValueError(
            "`modelBuilder` as a string is the name of a function that "
            "register_keras_serializable(package='…') has registered, such as 'mine>network'. "
            f"Nobody knows: modelBuilder={name!r}"
        )
    return found


def _parameters(builder: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(builder).parameters)


def _needed(builder: Callable[..., Any]) -> list[str]:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, one in _parameters(builder).items()
        if one.default is inspect.Parameter.empty and one.kind not in variable
    ]


def _one_dict(
    builder: Callable[..., Any], params: Mapping[str, Any], more: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """All params as one dict, for a builder whose only argument is nobody's name."""
    needed = _needed(builder)
    one = len(needed) == 1 and needed[0] not in params and needed[0] not in more
    return [{**params, **more}] if one else []


def _arguments(
    builder: Callable[..., Any], params: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    if _one_dict(builder, params, more):
        return {}
    known = _parameters(builder)
    name = getattr(builder, "__name__", type(builder).__name__)
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    if strangers := [one for one in more if one not in known and not takes_all]:
        raise unknown_arguments(f"The model builder {name}", strangers, known)
    given = {one: params[one] for one in known if params.get(one) is not None} | dict(more)
    if missing := [one for one in _needed(builder) if one not in given]:
        raise TypeError(
            f"The model builder {name} needs {', '.join(missing)}, which no param gives. Give "
            f"modelParams={{{missing[0]!r}: …}}, or the argument a default."
        )
    return given


def compiled(
    model: Model,
    *,
    loss: Any = None,
    metrics: Any = None,
    optimizer: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Model:
    """The model, compiled with what is given in place of what it was compiled with.

    Raises:
        ValueError: it isn't compiled, and there is no loss; or a name that nobody knows.
    """
    before = model.compiled
    if before is None and loss is None:
        raise ValueError(
            "The model isn't compiled: call model.compile(loss=…, optimizer=…) before you give it "
            "to the estimator, or give the estimator loss=… and optimizerConfig=…."
        )
    if loss is None and metrics is None and optimizer is None:
        return model
    own = {} if before is None else vars(before)
    # Copies: metrics and optimizers count, and fits may run beside each other.
    given = copy.deepcopy({"loss": loss, "metrics": metrics, "optimizer": optimizer})
    with custom_object_scope(dict(custom_objects or {})):
        model.compile(
            optimizer=_either(given["optimizer"], own.get("optimizer"), "rmsprop"),
            loss=_either(given["loss"], own.get("loss")),
            metrics=_either(given["metrics"], own.get("metrics")),
            loss_weights=own.get("loss_weights"),
            weighted_metrics=own.get("weighted_metrics"),
        )
    return model


def _either(*several: Any) -> Any:
    return next((one for one in several if one is not None), None)


def start_from(model: Model, initial: Any) -> None:
    """Gives a model the weights of a fitted one.

    Args:
        initial: a model, or a fitted one of this package's.

    Raises:
        ValueError: they don't fit.
    """
    source: Model = initial if isinstance(initial, Model) else initial.model
    if not model.built:
        model.build(source.input_shape)
    weights, mine = source.get_weights(), model.get_weights()
    theirs, ours = ([tuple(one.shape) for one in several] for several in (weights, mine))
    if theirs != ours:
        raise ValueError(
            f"The weights of initialModel ({source.name!r}) don't fit the model ({model.name!r}): "
            f"their shapes are {theirs}, the model's {ours}."
        )
    model.set_weights(weights)
