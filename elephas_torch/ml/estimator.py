"""`ElephasEstimator`, `ElephasClassifier`, `ElephasRegressor`: a Keras-style model as a stage of
Spark's pipelines.

Follows https://spark.apache.org/docs/latest/ml-pipeline.html
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark import SparkContext
from pyspark.ml import Estimator
from pyspark.ml.classification import ProbabilisticClassifier
from pyspark.ml.regression import Regressor
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter

from elephas_torch import frames
from elephas_torch.config import NAMES
from elephas_torch.errors import DataError
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.models import Model
from elephas_torch.ml import models, tasks, transformer
from elephas_torch.ml.naming import signature, snake
from elephas_torch.ml.params import Classes, Training
from elephas_torch.ml.tasks import Label, Task
from elephas_torch.ml.transformer import Fitted
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.model_utils import ModelType

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

logger = logging.getLogger(__name__)


class Trainer(Training, Estimator[Any], MLWritable, MLReadable[Any]):
    """What the estimators of this module have in common."""

    _model_type: ClassVar[ModelType | None] = None

    def __init__(self, sc: Any = None, model: Any = None, **params: Any) -> None:
        super().__init__()
        # Models made of kerasModelConfig, so that all fits start from the same weights. Copies
        # of this estimator share them.
        self._made: dict[str, Model] = {}
        self.setParams(**self._given(sc, model, params))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = signature(cls._param_names())  # type: ignore[attr-defined]

    def _given(self, sc: Any, model: Any, params: dict[str, Any]) -> dict[str, Any]:
        if isinstance(sc, Model) and model is None:
            sc, model = None, sc
        if sc is not None and not isinstance(sc, SparkContext) and not hasattr(sc, "sql"):
            raise TypeError(
                f"`sc` must be a SparkContext, and may be left out. Received: sc={sc!r}"
            )
        return params if model is None else {"model": model, **params}

    def _fit(self, dataset: DataFrame) -> Any:
        frames.check_frame(dataset, f"{type(self).__name__}.fit", "SparkModel.fit")
        schema, columns = dataset.schema, self._read_columns()
        label = Label.of(schema, self.getLabelCol(), self.features())
        for name in _listed(self.features()):
            frames.checked_name(schema, name, columns.called("features_col"))
        model = self._start()
        if not model.built and model.has_call:
            frames.build(model, dataset, columns, frames.cluster_of(dataset.sparkSession))
        task = self._task(model, label) if model.built else None
        if task is not None:
            # What it couldn't say afterwards isn't worth training for.
            self._stage(model, task).check()
        rows, label_col = self._one_hot(dataset, task)
        columns = replace(
            self._read_columns(label_col),
            weight=self.getWeightCol() or None,
            validation=self.getValidationIndicatorCol() or None,
        )
        # SparkModel looks again, and calls its arguments by their own names.
        frames.layout(rows.schema, columns, model)
        trained = self._spark_model(model)
        with _telling(label, label_col, task):
            self._train(trained, rows, columns)
        return self._fitted(trained, task or self._task(model, label), label)

    def _train(self, trained: SparkModel, rows: Any, columns: frames.Columns) -> None:
        trained.fit(
            rows,
            epochs=self.getEpochs(),
            verbose=self.getVerbose(),
            callbacks=self.getCallbacks(),
            validation_split=self.getValidationSplit(),
            shuffle=self.getShuffle(),
            class_weight=self.getClassWeight(),
            features_col=columns.features,
            label_col=columns.label,
            weight_col=columns.weight,
            validation_indicator_col=columns.validation,
            handle_invalid=columns.invalid,
            checkpoint_dir=self.getCheckpointDir(),
            checkpoint_every=self.getCheckpointEvery(),
            resume=self.getResume(),
        )

    def get_config(self) -> dict[str, Any]:
        """Params that are set or have a default, by their names in snake_case, as elephas's."""
        return {snake(param.name): value for param, value in self.extractParamMap().items()}

    def _start(self) -> Model:
        """The model as training starts: a copy, compiled, with its first weights."""
        model = models.compiled(
            self._new_model(),
            loss=self.getLoss(),
            metrics=self.getMetrics(),
            optimizer=self.getOptimizerConfig(),
            custom_objects=self.getCustomObjects(),
        )
        initial = self.getInitialModel()
        if initial is not None:
            models.start_from(model, initial)
        return model

    def _new_model(self) -> Model:
        given = {
            name: self.getOrDefault(name)
            for name in ("model", "modelBuilder", "kerasModelConfig")
            if self.getOrDefault(name) is not None
        }
        if len(given) > 1:
            # A builder in a grid of params comes in place of the model.
            given.pop("model", None)
        if "modelBuilder" in given:
            more = self.getModelParams() or {}
            return models.from_builder(given["modelBuilder"], self._values(), more)
        if "kerasModelConfig" in given:
            return models.copied(self._made_of(given["kerasModelConfig"]))
        found = given.get("model") or self.getInitialModel()
        if found is None:
            raise ValueError(
                f"{type(self).__name__} has no model: give it model=…, modelBuilder=… or "
                "kerasModelConfig=…."
            )
        return models.copied(found if isinstance(found, Model) else found.model)

    def _made_of(self, text: str) -> Model:
        if text not in self._made:
            self._made[text] = models.from_json(text, self.getCustomObjects())
        return self._made[text]

    def _values(self) -> dict[str, Any]:
        """All params that are known, by their names in Spark's and in Python's spelling."""
        found = {}
        for param in self.params:
            if self.isDefined(param):
                found[param.name] = found[snake(param.name)] = self.getOrDefault(param)
        return found

    def get_model(self) -> Model:
        """A model as training would start from: a copy, compiled."""
        return self._start()

    def _task(self, model: Model, label: Label) -> Task:
        task = tasks.task_of(
            model, label, self._model_type, self.getCategoricalLabels(), self.getNbClasses()
        )
        if self._model_type is None:
            logger.info(
                "%s: the loss %r says that %s is what to fit.",
                self.uid, _called(model.loss), transformer.class_of(task).__name__,
            )  # fmt: skip
        return task

    def _one_hot(self, dataset: DataFrame, task: Task | None) -> tuple[Any, str]:
        """The rows, with classes as one-hot arrays where the loss itself doesn't make them."""
        name = self.getLabelCol()
        if task is None or not task.one_hot:
            return dataset, name
        assert task.classes is not None
        made = f"{name}_one_hot_{self.uid[-12:]}"
        several = task.kind == "multilabel"
        return dataset.withColumn(made, _hot(name, task.classes, several)), made

    def _spark_model(self, model: Model) -> SparkModel:
        settings = {name: value for name, value in self._values().items() if name in NAMES}
        if settings["seed"] is not None:  # Spark's may be negative
            settings["seed"] %= 2**31
        optimizer = settings["optimizer"] = copy.deepcopy(self.getOptimizer())
        rate = self.getLearningRate()
        if rate is not None:
            stepping = optimizer if self.getFrequency() == "batch" else None
            (stepping or model.optimizer).learning_rate = rate
        return SparkModel(model=model, custom_objects=self.getCustomObjects(), **settings)

    def _fitted(self, trained: SparkModel, task: Task, label: Label) -> Any:
        model = trained.master_network
        return self._stage(
            model,
            task,
            history=dict(model.history.history) if model.history is not None else {},
            training_histories=trained.training_histories,
            label_metadata=label.metadata,
        )

    def _stage(self, model: Model, task: Task, **state: Any) -> Any:
        fitted = transformer.class_of(task)(model=model, task=task, **state)
        fitted._resetUid(self.uid)
        return self._copyValues(fitted)

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Fits a model for each map of params; safe to use from several threads.

        Callbacks are copied for each: they keep count of what they saw.
        """
        maps = list(paramMaps)
        callbacks = self.getCallbacks()
        if callbacks and len(maps) > 1:
            own = self.callbacks
            maps = [{own: _copies(one.get(own, callbacks)), **_without(one, own)} for one in maps]
        return super().fitMultiple(dataset, maps)

    def write(self) -> MLWriter:
        """What writes the stage to a path of any of Spark's file systems."""
        from elephas_torch.ml import persistence

        return persistence.writer(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What reads a stage that `write` or `save` wrote."""
        from elephas_torch.ml import persistence

        return persistence.reader(cls)


@contextlib.contextmanager
def _telling(label: Label, name: str, task: Task | None) -> Iterator[None]:
    """Says what arrays of class numbers need, where labels that are arrays don't fit."""
    try:
        yield
    except DataError as error:
        several = label.listed and task is not None and task.kind == "multilabel"
        about = "targets" in str(error) or repr(name) in str(error)
        if not (several and about):
            raise
        raise DataError(
            f"{error} If {name!r} has arrays of class numbers, set categoricalLabels=True."
        ) from None


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _hot(name: str, classes: int, several: bool) -> Column:
    """A column of class numbers, or of arrays of them, as arrays of 0 and 1."""
    from pyspark.sql import functions as F

    label = F.col("`" + name.replace("`", "``") + "`")
    if several:
        listed = label.cast("array<double>")
        marks = [F.array_contains(listed, float(number)) for number in range(classes)]
        once = F.size(F.array_distinct(listed)) == F.size(listed)
        fits = once & F.forall(listed, lambda one: one.isin(*range(classes)))
    else:
        marks = [label == number for number in range(classes)]
        fits = label.isin(*range(classes))
    what = "arrays of class numbers, each once" if several else "class numbers"
    wrong = F.raise_error(
        F.concat(
            F.lit(f"The column '{name}' must have {what}, 0 to {classes - 1}; it has "),
            F.to_json(label) if several else label.cast("string"),
        )
    )
    hot = F.array(*[mark.cast("double") for mark in marks])
    return F.when(label.isNull(), None).when(fits, hot).otherwise(wrong)


def _called(loss: Any) -> str:
    return getattr(loss, "name", None) or str(loss)


def _without(params: dict[Any, Any], one: Any) -> dict[Any, Any]:
    return {param: value for param, value in params.items() if param != one}


def _copies(callbacks: Sequence[Callback]) -> list[Callback]:
    several = []
    for one in callbacks:
        try:
            # Its model is the last fit's, and none of its own.
            several.append(copy.deepcopy(one, {id(getattr(one, "_model", None)): None}))
        except TypeError:  # a file or a lock in it
            several.append(copy.copy(one))
    return several


class ElephasEstimator(Trainer, Classes):
    """Trains a model on a DataFrame. The loss says for what: with a crossentropy the fitted stage
    classifies (`ElephasClassificationModel`), with 'mse' and the like it gives numbers
    (`ElephasRegressionModel`).

    All arguments are params: `explainParams()` tells of each. They have Spark's names
    (`featuresCol`, `batchSize`), and the same in snake_case and as elephas has them
    (`nb_epoch`, `categorical`); so have their setters and getters.

    Args:
        sc: a SparkContext, as elephas's first versions wanted it. It may be left out.
        model: a compiled model of `elephas_torch.keras`. It isn't changed: each fit trains a copy
            that starts from its weights.
        **params: any param. One of `model`, `modelBuilder` and `kerasModelConfig` is needed.

    Raises:
        TypeError: an argument that nobody knows; the message has the nearest one.
        ValueError: a value that is out of range.

    Example::

        >>> estimator = ElephasEstimator(model=model, epochs=5, batchSize=64, labelCol="index")
        >>> fitted = estimator.fit(train)
        >>> fitted.transform(test).select("prediction", "probability")
    """


class ElephasClassifier(ElephasEstimator):
    """`ElephasEstimator` for classes: labels are class numbers or one-hot vectors, and the fitted
    stage is an `ElephasClassificationModel`. A loss that measures no classes is an error."""

    _model_type = ModelType.CLASSIFICATION


class ElephasRegressor(Trainer):
    """`ElephasEstimator` for numbers: the fitted stage is an `ElephasRegressionModel`. A loss that
    measures classes is an error."""

    _model_type = ModelType.REGRESSION


# Registered in place of inherited: Spark's classes have the same params in another order.
ElephasEstimator.register(ElephasRegressor)
ProbabilisticClassifier.register(ElephasClassifier)
Regressor.register(ElephasRegressor)

__all__ = ["ElephasClassifier", "ElephasEstimator", "ElephasRegressor", "Fitted", "Trainer"]
