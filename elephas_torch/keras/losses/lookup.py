"""Losses by name and by config."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras.identifiers import (
    both_spellings,
    described,
    find,
    find_described,
    name_of,
)
from elephas_torch.keras.losses.base import Loss, LossFunctionWrapper, NamedLoss
from elephas_torch.keras.losses.crossentropies import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
)
from elephas_torch.keras.losses.reduction import MEANS
from elephas_torch.keras.losses.segmentation import Dice, Tversky
from elephas_torch.keras.losses.sequences import CTC
from elephas_torch.keras.losses.similarity import Circle
from elephas_torch.keras.losses.values import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)
from elephas_torch.keras.losses.wrapped import is_function_config
from elephas_torch.keras.serialization import custom_object_scope

_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError, LogCosh, Hinge, SquaredHinge, CategoricalHinge, KLDivergence,
    Poisson, CosineSimilarity, Huber, BinaryCrossentropy, BinaryFocalCrossentropy,
    CategoricalCrossentropy, CategoricalFocalCrossentropy, SparseCategoricalCrossentropy,
    CategoricalGeneralizedCrossEntropy, Dice, Tversky, Circle, CTC,
)  # fmt: skip

_ALIASES: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}

_BY_NAME: dict[str, type[Loss]] = {
    **both_spellings(_CLASSES),
    **{cls.function.__name__: cls for cls in _CLASSES if issubclass(cls, NamedLoss)},
    **_ALIASES,
    **{name.upper(): cls for name, cls in _ALIASES.items()},
    # Keras 1's and 2's names.
    "kullback_leibler_divergence": KLDivergence,
    "cosine_proximity": CosineSimilarity,
    "logcosh": LogCosh,
    "huber_loss": Huber,
}


def get(identifier: Any) -> Loss:
    """Returns a loss.

    Args:
        identifier: a loss (returned as it is); a class of losses; a name ("mse",
            "categorical_crossentropy", "MeanSquaredError", a custom object's); what `serialize`
            gave; or a function `f(y_true, y_pred)` that gives a value for each sample.

    Raises:
        ValueError: no loss has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        loss = _made(find("loss", identifier, _BY_NAME))
        loss.identifier = identifier
        return loss
    if is_function_config(identifier):
        return get(identifier.get("config"))
    if isinstance(identifier, dict) and "class_name" in identifier:
        found = find_described("loss", identifier, _DESCRIBED)
        return _made(found, dict(identifier.get("config") or {}))
    if callable(identifier):
        return _made(identifier)
    raise TypeError(
        "`loss` must be the name of a loss such as 'mse', a loss of elephas_torch.keras.losses, "
        f"or a function f(y_true, y_pred). Received: loss={identifier!r} "
        f"(of type {type(identifier).__name__})"
    )


def _made(found: Any, config: dict[str, Any] | None = None) -> Loss:
    found = _BY_FUNCTION.get(found, found)
    if isinstance(found, type) and issubclass(found, Loss):
        return found.from_config(config or {})
    return get(found()) if isinstance(found, type) else LossFunctionWrapper(found)


_BY_FUNCTION: dict[Any, type[Loss]] = {
    cls.function: cls for cls in _CLASSES if issubclass(cls, NamedLoss)
}
_DESCRIBED: dict[str, type[Loss]] = {**_BY_NAME, "LossFunctionWrapper": LossFunctionWrapper}


def serialize(loss: Loss) -> str | dict[str, Any]:
    """Returns the loss as JSON-able data, from which `get` makes it again: the name that it was
    made from, a function's name, or Keras's description of the object."""
    if loss.identifier is not None:
        return loss.identifier
    if isinstance(loss, LossFunctionWrapper) and not loss.options and loss.reduction in MEANS:
        return name_of(loss.fn)
    return describe(loss)


def describe(loss: Loss) -> dict[str, Any]:
    """Returns Keras's description of a loss: its class and its config."""
    return described(loss, "keras.losses", (*_CLASSES, LossFunctionWrapper))


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Loss:
    """Makes the loss that `serialize` described; `custom_objects` are found by their names.

    Raises:
        ValueError, TypeError: as `get`.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)
