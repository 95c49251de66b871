"""The params of the estimators and transformers, with Spark's names, defaults and checks.

Follows https://spark.apache.org/docs/latest/api/python/reference/pyspark.ml.html#parameters
"""

from __future__ import annotations

from collections.abc import Callable
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

from elephas_torch import config
from elephas_torch import device as devices
from elephas_torch.config import NAMES, Config
from elephas_torch.frames import Columns
from elephas_torch.keras.serialization import check_custom_objects
from elephas_torch.ml import checks
from elephas_torch.ml.naming import Named, snake
from elephas_torch.parameter import codec, slow

#: Params whose values are Python code or hold it: no file can keep them.
CODE = ("callbacks", "customObjects", "initialModel", "modelBuilder")

F = TypeVar("F", bound="Features")


def _param(name: str, doc: str, convert: Callable[[Any], Any]) -> Param[Any]:
    return Param(Params._dummy(), name, doc, typeConverter=partial(_optional, convert))


# A function of a module, and no closure: stages are pickled with their params.


def _optional(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


class Features(Named, HasFeaturesCol, HasLabelCol, HasPredictionCol, HasHandleInvalid):
    """Columns, and what is done with rows that have nothing in them."""

    featuresCols = _param(
        "featuresCols",
        "names of several features columns, in place of featuresCol: for a model of one input "
        "numeric columns that make one row, for a model of several inputs a column for each.",
        checks.column_names,
    )
    handleInvalid = _param(
        "handleInvalid",
        "what to do with rows that have null (or NaN) in a column that is read: 'error' counts "
        "them and raises, 'skip' leaves them out, 'keep' takes NaN as features.",
        checks.invalid,
    )
    inferenceBatchSize = _param(
        "inferenceBatchSize",
        "rows that the fitted model computes at once; on a GPU more, unless it is set.",
        partial(checks.whole, "inferenceBatchSize"),
    )
    device = _param(
        "device",
        "what workers compute on, and the fitted model: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.",
        devices.checked,
    )
    customObjects = _param(
        "customObjects",
        "name -> class or function: layers, losses and functions of one's own, for loading.",
        check_custom_objects,
    )
    verbose = _param(
        "verbose",
        "0 silent, 1 a bar, of the fitted model's transform too, 2 a line an epoch, 'auto'.",
        checks.verbose,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            featuresCols=None,
            handleInvalid="error",
            inferenceBatchSize=256,
            device="auto",
            customObjects=None,
            verbose=0,
        )

    def _inference(self) -> dict[str, Any]:
        """How the fitted model computes, as `inference` takes it."""
        size = self.inferenceBatchSize
        return {
            "batch_size": self.getOrDefault(size) if self.isSet(size) else None,
            "invalid": self.getOrDefault(self.handleInvalid),
            "device": self.getOrDefault(self.device),
        }

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
        partial(checks.flag, "predictClasses"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(predictClasses=True, thresholds=None)


class Training(Features, HasWeightCol, HasValidationIndicatorCol, HasSeed):
    """What is trained, and how."""

    model = _param(
        "model",
        "a model of elephas_torch.keras. A copy is trained: each fit starts from its weights.",
        checks.model,
    )
    modelBuilder = _param(
        "modelBuilder",
        "a function that returns a model, called at each fit. It gets the params that it has "
        "arguments for, by any of their names, and modelParams; or all params, as a dict, where "
        "its one argument has another name. A string is the name that it is registered under.",
        checks.builder,
    )
    modelParams = _param(
        "modelParams", "arguments of modelBuilder's, by name.", checks.model_params
    )
    kerasModelConfig = _param(
        "kerasModelConfig", "the model as JSON: what model.to_json() gives.", checks.model_json
    )
    initialModel = _param(
        "initialModel", "a fitted model, whose weights training starts from.", checks.initial
    )
    epochs = _param("epochs", "times that the rows are gone through; also maxIter.",
                    partial(checks.whole, "epochs"))  # fmt: skip
    batchSize = _param("batchSize", "rows a step and worker.", partial(checks.whole, "batchSize"))
    learningRate = _param(
        "learningRate",
        "of the optimizer that gradients go to: in place of the compiled one's (or, with "
        "frequency 'batch' and `optimizer`, of that one's).",
        checks.rate,
    )
    loss = _param("loss", "a loss, in place of the compiled one.", checks.as_it_is)
    metrics = _param("metrics", "metrics, in place of the compiled ones.", checks.as_it_is)
    optimizer = _param(
        "optimizer",
        "what the parameter server steps with: a name, an object or a config. Default: with "
        "frequency 'batch' the compiled one, else plain averaging.",
        checks.server_optimizer,
    )
    optimizerConfig = _param(
        "optimizerConfig",
        "an optimizer to compile the model with: a name, a config or an object.",
        checks.compiled_optimizer,
    )
    mode = _param("mode", "'asynchronous', 'synchronous' or 'hogwild'.", config.checked_mode)
    frequency = _param(
        "frequency",
        "when workers exchange with the server: 'epoch', 'batch', or an integer H: every H "
        "batches.",
        config.checked_frequency,
    )
    exchange = _param(
        "exchange",
        "'server', or in synchronous mode 'allreduce': workers exchange among themselves.",
        config.checked_exchange,
    )
    numWorkers = _param(
        "numWorkers",
        "tasks that train at once. Default: as many as there are partitions, at most the "
        "cluster's slots.",
        config.checked_workers,
    )
    validationSplit = _param(
        "validationSplit",
        "the share of rows, each partition's last ones, to validate with.",
        checks.share,
    )
    shuffle = _param(
        "shuffle", "each epoch takes the rows in a new order.", partial(checks.flag, "shuffle")
    )
    classWeight = _param(
        "classWeight", "class number -> weight of its rows in the loss.", checks.class_weight
    )
    categoricalLabels = _param(
        "categoricalLabels",
        "True: the label column has class numbers; where a row has several labels, arrays of "
        "them. Default: told by the loss.",
        partial(checks.flag, "categoricalLabels"),
    )
    nbClasses = _param(
        "nbClasses",
        "number of classes. Default: the model's outputs.",
        partial(checks.whole, "nbClasses"),
    )
    callbacks = _param(
        "callbacks", "callbacks; they run on the driver at the ends of epochs.", checks.callbacks
    )
    seed = _param(
        "seed",
        "of the order of batches and of dropout. Default: drawn at each fit.",
        TypeConverters.toInt,
    )
    staleness = _param(
        "staleness",
        "'scale' divides an asynchronous update by the versions it missed plus 1; None doesn't.",
        config.checked_staleness,
    )
    memory = _param(
        "memory",
        "what a worker's rows may take of its memory: '512m', '2g'; more goes to its disk.",
        checks.memory_size,
    )
    compression = _param(
        "compression",
        "'bf16', 'int8', 'topk' or ('topk', share): in how many bytes updates and weights travel. "
        "Default: as float32.",
        codec.checked,
    )
    quorum = _param(
        "quorum",
        "in synchronous mode, the share of the workers whose updates close a round.",
        slow.checked_quorum,
    )
    stalenessBound = _param(
        "stalenessBound",
        "in modes 'asynchronous' and 'hogwild', how many exchanges a worker may be ahead of the "
        "slowest one.",
        slow.checked_bound,
    )
    gpusPerTask = _param(
        "gpusPerTask",
        "GPUs that Spark is asked for, for each task of the training alone: 1, or a fraction.",
        devices.checked_share,
    )
    sharedMemory = _param(
        "sharedMemory",
        "whether workers on the server's machine exchange by memory that they share with it.",
        partial(checks.flag, "sharedMemory"),
    )
    overlap = _param(
        "overlap",
        "whether workers compute while their updates are on the way.",
        partial(checks.flag, "overlap"),
    )
    numShards = _param(
        "numShards",
        "server processes that hold a piece of the weights each.",
        partial(checks.whole, "numShards"),
    )
    port = _param("port", "of the parameter server; 0: a free one.", config.checked_port)
    host = _param(
        "host", "the driver's address that executors reach.", partial(checks.text, "host")
    )
    joinTimeout = _param(
        "joinTimeout", "seconds to wait for all workers of the first round, and for executors.",
        partial(checks.seconds, "joinTimeout"),
    )  # fmt: skip
    roundTimeout = _param(
        "roundTimeout", "seconds that a worker waits for the others of its round.",
        partial(checks.seconds, "roundTimeout"),
    )  # fmt: skip
    lease = _param(
        "lease",
        "seconds of silence after which a worker is left out.",
        partial(checks.seconds, "lease"),
    )

    connectTimeout = _param(
        "connectTimeout",
        "seconds that a worker's connection to the server may take to be made.",
        partial(checks.seconds, "connectTimeout"),
    )
    slotsTimeout = _param(
        "slotsTimeout",
        "seconds that a fit waits for slots which other fits of this driver have.",
        partial(checks.seconds, "slotsTimeout"),
    )
    reconnectTimeout = _param(
        "reconnectTimeout",
        "seconds for which a worker tries to reach a server that is gone.",
        partial(checks.seconds, "reconnectTimeout"),
    )
    serverRestarts = _param(
        "serverRestarts",
        "how often the server is started again, where there is a checkpointDir.",
        partial(checks.whole, "serverRestarts", least=0),
    )
    checkpointDir = _param(
        "checkpointDir",
        "a folder for the checkpoints of one fit; not for tuning, which makes many.",
        partial(checks.text, "checkpointDir"),
    )
    checkpointEvery = _param(
        "checkpointEvery",
        "a checkpoint after so many epochs, or after such a time: '10m'.",
        checks.how_often,
    )
    resume = _param(
        "resume",
        "whether to go on from the last checkpoint in checkpointDir, if there is one.",
        partial(checks.flag, "resume"),
    )

    _NOT_GIVEN: ClassVar[tuple[str, ...]] = (
        "callbacks", "categoricalLabels", "checkpointDir", "classWeight", "initialModel",
        "kerasModelConfig", "learningRate", "loss", "metrics", "model", "modelBuilder",
        "modelParams", "nbClasses", "optimizerConfig", "validationIndicatorCol", "weightCol",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        settings = (name for name in self._param_names() if snake(name) in NAMES)
        self._setDefault(
            **dict.fromkeys(self._NOT_GIVEN),
            **{name: getattr(Config, snake(name)) for name in settings},
            epochs=10,
            validationSplit=0.0,
            shuffle=True,
            checkpointEvery=1,
            resume=False,
        )
