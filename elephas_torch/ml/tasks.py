"""What an estimator is to learn: classes, several labels, numbers, or arrays.

Told by the loss, the model's outputs and the label column's type; Spark's columns follow from it.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql.types import ArrayType, DataType, NumericType, StringType, StructType

from elephas_torch.frames import checked_name
from elephas_torch.keras import losses
from elephas_torch.keras.models import Model
from elephas_torch.utils.model_utils import LossModelTypeMapper, ModelType

CLASSIFYING = ("classification", "multilabel")


@dataclass(frozen=True)
class Task:
    """What a model's outputs are.

    Attributes:
        kind: "classification", "multilabel" (several classes at once), "regression" (a number, or
            a row of them), or "array" (anything else: embeddings, what an autoencoder gives).
        classes: how many classes or labels; None where there are none.
        one_hot: class numbers must be made one-hot, which the loss doesn't do by itself; or the
            numbers of several labels.
    """

    kind: str
    classes: int | None = None
    one_hot: bool = False

    @property
    def classifies(self) -> bool:
        """Whether outputs stand for classes or labels."""
        return self.kind in CLASSIFYING

    @property
    def model_type(self) -> ModelType:
        """Elephas's name of it."""
        if self.kind == "multilabel":
            return ModelType.MULTILABEL
        return ModelType.CLASSIFICATION if self.classifies else ModelType.REGRESSION

    def to_config(self) -> dict[str, Any]:
        """The attributes; `Task(**config)` makes it again."""
        return asdict(self)


@dataclass(frozen=True)
class Label:
    """What is known of the label column before any job.

    Attributes:
        single: it is one number a row.
        values: the names of its classes, where a StringIndexer or another stage knew them.
        metadata: Spark's `ml_attr` of the column.
        is_feature: it is what the model is given, too: an autoencoder's.
        listed: it is an array a row.
    """

    single: bool
    values: tuple[str, ...] | None = None
    metadata: dict[str, Any] | None = None
    is_feature: bool = False
    listed: bool = False

    @classmethod
    def of(cls, schema: StructType, name: str, features: str | list[str]) -> Label:
        """Looks at a column.

        Raises:
            ValueError: there is none of that name, or it is of strings.
        """
        field = schema[checked_name(schema, name, "labelCol")]
        if isinstance(field.dataType, StringType):
            raise ValueError(
                f"The column {name!r} (labelCol) is of strings. Spark's StringIndexer("
                f"inputCol={name!r}, outputCol=…) makes class numbers of them, and IndexToString "
                "strings of the prediction."
            )
        found = (field.metadata or {}).get("ml_attr")
        values = tuple(found["vals"]) if found and found.get("vals") else None
        same = name == features or [name] == features
        listed = isinstance(field.dataType, ArrayType)
        return cls(is_number(field.dataType), values, found, same, listed)


def is_number(kind: DataType) -> bool:
    """Whether a column has one number a row."""
    return isinstance(kind, NumericType) or kind.typeName() == "boolean"


def task_of(
    model: Model,
    label: Label | None = None,
    model_type: ModelType | None = None,
    categorical: bool | None = None,
    nb_classes: int | None = None,
) -> Task:
    """What a compiled and built model learns.

    Args:
        label: the label column; None where it isn't known.
        model_type: what it must be: the named estimators'. Default, what the loss says.
        categorical: True: labels are class numbers, whatever the loss; or, several at once,
            arrays of them.
        nb_classes: how many classes there must be.

    Raises:
        ValueError: the loss isn't for that, or the outputs don't fit.
    """
    shape = model.output_shape
    if not _is_shape(shape):
        raise ValueError(
            f"Model {model.name!r} has several outputs, and an ML pipeline's model gives one. "
            "Train it with SparkModel.fit(df, label_col=[…])."
        )
    loss = model.loss
    if model_type is None:
        model_type = _told(loss, model, categorical, shape)
    elif model_type is ModelType.CLASSIFICATION:
        _check_classifies(loss, categorical)
    else:
        _check_regresses(loss)
    if model_type is ModelType.REGRESSION:
        flat = len(shape) == 2 and not (label is not None and label.is_feature)
        return Task("regression" if flat else "array")
    if len(shape) != 2 or shape[-1] is None:
        return Task("array")
    found = _classifying(model, loss, shape[-1], label, model_type, categorical)
    _check_classes(found, label, nb_classes)
    return found


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple | list) and all(one is None or type(one) is int for one in shape)


def _told(loss: Any, model: Model, categorical: bool | None, shape: Any) -> ModelType:
    """What a loss is for; where nobody knows, what the model's end looks like."""
    if categorical and len(shape) == 2 and (shape[-1] or 0) > 1:
        return ModelType.CLASSIFICATION
    found = None if loss is None else LossModelTypeMapper().get_model_type(loss)
    if found is not None:
        return found
    ends = _activation(model)
    classifies = loss is not None and ends in ("softmax", "sigmoid")
    return ModelType.CLASSIFICATION if classifies else ModelType.REGRESSION


def _activation(model: Model) -> str:
    return getattr(model.last_activation(), "__name__", "")


def _check_classifies(loss: Any, categorical: bool | None) -> None:
    known = None if loss is None else LossModelTypeMapper().get_model_type(loss)
    if known is ModelType.REGRESSION and not categorical:
        raise ValueError(
            f"The loss {_called(loss)!r} measures numbers, not classes: use ElephasRegressor, or "
            "compile with a crossentropy; or set categoricalLabels=True to train on one-hot "
            "classes with it."
        )


def _check_regresses(loss: Any) -> None:
    known = None if loss is None else LossModelTypeMapper().get_model_type(loss)
    if known is not None and known is not ModelType.REGRESSION:
        raise ValueError(
            f"The loss {_called(loss)!r} measures classes, not numbers: use ElephasClassifier, or "
            "compile with a loss such as 'mse'."
        )


def _called(loss: Any) -> str:
    return getattr(loss, "name", None) or type(loss).__name__


def _classifying(
    model: Model,
    loss: Any,
    width: int,
    label: Label | None,
    model_type: ModelType,
    categorical: bool | None,
) -> Task:
    if width == 1:
        return Task("classification", 2)
    numbers = label is not None and label.listed and bool(categorical)
    several = label is not None and not label.single and (numbers or not categorical)
    binary = isinstance(loss, losses.BinaryCrossentropy | losses.BinaryFocalCrossentropy)
    many = model_type is ModelType.MULTILABEL
    if many or (binary and several and _activation(model) != "softmax"):
        return Task("multilabel", width, numbers)
    needs = getattr(loss, "targets", "one-hot") not in ("one-hot", "classes")
    return Task("classification", width, needs and label is not None and label.single)


def _check_classes(task: Task, label: Label | None, nb_classes: int | None) -> None:
    if nb_classes is not None and nb_classes != task.classes:
        raise ValueError(
            f"The model tells {task.classes} classes apart, and nbClasses is {nb_classes}: its "
            "last layer needs as many units."
        )
    values = None if label is None else label.values
    if values is None or task.kind == "multilabel" or len(values) == task.classes:
        return
    text = (
        f"The label column has {len(values)} classes ({', '.join(values[:10])}), and the model "
        f"tells {task.classes} apart: its last layer needs as many units"
    )
    if len(values) > (task.classes or 0):
        raise ValueError(f"{text}.")
    warnings.warn(f"{text}, or some predictions have no name.", stacklevel=2)


def task_of_outputs(model: Model, model_type: ModelType | None = None) -> Task:
    """What a built model gives, told by its loss if it is compiled, else by its end.

    Args:
        model_type: where it is known.
    """
    shape = model.output_shape
    if model.compiled is not None and model_type is None:
        return task_of(model)
    ends = _activation(model)
    if model_type is None:
        classifies = ends in ("softmax", "sigmoid")
        model_type = ModelType.CLASSIFICATION if classifies else ModelType.REGRESSION
    if not _is_shape(shape) or len(shape) != 2 or shape[-1] is None:
        return Task("array")
    if model_type is ModelType.REGRESSION:
        return Task("regression")
    several = model_type is ModelType.MULTILABEL or (ends == "sigmoid" and shape[-1] > 1)
    if several and shape[-1] > 1:
        return Task("multilabel", shape[-1])
    return Task("classification", max(shape[-1], 2))
