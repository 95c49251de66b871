"""What a model learns, told by its loss: a class or a number.

Elephas's `ModelType` and `LossModelTypeMapper` under elephas's names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar

from elephas_torch.errors import unknown
from elephas_torch.keras import losses
from elephas_torch.keras.identifiers import name_of
from elephas_torch.keras.losses.wrapped import is_function_config

_ENUM = "__enum__"


class ModelType(Enum):
    """What a model's outputs stand for.

    `CLASSIFICATION` and `REGRESSION` are elephas's and are what losses tell. `MULTILABEL`, several
    classes at once for a row, can't be told from a loss: it takes the number of outputs as well.
    """

    CLASSIFICATION = 1
    REGRESSION = 2
    MULTILABEL = 3


_CLASSIFYING = (
    losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy, losses.CategoricalCrossentropy,
    losses.CategoricalFocalCrossentropy, losses.CategoricalGeneralizedCrossEntropy,
    losses.CategoricalHinge, losses.Hinge, losses.KLDivergence,
    losses.SparseCategoricalCrossentropy, losses.SquaredHinge,
)  # fmt: skip
_REGRESSING = (
    losses.CosineSimilarity, losses.Huber, losses.LogCosh, losses.MeanAbsoluteError,
    losses.MeanAbsolutePercentageError, losses.MeanSquaredError,
    losses.MeanSquaredLogarithmicError, losses.Poisson,
)  # fmt: skip


_BY_CLASS: dict[type, ModelType] = {
    **dict.fromkeys(_CLASSIFYING, ModelType.CLASSIFICATION),
    **dict.fromkeys(_REGRESSING, ModelType.REGRESSION),
}


class LossModelTypeMapper:
    """Tells from a loss what a model learns. There is one for the whole program.

    Losses of the facade are known under all their names, as objects and as classes; losses that
    measure neither classes nor numbers (Dice, Tversky, Circle, CTC) are none of both.

    Example::

        >>> LossModelTypeMapper().get_model_type("mse")
        <ModelType.REGRESSION: 2>
    """

    _only: ClassVar[LossModelTypeMapper | None] = None
    _registered: dict[str, ModelType]

    def __new__(cls) -> LossModelTypeMapper:
        if cls._only is None:
            cls._only = super().__new__(cls)
            cls._only._registered = {}
        return cls._only

    def register_loss(self, loss: str | Callable[..., Any], model_type: ModelType | str) -> None:
        """Says what a loss of your own is for; also of a known one.

        Args:
            loss: its name, or the function, class or object itself.
            model_type: a `ModelType`, or its name in any case.

        Raises:
            TypeError: `loss` is none of these.
            ValueError: there is no such type.
        """
        self._registered[_name(loss)] = as_model_type(model_type)

    def get_model_type(self, loss: Any) -> ModelType | None:
        """Returns what a loss is for; None where nobody knows (see `register_loss`).

        Args:
            loss: a name or alias, a function, class or object, or its description in a config.

        Raises:
            TypeError: `loss` is none of these; a list or dict of losses is several.
        """
        name = _name(loss)
        if name in self._registered:
            return self._registered[name]
        found = _class(loss) or object
        return next((kind for cls, kind in _BY_CLASS.items() if issubclass(found, cls)), None)


def _name(loss: Any) -> str:
    """The class of a loss, so that all names of one are the same; or the name of the user's."""
    found = _class(loss)
    if found is not None:
        return found.__name__
    if isinstance(loss, str):
        return loss
    if isinstance(loss, dict) and "class_name" in loss:
        return str(loss["config"] if is_function_config(loss) else loss["class_name"])
    if callable(loss):
        return name_of(getattr(loss, "fn", loss))
    raise TypeError(
        "`loss` must be one loss: its name, a function, a class or an object. "
        f"Received: loss={loss!r}"
    )


def _class(loss: Any) -> type | None:
    """The class of a loss, or None for a function or a name that the facade doesn't know."""
    if isinstance(loss, type):
        return loss if issubclass(loss, losses.Loss) else None
    try:
        found = losses.get(loss)
    except (TypeError, ValueError):
        return None
    if not isinstance(found, losses.LossFunctionWrapper):
        return type(found)
    return None if found.fn is loss else _class(found.fn)


def as_model_type(model_type: ModelType | str) -> ModelType:
    if isinstance(model_type, ModelType):
        return model_type
    names = ModelType.__members__
    if str(model_type).upper() not in names:
        raise unknown("model type", model_type, names)
    return names[str(model_type).upper()]


class ModelTypeEncoder(json.JSONEncoder):
    """Writes model types into JSON, as elephas does: `json.dumps(x, cls=ModelTypeEncoder)`."""

    def default(self, o: Any) -> Any:
        """Returns what is written for a `ModelType`."""
        return {_ENUM: str(o)} if isinstance(o, ModelType) else super().default(o)


def as_enum(d: dict[str, Any]) -> Any:
    """Reads what `ModelTypeEncoder` wrote: `json.loads(text, object_hook=as_enum)`.

    Raises:
        ValueError: there is no such type.
    """
    return as_model_type(str(d[_ENUM]).rpartition(".")[2]) if _ENUM in d else d
