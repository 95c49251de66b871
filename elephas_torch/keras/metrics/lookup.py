"""Metrics by name and by config; "accuracy" and "crossentropy" by loss and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elephas_torch.keras.identifiers import (
    both_spellings,
    described,
    find,
    find_described,
    name_of,
    shown_name,
)
from elephas_torch.keras.losses import Loss
from elephas_torch.keras.losses.wrapped import function_config, is_function_config
from elephas_torch.keras.metrics import (
    accuracies,
    confusion,
    correlations,
    errors,
    fscores,
    iou,
    operating_points,
)
from elephas_torch.keras.metrics.auc import AUC
from elephas_torch.keras.metrics.base import Metric
from elephas_torch.keras.metrics.r2 import R2Score
from elephas_torch.keras.metrics.reductions import Mean, MeanMetricWrapper, Sum
from elephas_torch.keras.serialization import custom_object_scope


def _classes(module: Any) -> tuple[type[Metric], ...]:
    """Returns the metrics that a module defines for others, in its order."""
    return tuple(
        item
        for name, item in vars(module).items()
        if isinstance(item, type)
        and issubclass(item, Metric)
        and item.__module__ == module.__name__
        and not name.startswith("_")
    )


_CLASSES: tuple[type[Metric], ...] = (
    Mean, Sum, MeanMetricWrapper, AUC, R2Score, *_classes(accuracies), *_classes(errors),
    *_classes(correlations), *_classes(confusion), *_classes(operating_points),
    *_classes(fscores), *_classes(iou),
)  # fmt: skip

_ALIASES: dict[str, type[Metric]] = {
    "mse": errors.MeanSquaredError,
    "mae": errors.MeanAbsoluteError,
    "mape": errors.MeanAbsolutePercentageError,
    "msle": errors.MeanSquaredLogarithmicError,
    "bce": errors.BinaryCrossentropy,
    "kld": errors.KLDivergence,
}

_BY_NAME: dict[str, type[Metric]] = {
    **both_spellings(_CLASSES),
    **_ALIASES,
    **{name.upper(): cls for name, cls in _ALIASES.items()},
    "fbeta_score": fscores.FBetaScore,
    # Keras 1's and 2's names.
    "logcosh": errors.LogCoshError,
    "cosine_proximity": errors.CosineSimilarity,
    "kullback_leibler_divergence": errors.KLDivergence,
}

# The metrics that stand for "accuracy" and "crossentropy", by what the loss's targets are.
_ACCURACIES: dict[str, type[Metric]] = {
    "classes": accuracies.SparseCategoricalAccuracy,
    "one-hot": accuracies.CategoricalAccuracy,
}
_CROSSENTROPIES: dict[str, type[Metric]] = {
    "classes": errors.SparseCategoricalCrossentropy,
    "one-hot": errors.CategoricalCrossentropy,
    "binary": errors.BinaryCrossentropy,
}


def get(
    identifier: Any,
    loss: Loss | None = None,
    output_shape: Sequence[int | None] | None = None,
) -> Metric:
    """Returns a metric, named as Keras names it in logs.

    Args:
        identifier: a metric (returned as it is); a class of metrics; a name ("accuracy", "mse",
            "MeanSquaredError", a custom object's), which is then the metric's name; what
            `serialize` gave; or a function `f(y_true, y_pred)` that gives a value a sample.
        loss: the compiled loss, and
        output_shape: the model's: they decide what "accuracy" and "acc", "crossentropy" and
            "ce" are. Without them the shapes of the first targets and predictions do.

    Raises:
        ValueError: no metric has that name (the message has the nearest one), or there is no
            crossentropy for this loss.
        TypeError: `identifier` is none of these.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        metric = _named(identifier, loss, output_shape)
        metric.name = metric.identifier = identifier
        return metric
    if is_function_config(identifier):
        return get(identifier.get("config"), loss, output_shape)
    if isinstance(identifier, dict) and "class_name" in identifier:
        found = find_described("metric", identifier, _BY_NAME)
        return _made(found, dict(identifier.get("config") or {}))
    if callable(identifier):
        return _made(identifier)
    raise TypeError(
        "A metric must be a name such as 'accuracy', a metric of elephas_torch.keras.metrics, "
        f"or a function f(y_true, y_pred). Received: {identifier!r} "
        f"(of type {type(identifier).__name__})"
    )


def _named(name: str, loss: Loss | None, output_shape: Sequence[int | None] | None) -> Metric:
    targets = loss.targets if loss is not None else "any"
    if name.lower() in ("accuracy", "acc"):
        if output_shape and output_shape[-1] == 1:
            return accuracies.BinaryAccuracy()
        known = _ACCURACIES.get(targets)
        return known() if known else MeanMetricWrapper(accuracies.accuracy_by_shape)
    if name.lower() in ("crossentropy", "ce"):
        if targets not in _CROSSENTROPIES:
            raise ValueError(
                f"There is no {name!r} for the loss {getattr(loss, 'name', None)!r}: name one, "
                f"such as {' or '.join(repr(cls().name) for cls in _CROSSENTROPIES.values())}."
            )
        return _CROSSENTROPIES[targets]()
    return _made(find("metric", name, _BY_NAME))


def _made(found: Any, config: dict[str, Any] | None = None) -> Metric:
    if isinstance(found, type) and issubclass(found, Metric):
        return found.from_config(config or {})
    return get(found()) if isinstance(found, type) else MeanMetricWrapper(found)


def serialize(metric: Metric | str | Callable[..., Any]) -> str | dict[str, Any]:
    """Returns the metric as JSON-able data, from which `get` makes it again: the name that it was
    made from, a function's name, or Keras's description of the object."""
    if isinstance(metric, str):
        return metric
    if not isinstance(metric, Metric):
        return name_of(metric)
    if metric.identifier is not None:
        return metric.identifier
    if type(metric) is MeanMetricWrapper and metric.get_config() == _plain(metric.fn):
        return name_of(metric.fn)
    return described(metric, "keras.metrics", _CLASSES)


def _plain(fn: Callable[..., Any]) -> dict[str, Any]:
    return {"name": shown_name(fn), "dtype": Metric.default_dtype, "fn": function_config(fn)}


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Metric:
    """Makes the metric that `serialize` described; `custom_objects` are found by their names.

    Raises:
        ValueError, TypeError: as `get`.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)
