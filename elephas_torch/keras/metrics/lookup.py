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
from elephas_torch.keras.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy_by_shape,
)
from elephas_torch.keras.metrics.base import Mean, MeanMetricWrapper, Metric
from elephas_torch.keras.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

_CLASSES: tuple[type[Metric], ...] = (
    Mean, MeanMetricWrapper, Accuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
    BinaryAccuracy, TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, MeanSquaredError,
    RootMeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError, LogCoshError, CosineSimilarity, Hinge, SquaredHinge,
    CategoricalHinge, KLDivergence, Poisson, BinaryCrossentropy, CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)  # fmt: skip

_ALIASES: dict[str, type[Metric]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}

_BY_NAME: dict[str, type[Metric]] = {
    **both_spellings(_CLASSES),
    **_ALIASES,
    **{name.upper(): cls for name, cls in _ALIASES.items()},
    "logcosh": LogCoshError,
    "cosine_proximity": CosineSimilarity,
    "kullback_leibler_divergence": KLDivergence,
}

# The metrics that stand for "accuracy" and "crossentropy", by what the loss's targets are.
_ACCURACIES: dict[str, type[Metric]] = {
    "classes": SparseCategoricalAccuracy,
    "one-hot": CategoricalAccuracy,
}
_CROSSENTROPIES: dict[str, type[Metric]] = {
    "classes": SparseCategoricalCrossentropy,
    "one-hot": CategoricalCrossentropy,
    "binary": BinaryCrossentropy,
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
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
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
            return BinaryAccuracy()
        known = _ACCURACIES.get(targets)
        return known() if known else MeanMetricWrapper(accuracy_by_shape)
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
    return {"name": shown_name(fn), "fn": name_of(fn)}
