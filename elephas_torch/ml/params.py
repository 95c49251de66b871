"""The params of the estimators and transformers, with Spark's names, defaults and checks.

Follows https://spark.apache.org/docs/latest/api/python/reference/pyspark.ml.html#parameters
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasHandleInvalid,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasThresholds,
    HasValidationIndicatorCol,
    HasWeightCol,
)

from elephas_torch import arguments, memory
from elephas_torch.errors import unknown
from elephas_torch.frames import INVALID, Columns
from elephas_torch.keras import optimizers as keras_optimizers
from elephas_torch.keras.arguments import (
    check_class_weight,
    check_flag,
    check_share,
    check_whole,
)
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.models import Model
from elephas_torch.keras.serialization import check_custom_objects
from elephas_torch.ml.naming import Named
from elephas_torch.optimizers import Optimizer
from elephas_torch.optimizers.base import not_negative, positive

#: Params whose values are Python code or hold it: no file can keep them.
CODE = ("callbacks", "customObjects", "initialModel", "modelBuilder")
#: Params whose values are objects of this package, that have a config.
OBJECTS = ("loss", "metrics", "model", "optimizer", "optimizerConfig")

F = TypeVar("F", bound="Features")


def _param(name: str, doc: str, convert: Callable[[Any], Any]) -> Param[Any]:
    return Param(Params._dummy(), name, doc, typeConverter=partial(_optional, convert))


# Converters are functions of a module, and no closures: stages are pickled with their params.


def _optional(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


def _as_it_is(value: Any) -> Any:
    # Names may be of custom objects, which may be set later: `fit` looks them up.
    return value


def _whole(name: str, value: Any, least: int = 1) -> int:
    check_whole(name, value, least)
    return int(value)


def _flag(name: str, value: Any) -> bool:
    check_flag(name, value)
    return bool(value)


def _seconds(name: str, value: Any) -> float:
    return float(positive("SparkModel", name, value))


def _rate(value: Any) -> float:
    return float(not_negative("SparkModel", "learningRate", value))


def _share(value: Any) -> float:
    check_share("validationSplit", value)
    return float(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string. Received: {name}={value!r}")
    return value


def _size(value: Any) -> Any:
    memory.parsed(value)
    return value


def column_names(value: Any) -> list[str]:
    """Returns a list of columns' names; raises TypeError where it is none."""
    listed = isinstance(value, list | tuple) and value
    if not listed or not all(isinstance(one, str) for one in value):
        raise TypeError(
            "`featuresCols` must be a list of columns' names, such as ['age', 'height']. "
            f"Received: featuresCols={value!r}"
        )
    return list(value)


def _invalid(value: Any) -> str:
    if value not in INVALID:
        raise unknown("handleInvalid", value, INVALID)
    return str(value)


def _verbose(value: Any) -> Any:
    if value not in (0, 1, 2, "auto"):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose={value!r}")
    return value if value == "auto" else int(value)


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"`modelParams` must be a dict by names. Received: modelParams={value!r}")
    return dict(value)


def _model(value: Any) -> Model:
    if not isinstance(value, Model):
        raise TypeError(
            "`model` must be a model of elephas_torch.keras, such as a Sequential; a torch module "
            "is wrapped with Model.from_torch(module, input_shape=…). "
            f"Received: model={value!r} (of type {type(value).__name__})"
        )
    return value


def _builder(value: Any) -> Any:
    if isinstance(value, str):  # a registered function's name, which a saved grid can hold
        return value
    if not callable(value) or isinstance(value, Model):
        raise TypeError(
            "`modelBuilder` must be a function that returns a model; a model itself goes with "
            f"`model`. Received: modelBuilder={value!r}"
        )
    return value


def _initial(value: Any) -> Any:
    if not isinstance(value, Model) and not isinstance(getattr(value, "model", None), Model):
        raise TypeError(
            "`initialModel` must be a fitted model, or a model of elephas_torch.keras. "
            f"Received: initialModel={value!r}"
        )
    return value


def _model_json(value: Any) -> str:
    """A model's config as JSON text."""
    text = json.dumps(value) if isinstance(value, Mapping) else value
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, dict) or "class_name" not in found:
        raise ValueError(
            "`kerasModelConfig` must be what model.to_json() gives. "
            f"Received: kerasModelConfig={str(value)[:80]!r}"
        )
    return str(text)


def _server_optimizer(value: Any) -> Optimizer | None:
    return arguments.checked_optimizer(_whole_config(value))


def _compiled_optimizer(value: Any) -> Any:
    value = _whole_config(value)
    keras_optimizers.get(value)  # raises where there is no such
    return value


def _whole_config(value: Any) -> Any:
    """A description of an optimizer; of elephas's time `optimizer.get_config()`, with its name."""
    if not isinstance(value, Mapping) or "class_name" in value or "name" not in value:
        return value
    return {"class_name": value["name"], "config": {k: v for k, v in value.items() if k != "name"}}


def _class_weight(value: Any) -> dict[int, float]:
    if isinstance(value, Mapping):  # JSON has only strings as keys
        value = {_number(key): weight for key, weight in value.items()}
    check_class_weight(value)
    return {int(number): float(weight) for number, weight in value.items()}


def _number(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdigit() else key


def _callbacks(value: Any) -> list[Callback]:
    several = list(value) if isinstance(value, list | tuple) else [value]
    for one in several:
        if not isinstance(one, Callback):
            raise TypeError(
                "`callbacks` must be callbacks of elephas_torch.keras.callbacks. "
                f"Received: callbacks={value!r}"
            )
    return several


def _staleness(value: Any) -> str | None:
    return arguments.checked_staleness(value)


class Features(Named, HasFeaturesCol, HasLabelCol, HasPredictionCol, HasHandleInvalid):
    """Columns, and what is done with rows that have nothing in them."""

    featuresCols = _param(
        "featuresCols",
        "names of several features columns, in place of featuresCol: for a model of one input "
        "numeric columns that make one row, for a model of several inputs a column for each.",
        column_names,
    )
    handleInvalid = _param(
        "handleInvalid",
        "what to do with rows that have null (or NaN) in a column that is read: 'error' counts "
        "them and raises, 'skip' leaves them out, 'keep' takes NaN as features.",
        _invalid,
    )
    inferenceBatchSize = _param(
        "inferenceBatchSize", "rows that the fitted model computes at once.",
        partial(_whole, "inferenceBatchSize"),
    )  # fmt: skip
    customObjects = _param(
        "customObjects",
        "name -> class or function: layers, losses and functions of one's own, for loading.",
        check_custom_objects,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            featuresCols=None, handleInvalid="error", inferenceBatchSize=256, customObjects=None
        )

    def features(self) -> str | list[str]:
        """The features column, or a list of them."""
        several: list[str] | None = self.getOrDefault(self.featuresCols)
        return several or self.getOrDefault(self.featuresCol)

    def _read_columns(self, label: str | None = None) -> Columns:
        """The columns that are read of each row, without weights and marks."""
        invalid = self.getOrDefault(self.handleInvalid)
        return Columns(self.features(), label, invalid=invalid, params=True)

    def _set(self: F, **params: Any) -> F:
        one = params.get("featuresCol")
        if isinstance(one, list | tuple):
            params["featuresCols"] = params.pop("featuresCol")
        elif one is not None and "featuresCols" not in params:
            self.clear(self.featuresCols)
        return super()._set(**params)

    def copy(self: F, extra: Any = None) -> F:
        """A copy with the same uid; `extra` overrides params."""
        that = super().copy(extra)
        if extra and self.featuresCol in extra and self.featuresCols not in extra:
            that.clear(that.featuresCols)
        return that


class Classes(Named, HasProbabilityCol, HasRawPredictionCol, HasThresholds):
    """What classifying gives besides the class."""

    predictClasses = _param(
        "predictClasses",
        "True: predictionCol has the class. False: the model's outputs, an array, as elephas's.",
        partial(_flag, "predictClasses"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(predictClasses=True, thresholds=None)


class Training(Features, HasWeightCol, HasValidationIndicatorCol, HasSeed):
    """What is trained, and how."""

    model = _param(
        "model",
        "a model of elephas_torch.keras. A copy is trained: each fit starts from its weights.",
        _model,
    )
    modelBuilder = _param(
        "modelBuilder",
        "a function that returns a model, called at each fit. It gets the params that it has "
        "arguments for, by any of their names, and modelParams; or all params, as a dict, where "
        "its one argument has another name. A string is the name that it is registered under.",
        _builder,
    )
    modelParams = _param("modelParams", "arguments of modelBuilder's, by name.", _arguments)
    kerasModelConfig = _param(
        "kerasModelConfig", "the model as JSON: what model.to_json() gives.", _model_json
    )
    initialModel = _param(
        "initialModel", "a fitted model, whose weights training starts from.", _initial
    )
    epochs = _param("epochs", "times that the rows are gone through; also maxIter.",
                    partial(_whole, "epochs"))  # fmt: skip
    batchSize = _param("batchSize", "rows a step and worker.", partial(_whole, "batchSize"))
    learningRate = _param(
        "learningRate",
        "of the optimizer that gradients go to: in place of the compiled one's (or, with "
        "frequency 'batch' and `optimizer`, of that one's).",
        _rate,
    )
    loss = _param("loss", "a loss, in place of the compiled one.", _as_it_is)
    metrics = _param("metrics", "metrics, in place of the compiled ones.", _as_it_is)
    optimizer = _param(
        "optimizer",
        "what the parameter server steps with: a name, an object or a config. Default: with "
        "frequency 'batch' the compiled one, else plain averaging.",
        _server_optimizer,
    )
    optimizerConfig = _param(
        "optimizerConfig",
        "an optimizer to compile the model with: a name, a config or an object.",
        _compiled_optimizer,
    )
    mode = _param("mode", "'asynchronous', 'synchronous' or 'hogwild'.", arguments.checked_mode)
    frequency = _param(
        "frequency",
        "when workers exchange with the server: 'epoch', 'batch', or an integer H: every H "
        "batches.",
        arguments.checked_frequency,
    )
    exchange = _param(
        "exchange",
        "'server', or in synchronous mode 'allreduce': workers exchange among themselves.",
        arguments.checked_exchange,
    )
    numWorkers = _param(
        "numWorkers",
        "tasks that train at once. Default: as many as there are partitions, at most the "
        "cluster's slots.",
        arguments.checked_workers,
    )
    validationSplit = _param(
        "validationSplit",
        "the share of rows, each partition's last ones, to validate with.",
        _share,
    )
    shuffle = _param(
        "shuffle", "each epoch takes the rows in a new order.", partial(_flag, "shuffle")
    )
    classWeight = _param(
        "classWeight", "class number -> weight of its rows in the loss.", _class_weight
    )
    categoricalLabels = _param(
        "categoricalLabels",
        "True: the label column has class numbers; where a row has several labels, arrays of "
        "them. Default: told by the loss.",
        partial(_flag, "categoricalLabels"),
    )
    nbClasses = _param(
        "nbClasses",
        "number of classes. Default: the model's outputs.",
        partial(_whole, "nbClasses"),
    )
    callbacks = _param(
        "callbacks", "callbacks; they run on the driver at the ends of epochs.", _callbacks
    )
    verbose = _param("verbose", "0 silent, 1 a bar, 2 a line an epoch, 'auto'.", _verbose)
    seed = _param(
        "seed",
        "of the order of batches and of dropout. Default: drawn at each fit.",
        TypeConverters.toInt,
    )
    staleness = _param(
        "staleness",
        "'scale' divides an asynchronous update by the versions it missed plus 1; None doesn't.",
        _staleness,
    )
    memory = _param(
        "memory",
        "what a worker's rows may take of its memory: '512m', '2g'; more goes to its disk.",
        _size,
    )
    compression = _param(
        "compression",
        "'bf16', 'int8', 'topk' or ('topk', share): in how many bytes updates and weights travel. "
        "Default: as float32.",
        arguments.checked_compression,
    )
    sharedMemory = _param(
        "sharedMemory",
        "whether workers on the server's machine exchange by memory that they share with it.",
        partial(_flag, "sharedMemory"),
    )
    overlap = _param(
        "overlap",
        "whether workers compute while their updates are on the way.",
        partial(_flag, "overlap"),
    )
    numShards = _param(
        "numShards",
        "server processes that hold a piece of the weights each.",
        partial(_whole, "numShards"),
    )
    port = _param("port", "of the parameter server; 0: a free one.", arguments.checked_port)
    host = _param("host", "the driver's address that executors reach.", partial(_text, "host"))
    joinTimeout = _param(
        "joinTimeout", "seconds that the first round waits for all workers.",
        partial(_seconds, "joinTimeout"),
    )  # fmt: skip
    roundTimeout = _param(
        "roundTimeout", "seconds that a worker waits for the others of its round.",
        partial(_seconds, "roundTimeout"),
    )  # fmt: skip
    lease = _param(
        "lease", "seconds of silence after which a worker is left out.", partial(_seconds, "lease")
    )

    _NOT_GIVEN: ClassVar[tuple[str, ...]] = (
        "callbacks", "categoricalLabels", "classWeight", "compression", "host", "initialModel",
        "kerasModelConfig", "learningRate", "loss", "memory", "metrics", "model", "modelBuilder",
        "modelParams", "nbClasses", "numWorkers", "optimizer", "optimizerConfig", "seed",
        "validationIndicatorCol", "weightCol",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            **dict.fromkeys(self._NOT_GIVEN),
            epochs=10,
            batchSize=32,
            mode="asynchronous",
            frequency="epoch",
            exchange="server",
            sharedMemory=True,
            overlap=False,
            numShards=1,
            validationSplit=0.0,
            shuffle=True,
            verbose=0,
            staleness="scale",
            port=0,
            joinTimeout=300.0,
            roundTimeout=3600.0,
            lease=60.0,
        )
