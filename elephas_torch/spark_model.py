"""`SparkModel`: a compiled Keras-style model, trained on an RDD by many workers.

Keeps elephas's API (https://github.com/maxpumperla/elephas), of its first and its later
versions.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
import torch
from pyspark import RDD, SparkContext

from elephas_torch import arguments, cluster, data, frames, memory, optimizers, preflight, scoring
from elephas_torch import device as devices
from elephas_torch import recovery as recovering
from elephas_torch.checkpoints import Checkpoints
from elephas_torch.config import NAMES, Config, checked_workers
from elephas_torch.errors import ModelFileError, unknown_arguments
from elephas_torch.keras import saving, trees
from elephas_torch.keras.arguments import (
    check_batch_size,
    check_class_weight,
    check_epochs,
    check_flag,
    check_known,
    check_share,
)
from elephas_torch.keras.callbacks import Callback, CallbackList, History
from elephas_torch.keras.callbacks.several import check_epochwise, wants_batches
from elephas_torch.keras.models import Model
from elephas_torch.keras.progress import Progress, resolve_verbose
from elephas_torch.keras.results import in_order, results, to_classes
from elephas_torch.keras.serialization import check_custom_objects
from elephas_torch.monitor import Monitor
from elephas_torch.optimizers import Optimizer
from elephas_torch.options import Options
from elephas_torch.plan import Plan
from elephas_torch.progress.fit import FitProgress
from elephas_torch.run import Run
from elephas_torch.sources import Source, as_it_is, of_rdd
from elephas_torch.utils.rdd_utils import to_simple_rdd

_FILE = "spark_model.json"


class SparkModel:
    """Trains a model on Spark through a parameter server.

    Args:
        sc: the SparkContext, or a SparkSession, also of Spark Connect; may be left out, as in
            later elephas: `SparkModel(model)`.
        model: a compiled model of `elephas_torch.keras` (a `Sequential`, or
            `Model.from_torch(module)`). It is trained in place and is `master_network`.
        optimizer: what the server steps with: a name or an object of
            `elephas_torch.optimizers`. Default None: with frequency 'batch' the compiled
            optimizer, else plain averaging, SGD(1.0).
        mode: 'asynchronous' (default), 'synchronous' or 'hogwild'.
        frequency: when workers exchange with the server: 'epoch' (default), 'batch', or an
            integer H: every H batches.
        exchange: 'server' (default), or in synchronous mode 'allreduce': workers add updates up
            among themselves, and only meet at the server.
        num_workers: tasks that train at once. Default: as many as the RDD has partitions, at
            most as many as the cluster has slots. Partitions are joined to as many without a
            shuffle where that leaves them even, else the rows are dealt out anew.
        custom_objects: name -> class or function, for loading.
        batch_size: rows a step, where `fit` or `train` doesn't say. Default 32.
        port: of the parameter server. Default 0: a free one. Also `spark.elephas.port`.
        host: the address of the driver that executors reach. Default: loopback in local mode,
            else `spark.driver.host`. Also `spark.elephas.host`.
        seed: of the order of batches and of dropout. Default None: drawn at each fit.
        staleness: 'scale' (default) divides an asynchronous update by the number of versions
            it missed, plus 1; None takes it as it is, as elephas does.
        join_timeout: seconds that the first round waits for all workers, and that any fit waits
            for executors while no task runs. Default 300.
        round_timeout: seconds that a worker waits for the others of its round. Default 3600.
        lease: seconds of silence after which a worker is left out. Default 60.
        memory: what a worker's rows may take of its memory, as Spark spells sizes: '512m', '2g',
            or bytes. Rows beyond it are streamed from the executor's disk, through a shuffle
            buffer of half the size. Default None: as long as a quarter of the executor's memory
            is free. Also `spark.elephas.memory`.
        shared_memory: True (default): workers on the server's own machine exchange updates with it
            by memory that both have; in mode 'hogwild' with plain SGD they change the weights
            there themselves. False: all updates go over HTTP, as those of other machines do.
        overlap: True: a worker goes on computing while its update is on the way, and takes the
            answer in before the next one. Worth it where the network takes about as long as the
            batches between two exchanges; updates are then one staler. Default False.
        num_shards: server processes that hold the weights, a piece each; workers push to all at
            once, over HTTP. Worth it where one server's processor or network is what all wait for:
            many workers, or hundreds of megabytes. With a fixed `port` they take as many ports
            from there on. Default 1.
        compression: 'bf16', 'int8', 'topk' (the 1 % of largest changes) or ('topk', share): in how
            many bytes updates and weights travel between machines. What is dropped of an update
            is added to the worker's next. Default None: as float32.
        connect_timeout: seconds that a worker's connection to the server may take to be made, and
            for which a first one that is cut is made anew. Default 15.
        reconnect_timeout: seconds for which a worker tries to reach a server that is gone, after
            which the driver takes one that is silent for fallen (after 5 at least), and after
            which the connection to a machine that has vanished without a word counts as cut.
            Default 120.
        slots_timeout: seconds that this fit waits for slots which other fits of this driver have.
            Default None: until they have ended; a warning says that it waits.
        server_restarts: how often the server is started again, where `fit` has a
            `checkpoint_dir`. Default 3.
        quorum: in synchronous mode the share of the workers whose updates close a round. The
            others' go into the next round, divided by the rounds that they missed plus 1 (with
            `staleness=None`: as they are). Results can't be repeated exactly then, and workers
            don't wait for callbacks. Default 1.0: a round waits for all.
        staleness_bound: in modes 'asynchronous' and 'hogwild', how many exchanges a worker may be
            ahead of the slowest one: it waits then. Default None: it never waits.
        device: what workers compute on. 'auto' (default): the GPU that Spark assigns to a task,
            else one of those that it sees, by its number, else the CPU. Or 'cpu', 'cuda' (a GPU, or
            an error), 'cuda:N', 'mps'. The driver needs no GPU.
        gpus_per_task: asks Spark for so many GPUs for each task of the training alone: 1, or a
            fraction such as 0.5, by which tasks share one. Needs a cluster whose executors have
            GPUs; not in local mode. Default None: as Spark's settings say.
        ssl: True: workers and server speak TLS, with a certificate made for each fit, which is the
            only one that its workers trust. Needs the package cryptography. Default False. Also
            `spark.elephas.ssl`.
        ssl_certfile, ssl_keyfile, ssl_keyfile_password: TLS with a certificate of your own: PEM
            files on the driver, and the key's password if it has one. Also
            `spark.elephas.ssl_certfile` and so on.

    Attributes:
        master_network: the model.
        config: the settings above, checked; each is an attribute, too, such as `mode`.
        training_histories: of the last fit, for each worker a dict of lists: loss, metrics and
            the seconds that each epoch took.

    Raises:
        ValueError: a mode, frequency or optimizer that doesn't exist, or a number out of range.
        TypeError: an argument that nobody knows (named with the nearest), or no model.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = arguments.constructor(type(self).__name__, args, kwargs)
        self._sc: Any = given.pop("sc", None)
        self.master_network: Model = arguments.checked_model(given.pop("model", None))
        self.custom_objects = check_custom_objects(given.pop("custom_objects", None))
        self.config = Config(**given)
        self.training_histories: list[dict[str, list[float]]] = []
        self._monitor = Monitor()

    def __getattr__(self, name: str) -> Any:
        """A setting, such as `spark_model.mode`."""
        if name in NAMES:
            return getattr(self.config, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in NAMES:
            name, value = "config", replace(self.config, **{name: value})
        super().__setattr__(name, value)

    @property
    def sc(self) -> Any:
        """The SparkContext: the one given, else the one that runs, else a new one; or the session
        of Spark Connect that was given."""
        return self._sc or SparkContext.getOrCreate()

    @arguments.rows_first
    def fit(
        self,
        rdd: RDD[Any],
        epochs: int = 1,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        initial_epoch: int = 0,
        num_workers: int | None = None,
        *,
        features_col: Any = "features",
        label_col: Any = "label",
        weight_col: str | None = None,
        validation_indicator_col: str | None = None,
        handle_invalid: str = "error",
        checkpoint_dir: Any = None,
        checkpoint_every: int | str = 1,
        resume: bool = False,
        **kwargs: Any,
    ) -> History:
        """Trains on an RDD or a DataFrame, with Keras's arguments and defaults.

        Args:
            rdd: of (features, label) pairs: NumPy arrays, tensors or lists of one shape each;
                see `elephas_torch.utils.rdd_utils.to_simple_rdd`. A third entry is the row's
                weight in the loss. Or a DataFrame.
            epochs: the number of the epoch to stop at. Default 1.
            batch_size: rows a step and worker. Default the constructor's, 32.
            verbose: 0 silent, 1 a bar, 2 a line an epoch, "auto" 1 in a terminal, else 2.
            callbacks: of `elephas_torch.keras.callbacks`; they run on the driver at the ends of
                epochs. In synchronous mode workers wait for them.
            validation_split: the share of rows, each partition's last ones, to validate with.
            shuffle: each worker takes its rows in a new order each epoch. Default True.
            class_weight: class number -> weight of its rows in the loss.
            initial_epoch: the number of the first epoch. Default 0.
            num_workers: for this fit, in place of the constructor's.
            features_col: of a DataFrame: a column of vectors, (nested) arrays, numbers, or
                images as bytes, which are reshaped to the model's input; or a list of columns:
                numbers that make one row of features, or one for each of the model's inputs
                (a dict by the inputs' names as well). Default "features".
            label_col: of a DataFrame: a column of class numbers, numbers, vectors or arrays; or a
                list, as features_col. Class numbers become one-hot where the loss takes that,
                and one-hot vectors class numbers. Default "label".
            weight_col: of a DataFrame: of the rows' weights in the loss. Default None.
            validation_indicator_col: of a DataFrame: of bools, true in rows that aren't trained
                on but validated with; in place of `validation_split`. Default None.
            handle_invalid: of a DataFrame: what to do with rows that have null or NaN. "error"
                (default), "skip" leaves them out, "keep" gives their features as NaN.
            checkpoint_dir: a folder for this fit's checkpoints, local or of any file system that
                Spark knows. With it a server that falls is started again, and an interrupted
                fit can be resumed. Default None: no checkpoints.
            checkpoint_every: a checkpoint after so many epochs, or after such a time ("10m"; in
                synchronous mode at the next end of an epoch, but for frequency 'batch').
                Default 1.
            resume: go on from the last checkpoint in `checkpoint_dir`, if there is one; all but
                `epochs`, `callbacks` and `verbose` must be as they were. Default False.
            **kwargs: `nb_epoch`, elephas's and Keras 1's name of `epochs`.

        Returns:
            A `History` of the whole job: loss and metrics are means over all workers' rows.

        Raises:
            ValueError, TypeError: an argument is out of range or unknown, or the model isn't
                compiled; before any Spark job starts.
            DataError: an empty RDD, or rows that don't fit; names the partition.
            ModelFileError: there are checkpoints, and none is whole.
            OSError: `checkpoint_dir` can't be made or read.
            WorkerError: a worker raised; shows its traceback.
        """
        config = self.config
        workers = config.num_workers if num_workers is None else num_workers
        if "nb_epoch" in kwargs:
            epochs = kwargs.pop("nb_epoch")
        check_known(SparkModel.fit, kwargs, arguments.INSTEAD)
        model = self.master_network
        model._needs_compile()
        columns = frames.Columns(
            features_col, label_col, weight_col, validation_indicator_col, handle_invalid
        )
        arguments.checked_rows(rdd)
        check_epochs(epochs, initial_epoch)
        size = config.batch_size if batch_size is None else check_batch_size(batch_size)
        check_share("validation_split", validation_split)
        check_class_weight(class_weight)
        check_flag("shuffle", shuffle)
        when = recovering.every(checkpoint_every)
        recovering.check_resume(resume, checkpoint_dir, when)
        source = self._source(rdd, columns, checked_workers(workers))
        setting = source.cluster.setting
        tls = arguments.tls_of(config.tls, setting, config.exchange)
        optimizer = self._server_optimizer()
        preflight.check(model, config.gradients, class_weight)
        preflight.check_sendable(optimizer)
        plan = Plan(
            every={"epoch": None, "batch": 1}.get(config.frequency, config.frequency),  # type: ignore[arg-type]
            gradients=config.gradients,
            epochs=epochs,
            initial_epoch=initial_epoch,
            batch_size=size,
            validation_split=validation_split,
            shuffle=bool(shuffle),
            class_weight=class_weight,
            seed=int(torch.randint(2**31, (1,))) if config.seed is None else config.seed,
            memory=memory.parsed(config.memory or setting("memory")),
            shared_memory=config.shared_memory,
            overlap=config.overlap,
            exchange=config.exchange,
            patience=config.reconnect_timeout,
            device=config.device,
            backends=devices.backends(),
        )
        recovery = None
        if checkpoint_dir is not None:
            checkpoints = Checkpoints(self.sc, checkpoint_dir, config.round_timeout)
            plan, recovery = recovering.prepared(
                checkpoints, when, resume, config, plan, model, optimizer, source.workers
            )
        scraping = arguments.metrics_token(setting("metrics_token_file"))
        options = Options(config, plan, optimizer, source.workers, tls, recovery, scraping)
        level = resolve_verbose(verbose)
        numbers = {"num_workers": source.workers, "batch_size": size, "seed": plan.seed}
        spark = {**self.get_config(), **numbers}
        params = {"epochs": epochs, "steps": None, "verbose": level, "spark": spark}
        hooks = CallbackList(callbacks, model, params)
        check_epochwise(hooks.callbacks)
        if ignored := wants_batches(hooks.callbacks):
            warnings.warn(
                f"{', '.join(ignored)}: hooks at batches are not called in SparkModel.fit, whose "
                "batches run on other machines; hooks at epochs are.",
                stacklevel=2,
            )
        progress = FitProgress(epochs, size, level)
        self.training_histories = []
        model.history = hooks.history
        if initial_epoch < epochs:
            self._execute(source, options, hooks, progress)
        return hooks.history

    def _execute(
        self, source: Source, options: Options, hooks: CallbackList, progress: FitProgress
    ) -> None:
        try:
            self._monitor.verbose = progress.verbose
            self._monitor.make_room()
            run = Run(source, self.master_network, options, hooks, progress, self._monitor)
            self.training_histories = run.execute()
            progress.finish()
        except BaseException as error:
            hooks.on_exception(error)
            raise
        finally:
            progress.close()
            self.master_network.eval()
            self._monitor.settle()

    def monitor(self, keep: bool = False) -> Monitor:
        """The page that shows a fit; in a notebook it shows itself. See docs/monitoring.md.

        Args:
            keep: let the page stay at its address when a fit is over, the last one too, until
                `monitor().close()` or the program's end. Default False: it goes with the fit.
        """
        check_flag("keep", keep)
        self._monitor.wanted = True
        if keep:
            self._monitor.stay()
        return self._monitor

    def train(
        self,
        rdd: RDD[Any],
        nb_epoch: int = 10,
        batch_size: int = 32,
        verbose: int | str = 0,
        validation_split: float = 0.1,
        num_workers: int | None = None,
        **kwargs: Any,
    ) -> History:
        """Trains on an RDD, with elephas's arguments and defaults; otherwise the same as `fit`."""
        known = {**signature(SparkModel.train).parameters, **signature(SparkModel.fit).parameters}
        if strangers := [name for name in kwargs if name not in known]:
            names = [name for name in known if name not in ("self", "kwargs")]
            raise unknown_arguments("train", strangers, names, arguments.INSTEAD)
        if "epochs" in kwargs:
            nb_epoch = kwargs.pop("epochs")
        return self.fit(
            rdd,
            epochs=nb_epoch,
            batch_size=batch_size,
            verbose=verbose,
            validation_split=validation_split,
            num_workers=num_workers,
            **kwargs,
        )

    def _server_optimizer(self) -> Optimizer:
        config = self.config
        compiled = self.master_network.optimizer
        default = compiled if config.gradients else optimizers.SGD(1.0)
        chosen = config.optimizer or default
        if config.mode != "synchronous" and getattr(chosen, "momentum", False):
            warnings.warn(
                f"{chosen} has momentum; with mode={config.mode!r} stale updates make that diverge "
                "easily. Use mode='synchronous', or an optimizer without momentum on the server.",
                stacklevel=3,
            )
        return chosen

    def _source(self, rows: Any, columns: frames.Columns, workers: int | None) -> Source:
        """Rows with a partition a worker; builds a model that doesn't know its input shape."""
        together, gpus = self.config.exchange == "allreduce", self.config.gpus_per_task
        if frames.is_frame(rows):
            model = self.master_network
            source: Source = frames.source(rows, columns, model, workers, together, gpus)
        else:
            cluster.prepare_python(rows.context)
            cluster.check_gpus(rows.context, gpus)
            source = of_rdd(rows, workers, together, gpus)
            self._build(rows)
        if self.config.mode != "synchronous":
            return source
        slots = source.cluster.slots(source.workers, exactly=True)
        if slots is not None and source.workers > slots:
            there = (
                f"{slots} slots. Set num_workers={slots}, or give" if slots else "no slots. Give"
            )
            raise ValueError(
                f"Synchronous training needs all workers at once: {source.workers} were asked "
                f"for, and the cluster has {there} Spark more cores. "
                f"Received: num_workers={source.workers}"
            )
        return source

    def _build(self, rdd: RDD[Any]) -> None:
        """Builds a model that doesn't know its input shape from the first row."""
        model = self.master_network
        if not model.built and model.has_call:
            first = rdd.take(1)
            if not first:
                raise ValueError("The RDD is empty: there is nothing to train on.")
            data.build(model, first[0])

    def predict(
        self,
        data: Any,
        batch_size: int | None = None,
        collect: bool = True,
        *,
        features_col: Any = "features",
        handle_invalid: str = "error",
        verbose: int | str = "auto",
        **kwargs: Any,
    ) -> Any:
        """Outputs of the model.

        Args:
            data: an array (predicted on the driver, on its CPU), or an RDD of features or of
                (features, label) pairs, or a DataFrame (predicted by the workers).
            batch_size: rows at once. Default 256; on a GPU as many as have 64 MB of features, 256
                to 4,096.
            collect: for an RDD: False gives an RDD of outputs in place of an array. A DataFrame
                with a column of predictions is what `ElephasTransformer` gives.
            features_col, handle_invalid: of a DataFrame, as in `fit`.
            verbose: of an RDD or a DataFrame, 1 and "auto" show a bar of Spark's tasks where
                output is a terminal or a notebook and it takes more than two seconds; 0 and 2
                nothing. Of an array, as `Model.predict`, but "auto" is 0. Default "auto".

        Returns:
            A NumPy array, shape (rows, ...), in the order of the rows; without those that
            `handle_invalid="skip"` leaves out.
        """
        check_known(SparkModel.predict, kwargs, arguments.INSTEAD)
        level = resolve_verbose(verbose)
        size = None if batch_size is None else check_batch_size(batch_size)
        model = self.master_network
        if frames.is_frame(data):
            if not collect:
                raise ValueError(
                    "collect=False gives an RDD of an RDD. For a DataFrame with a column of "
                    "predictions use ElephasTransformer(model=…).transform(df)."
                )
            columns = frames.Columns(features_col, None, invalid=handle_invalid)
            source = frames.scored(data, columns, model)
            return scoring.predict_frame(model, source, size, self.config.device, level)
        if not isinstance(data, RDD):
            return model.predict(data, size or 256, 0 if verbose == "auto" else verbose)
        cluster.prepare_python(data.context)
        return scoring.predict(model, data, size, collect, self.config.device, level)

    def predict_classes(self, data: Any, batch_size: int | None = None) -> np.ndarray:
        """The class of each row, int64; see `Model.predict_classes`."""
        return to_classes(self.predict(data, batch_size))

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = 0,
        sample_weight: Any = None,
        return_dict: bool = False,
        *,
        features_col: Any = "features",
        label_col: Any = "label",
        weight_col: str | None = None,
        handle_invalid: str = "error",
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics, computed by the workers; exact over all rows.

        Args:
            x: an array of features, with `y`, evaluated on Spark where there is one, else here;
                or an RDD of (features, label) pairs; or a DataFrame.
            batch_size: rows at once. Default 256; on a GPU as many as have 64 MB of features, 256
                to 4,096.
            verbose: 1 and "auto" show a bar of Spark's tasks where output is a terminal or a
                notebook and it takes more than two seconds, and print a line with the result;
                2 prints the line; 0 (default) nothing.
            sample_weight: a weight a row; for arrays, which are then evaluated on the driver.
            return_dict: a dict in place of a list.
            features_col, label_col, weight_col, handle_invalid: of a DataFrame, as in `fit`.

        Returns:
            The loss, or [loss, metric, ...] where there are metrics, or a dict.
        """
        kwargs.pop("show_accuracy", None)
        check_known(SparkModel.evaluate, kwargs, arguments.INSTEAD)
        model = self.master_network
        model._needs_compile()
        size = None if batch_size is None else check_batch_size(batch_size)
        spark = isinstance(x, RDD) or frames.is_frame(x)
        if spark and (y is not None or sample_weight is not None):
            raise ValueError(
                "evaluate takes labels and weights from the RDD's (features, label, weight) rows "
                "or the DataFrame's columns: `y` and `sample_weight` go with arrays."
            )
        if sample_weight is not None:
            return model.evaluate(
                x, y, size or 256, verbose, sample_weight=sample_weight, return_dict=return_dict
            )
        if not spark:
            if self._sc is None and SparkContext._active_spark_context is None:
                # For a few arrays no Spark is begun.
                return model.evaluate(x, y, size, verbose, return_dict=return_dict)
            x, y = self._columns(x, y)
            if None in trees.leaves(y):  # an output without a loss has no targets to send
                return model.evaluate(x, y, size or 256, verbose, return_dict=return_dict)
            x = to_simple_rdd(self.sc, x, y)
        columns = frames.Columns(features_col, label_col, weight_col, invalid=handle_invalid)
        if frames.is_frame(x):
            source: Source = frames.scored(x, columns, model)
        else:
            cluster.prepare_python(x.context)
            source = as_it_is(x)
        progress = Progress(1, None, resolve_verbose(verbose))
        logs = scoring.evaluate(model, source, size, self.config.device, progress.verbose)
        progress.result(logs)
        return results(logs, return_dict, in_order(logs, model.metrics))

    def _columns(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Arrays as `to_simple_rdd` takes them: lists of inputs and outputs as tuples."""
        found = self.master_network._converted()(x, y, None)
        return _as_tuples(found.x), _as_tuples(found.y)

    def get_config(self) -> dict[str, Any]:
        """How it trains, JSON-able; what `save` keeps beside the model."""
        return {"class_name": type(self).__name__, **self.config.to_dict()}

    def save(self, file_name: Any, overwrite: bool = True) -> None:
        """Saves the model and how it trains; `load_model` opens the file as well.

        Args:
            file_name: a local file; ".keras" is the usual ending.
            overwrite: False raises FileExistsError where the file is there.
        """
        extra = {_FILE: json.dumps(self.get_config())}
        saving.save_model(self.master_network, file_name, overwrite, extra)

    def __repr__(self) -> str:
        config = self.config
        return (
            f"{type(self).__name__}({self.master_network.name!r}, mode={config.mode!r}, "
            f"frequency={config.frequency!r}, num_workers={config.num_workers})"
        )

    def __getstate__(self) -> Any:
        raise TypeError(
            "A SparkModel can't be used inside a Spark function: it holds the SparkContext. Use "
            "spark_model.predict(rdd), or only spark_model.master_network in the function."
        )


class AsynchronousSparkModel(SparkModel):
    """`SparkModel` with mode 'asynchronous', under later elephas's name."""


def load_spark_model(
    file_name: Any,
    custom_objects: dict[str, Any] | None = None,
    sc: Any = None,
) -> SparkModel:
    """Loads what `SparkModel.save` wrote.

    Args:
        custom_objects: name -> class or function, for layers, losses and modules of your own.
        sc: the SparkContext or a SparkSession; may be left out.

    Raises:
        FileNotFoundError, ModelFileError: it isn't there, or isn't one.
    """
    texts, _ = saving.read_model_file(file_name)
    if _FILE not in texts:
        raise ModelFileError(
            f"{str(file_name)!r} holds a model, but no SparkModel. Use "
            "elephas_torch.keras.models.load_model, and SparkModel(model, …)."
        )
    config = json.loads(texts[_FILE])
    classes = {
        "AsynchronousSparkModel": AsynchronousSparkModel,
        "SparkMLlibModel": __getattr__("SparkMLlibModel"),
    }
    cls = classes.get(config.pop("class_name"), SparkModel)
    model = saving.load_model(file_name, custom_objects)
    return cls(sc, model, custom_objects=custom_objects, **config)


def _as_tuples(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _as_tuples(one) for key, one in tree.items()}
    return tuple(map(_as_tuples, tree)) if isinstance(tree, list | tuple) else tree


def __getattr__(name: str) -> Any:
    # Elephas has SparkMLlibModel here; it is a module of its own, above this one.
    if name == "SparkMLlibModel":
        from elephas_torch.mllib_model import SparkMLlibModel

        return SparkMLlibModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
