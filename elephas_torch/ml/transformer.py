"""`ElephasTransformer`, `ElephasClassificationModel`, `ElephasRegressionModel`: fitted models as
stages of Spark's pipelines."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pyspark.ml import Model as SparkModelStage
from pyspark.ml.classification import ProbabilisticClassificationModel
from pyspark.ml.linalg import DenseVector, Vector
from pyspark.ml.regression import RegressionModel
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql.types import StructField, StructType

from elephas_torch import frames, heads, inference
from elephas_torch.connect import is_connect
from elephas_torch.heads import Head
from elephas_torch.keras.models import Model
from elephas_torch.ml import models, tasks
from elephas_torch.ml.params import Classes, Features
from elephas_torch.ml.tasks import Task
from elephas_torch.progress import stages
from elephas_torch.utils.model_utils import ModelType, as_model_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LOCK = threading.Lock()
#: What the constructor takes besides params.
_STATE = ("model", "task", "history", "training_histories", "label_metadata")
#: Elephas's arguments.
_ELEPHAS = ("keras_model_config", "kerasModelConfig", "weights", "model_type")


@dataclass(frozen=True)
class TrainingSummary:
    """How the training went, in Spark's terms.

    Attributes:
        history: name of the loss or a metric -> its value in each epoch.
        objectiveHistory: the loss in each epoch.
        totalIterations: how many epochs there were.
    """

    history: dict[str, list[float]]
    objectiveHistory: list[float]
    totalIterations: int


class Fitted(Features, SparkModelStage, MLWritable, MLReadable[Any]):
    """What the fitted stages of this module have in common."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        found = self._resolved(given, (*_STATE, *_ELEPHAS))
        state = {name: found.pop(name, None) for name in (*_STATE, *_ELEPHAS)}
        self.setParams(**found)
        self._model = self._given_model(state)
        self._task = _given_task(state, self._model)
        self._history: Any = state["history"] or {}
        self._training_histories: list[Any] = list(state["training_histories"] or [])
        self._label_metadata: dict[str, Any] | None = state["label_metadata"]
        # What executors have of it, by session; copies of the stage share it.
        self._sent: dict[Any, inference.Sent] = {}

    def _given_model(self, state: Mapping[str, Any]) -> Model:
        model, text = state["model"], state["keras_model_config"] or state["kerasModelConfig"]
        if isinstance(model, Model):
            # Executors get its weights once, so a user's model, which may change, is copied.
            # Whoever tells the task as well, an estimator or a reader, made the model for this.
            return model if state["task"] is not None else models.copied(model)
        if model is not None or text is None:
            raise TypeError(
                f"{type(self).__name__} needs `model`, a model of elephas_torch.keras, or "
                f"`keras_model_config` and `weights`. Received: model={model!r}"
            )
        made = models.from_json(text, self.getOrDefault(self.customObjects))
        if state["weights"] is not None:
            made.set_weights([np.asarray(one) for one in state["weights"]])
        return made

    @property
    def model(self) -> Model:
        """The trained model. Executors get its weights once: to change it, take `get_model()`."""
        return self._model

    def get_model(self) -> Model:
        """A copy of the trained model."""
        return models.copied(self._model)

    @property
    def weights(self) -> list[np.ndarray]:
        """The model's weights, as `get_weights()` gives them."""
        return self._model.get_weights()

    def get_keras_model_config(self) -> str:
        """The model's architecture as JSON."""
        return self._model.to_json()

    @property
    def task(self) -> Task:
        """What the model's outputs are."""
        return self._task

    @property
    def model_type(self) -> ModelType:
        """The same in elephas's words."""
        return self._task.model_type

    @property
    def history(self) -> Any:
        """Name of the loss or a metric -> its value in each epoch of the fit."""
        return self._history

    @property
    def training_histories(self) -> list[Any]:
        """The same of each worker."""
        return self._training_histories

    @property
    def hasSummary(self) -> bool:
        """Whether it is known how the training went."""
        return bool(self._history)

    @property
    def summary(self) -> TrainingSummary:
        """How the training went.

        Raises:
            RuntimeError: nobody knows: the stage wasn't fitted, but made of a model.
        """
        if not self.hasSummary:
            raise RuntimeError(f"{type(self).__name__} {self.uid} has no training summary.")
        loss = list(self._history.get("loss", []))
        return TrainingSummary(dict(self._history), loss, len(loss))

    @property
    def label_metadata(self) -> dict[str, Any] | None:
        """Spark's `ml_attr` of the label column that it was fitted on."""
        return self._label_metadata

    @property
    def labels(self) -> list[str] | None:
        """The names of the classes, where the label column knew them."""
        found = (self._label_metadata or {}).get("vals")
        return None if found is None else list(found)

    @property
    def numFeatures(self) -> int:
        """How many numbers a row of features has; -1 where that isn't known."""
        shapes = self._model.input_structure.leaves(self._model.input_shape)
        sizes = [_size(shape) for shape in shapes]
        return -1 if None in sizes else sum(sizes)  # type: ignore[arg-type]

    def state(self) -> dict[str, Any]:
        """What it has besides its model and its params, JSON-able: `cls(model=…, **state)`."""
        return {
            "task": self._task.to_config(),
            "history": self._history,
            "training_histories": self._training_histories,
            "label_metadata": self._label_metadata,
        }

    def head(self) -> Head:
        """What becomes of the model's output."""
        prediction = self.getOrDefault(self.predictionCol) or None
        return heads.head(self._model, self._task.kind, prediction=prediction)

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema that `transform` gives for a DataFrame of this schema.

        Raises:
            ValueError: a column isn't there, or of a type that can't be used; or one that is to
                be made is there already.
        """
        frames.features(schema, self._read_columns(), self._model)
        made = self.check().fields
        there = {name.lower(): name for name in schema.names}
        for name in made:
            if name.lower() in there:
                raise ValueError(
                    f"The DataFrame has a column {there[name.lower()]!r} already, which "
                    f"{type(self).__name__} is to make: drop or rename it, or set "
                    f"{self._param_of(name)} to another name."
                )
        fields = [StructField(name, inference.field_type(kind), True, self._metadata(name))
                  for name, kind in made.items()]  # fmt: skip
        return StructType([*schema.fields, *fields])

    def check(self) -> Head:
        """Returns the head; raises ValueError where the params ask for what can't be made."""
        self._check_names()
        found = self.head()
        if not found.fields:
            raise ValueError(
                f"{type(self).__name__} is to make no column: predictionCol and the others are "
                "empty."
            )
        return found

    def _columns(self) -> dict[str, str]:
        """Params of columns that are made, and their names."""
        several = ("predictionCol", "probabilityCol", "rawPredictionCol")
        return {one: self.getOrDefault(one) or "" for one in several if self.hasParam(one)}

    def _check_names(self) -> None:
        made = [name.lower() for name in self._columns().values() if name]
        if len(set(made)) < len(made):
            raise ValueError(
                f"{type(self).__name__} is to make columns of different names. Received: "
                + ", ".join(f"{param}={name!r}" for param, name in self._columns().items())
            )

    def _param_of(self, column: str) -> str:
        found = (param for param, name in self._columns().items() if name == column)
        return next(found, "predictionCol")

    def _metadata(self, column: str) -> dict[str, Any]:
        """What Spark's other stages read of a column."""
        classes = self._task.classes
        if column != self.getOrDefault(self.predictionCol):
            return {"ml_attr": {"num_attrs": classes}}
        if self._task.kind != "classification" or self.head().kind != "classification":
            return {}
        labels = self.labels
        about = {"num_vals": classes} if labels is None else {"vals": labels}
        return {"ml_attr": {"type": "nominal", "name": column, **about}}

    def _transform(self, dataset: DataFrame) -> DataFrame:
        owner = f"{type(self).__name__}.transform"
        frames.check_frame(dataset, owner, "SparkModel.predict")
        self.transformSchema(dataset.schema)
        head, invalid = self.head(), self.getOrDefault(self.handleInvalid)
        fields = frames.features(dataset.schema, self._read_columns(), self._model)
        column = inference.outputs(
            self._sent_to(dataset.sparkSession),
            fields,
            [head],
            count=stages.count_frame(dataset, "Transforming", self.getOrDefault(self.verbose)),
            **self._inference(),
        )
        about = {name: self._metadata(name) for name in head.fields}
        names = [name for one in fields for name in one.sources]
        found = inference.added(dataset, column, [head], about, names)
        if invalid != "skip":
            return found
        return found.where(found[frames.quoted(next(iter(head.fields)))].isNotNull())

    def udf(self, only: str | None = None, session: SparkSession | None = None) -> Any:
        """A function for SQL, which takes the features: `spark.udf.register("score", f.udf())`.

        Args:
            only: the name of the one column that is wanted. Default: that of the prediction.
                "*": a struct of all.
            session: a SparkSession. Default, the active one.

        Returns:
            A function of a column for each of the model's inputs; or, for a model of one input,
            of several columns of numbers. Vectors come as arrays of doubles.
        """
        from pyspark.sql import SparkSession

        found = session or SparkSession.getActiveSession()
        if found is None:
            raise ValueError("There is no active SparkSession: give udf(session=…).")
        head = self.head()
        first = only or next(iter(head.fields))
        if first != "*" and first not in head.fields:
            raise ValueError(
                f"`only` must be one of {list(head.fields)}, or '*'. Received: only={only!r}"
            )
        return inference.udf(
            self._sent_to(found),
            [head],
            None if first == "*" else first,
            **self._inference(),
        )

    def _sent_to(self, session: Any) -> inference.Sent:
        key = session.session_id if is_connect(session) else session.sparkContext.applicationId
        with _LOCK:
            if key not in self._sent:
                self._sent[key] = inference.send(session, self._model)
            return self._sent[key]

    def predict(self, value: Any) -> Any:
        """The prediction for one row of features: a Vector, or anything array-like; for a model of
        several inputs a list of them, in the order of the inputs.

        Returns:
            A float; a DenseVector for several targets, a list of labels' numbers for several
            labels, else an array.
        """
        found = self._of(value)[self._named("predictionCol")]
        if self.head().kind == "multilabel":
            return heads.numbers(found[None])[0].tolist()
        return _plain(found)

    def _named(self, param: str) -> str:
        return str(self.getOrDefault(param))

    def _of(self, value: Any) -> dict[str, np.ndarray]:
        """All fields for one row."""
        given = self._model.predict(self._one_row(value), verbose=0)
        head = self.head()
        # `predict` has gone through the activation already.
        head = replace(head, link=None, fused=False) if head.fused else head
        return {name: one[0] for name, one in head.values(torch.as_tensor(given)).items()}

    def _one_row(self, value: Any) -> Any:
        """One row of features as a batch."""
        inputs = self._model.input_structure
        shapes = inputs.leaves(self._model.input_shape)
        values = [value] if len(shapes) == 1 else list(value)
        if len(values) != len(shapes):
            raise ValueError(
                f"The model has {len(shapes)} inputs ({inputs.labels()}): give a value for each. "
                f"Received: {len(values)} values"
            )
        several = [_batch(one, shape[1:]) for one, shape in zip(values, shapes, strict=True)]
        return inputs.pack(several)

    def write(self) -> MLWriter:
        """What writes the stage to a path of any of Spark's file systems."""
        from elephas_torch.ml import persistence

        return persistence.writer(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What reads a stage that `write` or `save` wrote."""
        from elephas_torch.ml import persistence

        return persistence.reader(cls)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_sent": {}}

    def __repr__(self) -> str:
        loss = None if self._model.compiled is None else self._model.loss
        about = {
            "uid": self.uid,
            "kind": self._task.kind,
            "loss": getattr(loss, "name", loss),
            "numClasses": self._task.classes,
            "numFeatures": self.numFeatures,
        }
        known = ", ".join(f"{name}={value}" for name, value in about.items() if value is not None)
        return f"{type(self).__name__}: {known}"


class ElephasTransformer(Fitted, Classes):
    """A trained model that adds its predictions to a DataFrame.

    `transform` is lazy, and keeps all columns, the rows' order and their partitions. Its form
    follows from the model: classes give `predictionCol` (a double), `probabilityCol` and
    `rawPredictionCol` (vectors); several labels at once an array of their numbers, and the same
    vectors; numbers a double or a vector; anything else an array. An empty name leaves a column
    out.

    Args:
        model: a built model of `elephas_torch.keras`.
        keras_model_config, weights: in its place, as elephas has it: the model as JSON, and its
            weights as arrays.
        model_type: a `ModelType`, where the model isn't compiled. Default, told by its last
            activation.
        history: what `history` gives.
        **params: any param; see `explainParams()`.

    Raises:
        TypeError: an argument that nobody knows, or no model.
    """

    def head(self) -> Head:
        """What becomes of the model's output."""
        if not self._task.classifies:
            return super().head()
        prediction = self.getOrDefault(self.predictionCol) or None
        if not self.getOrDefault(self.predictClasses):
            return heads.head(self._model, "array", prediction=prediction)
        return heads.head(
            self._model,
            self._task.kind,
            prediction=prediction,
            probability=self.getOrDefault(self.probabilityCol) or None,
            raw=self.getOrDefault(self.rawPredictionCol) or None,
            thresholds=self.getOrDefault(self.thresholds),
        )


class ElephasClassificationModel(ElephasTransformer):
    """An `ElephasTransformer` of classes, as `ElephasClassifier` gives it."""

    @property
    def numClasses(self) -> int:
        """How many classes there are."""
        return self._task.classes or 0

    def predictRaw(self, value: Any) -> DenseVector:
        """The raw scores of one row of features."""
        return DenseVector(self._of(value)[self._named("rawPredictionCol")])

    def predictProbability(self, value: Any) -> DenseVector:
        """The probability of each class for one row of features."""
        return DenseVector(self._of(value)[self._named("probabilityCol")])


class ElephasRegressionModel(Fitted):
    """An `ElephasTransformer` of numbers, as `ElephasRegressor` gives it."""


# Registered in place of inherited: Spark's classes have the same params in another order.
ElephasTransformer.register(ElephasRegressionModel)
ProbabilisticClassificationModel.register(ElephasClassificationModel)
RegressionModel.register(ElephasRegressionModel)


def class_of(task: Task) -> type[Fitted]:
    """The fitted stage's class."""
    if task.kind == "classification":
        return ElephasClassificationModel
    return ElephasRegressionModel if task.kind == "regression" else ElephasTransformer


def _given_task(state: Mapping[str, Any], model: Model) -> Task:
    task, model_type = state["task"], state["model_type"]
    if isinstance(task, Task):
        return task
    if task is not None:
        return Task(**task)
    if isinstance(model_type, str):
        model_type = as_model_type(model_type)
    return tasks.task_of_outputs(model, model_type)


def _batch(value: Any, shape: Sequence[int | None]) -> np.ndarray:
    row = value.toArray() if isinstance(value, Vector) else np.asarray(value)
    free = None in shape and row.ndim == len(shape)
    known = row.shape if free else tuple(1 if one is None else one for one in shape)
    if row.size != np.prod(known, dtype=int):
        raise ValueError(
            f"A row of features has {np.prod(known, dtype=int)} numbers (in the shape "
            f"{tuple(shape)}). Received: {row.size} of shape {row.shape}"
        )
    return row.reshape(1, *known)


def _size(shape: Sequence[int | None]) -> int | None:
    known = [one for one in shape[1:] if one is not None]
    return None if len(known) < len(shape) - 1 else int(np.prod(known, dtype=int))


def _plain(value: Any) -> Any:
    if np.ndim(value) == 0:
        return float(value)
    return DenseVector(value) if np.ndim(value) == 1 else np.asarray(value)
