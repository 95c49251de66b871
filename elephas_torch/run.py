"""One fit from the driver's side: a server, a Spark job, and what happens while both run."""

from __future__ import annotations

import functools
import logging
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

from elephas_torch import cluster, preflight, slots, worker
from elephas_torch.epochs import Epochs
from elephas_torch.errors import DataError, ElephasError, ServerError, WorkerError
from elephas_torch.flat import Vectors
from elephas_torch.gangs import Gangs
from elephas_torch.keras.callbacks import CallbackList, TerminateOnNaN
from elephas_torch.keras.models import Model
from elephas_torch.keras.progress import Progress
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import codec
from elephas_torch.parameter.shards import ShardedClient, ShardedServer
from elephas_torch.parameter.tls import Wanted
from elephas_torch.parameter.wire import Settings
from elephas_torch.plan import Gang, Plan
from elephas_torch.sources import Source
from elephas_torch.stepping import step_of
from elephas_torch.worker import Job

logger = logging.getLogger(__name__)

#: Seconds that workers get to end by themselves before their Spark job is cancelled.
GRACE = 5.0


@dataclass(frozen=True)
class Options:
    """How a fit is to be done; checked by whoever makes it.

    Attributes:
        plan: what workers are told.
        optimizer: what the server steps with.
        own_optimizer: it is the compiled one, so learning rates that callbacks set are its.
    """

    mode: str
    plan: Plan
    optimizer: Optimizer
    own_optimizer: bool
    staleness: str | None
    workers: int
    host: str | None
    port: int | None
    join_timeout: float
    round_timeout: float
    lease: float
    shards: int
    compression: codec.Spec = None
    tls: Wanted = field(default_factory=Wanted)


class Run:
    """One fit. `execute()` trains `model` in place.

    Args:
        source: rows in exactly `options.workers` partitions.
        model: compiled and built; its weights are the first, and in the end the last ones.
    """

    def __init__(
        self,
        source: Source,
        model: Model,
        options: Options,
        hooks: CallbackList,
        progress: Progress,
    ) -> None:
        self.source, self.model, self.options = source, model, options
        self.cluster = source.cluster
        self.hooks, self.progress = hooks, progress
        self.epochs = Epochs(options.workers)
        self._callbacks = [c for c in hooks.callbacks if c is not hooks.history]
        self._next = options.plan.initial_epoch
        self._last: dict[str, Any] = {}
        self._seen = 0
        self._failure: dict[str, Any] | None = None
        self._result: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self._group = f"elephas-{uuid.uuid4().hex[:12]}"
        together = options.plan.exchange == "allreduce"
        self._gangs = Gangs(source, options.workers, options.join_timeout) if together else None

    def execute(self) -> list[dict[str, list[Any]]]:
        """Trains.

        Returns:
            What each worker saw, by partition.

        Raises:
            DataError: a partition's data can't be trained on.
            WorkerError: a worker raised, or the Spark job failed.
            ServerError, WaitTimeout: the server failed, or something was waited for in vain.
        """
        self.model.stop_training = False
        self.hooks.on_train_begin()
        self._next = self.hooks.start(self.options.plan.initial_epoch)[0]
        if self._next < self.options.plan.epochs:
            self._train()
        self.hooks.on_train_end(self._last)
        ordered = sorted(self._result, key=lambda one: one["worker"])
        return [one["history"] for one in ordered]

    def _train(self) -> None:
        # Before anything is sent: callbacks may change weights and rates here.
        self.hooks.on_epoch_begin(self._next)
        self.step = step_of(self.model)
        with (
            slots.taken(self.cluster.name, self.options.workers, self.cluster.slots()),
            self._server() as server,
            server.client() as client,
            self.cluster.share(worker.packed(self.model)) as weights,
        ):
            self.progress.begin(self._next)
            with self._job(server, weights) as thread:
                self._watch(server, client, thread)
            if not self._ended_by_nan():
                self._check_result(server)
            self._take_weights(client)

    def _take_weights(self, client: ShardedClient) -> None:
        if self.options.optimizer.use_ema and self._gangs is None:
            client.control(finalize=True)
        client.pull(self.step.flat.vectors)

    @contextmanager
    def _server(self) -> Iterator[ShardedServer]:
        """A server that starts while the Spark job does: requests wait until it is ready."""
        server = self._new_server()
        try:
            yield server.start()
        finally:
            server.stop()

    def _new_server(self) -> ShardedServer:
        options, flat = self.options, self.step.flat
        settings = Settings(
            mode=options.mode,
            sizes=flat.vectors.sizes,
            optimizer=preflight.for_server(options.optimizer, self.model, flat.names),
            weight_sizes=flat.sizes,
            workers=options.workers,
            staleness=options.staleness,
            join_timeout=options.join_timeout,
            round_timeout=options.round_timeout,
            lease=options.lease,
            gated=options.mode == "synchronous" and bool(self._callbacks),
            server_rate=options.own_optimizer,
            constraints=preflight.constraint_specs(self.model),
            compression=options.compression,
            embeddings=preflight.embeddings(self.model) if options.plan.gradients else [],
        )
        host = self.cluster.server_host(options.host)
        port, tls = self.cluster.server_port(options.port), options.tls
        return ShardedServer(
            settings,
            Vectors(*flat.vectors),
            options.shards,
            host=host,
            port=port,
            keep=True,
            ssl=tls.ssl,
            ssl_certfile=tls.certfile,
            ssl_keyfile=tls.keyfile,
            ssl_keyfile_password=tls.password,
        )

    @contextmanager
    def _job(self, server: ShardedServer, weights: Any) -> Iterator[Thread]:
        """The Spark job in a thread of its own, so that this one can be interrupted."""
        options = self.options
        job = Job(
            skeleton=self.model.skeleton(),
            weights=weights,
            servers=server.addresses,
            reader=self.source.reader,
            plan=replace(options.plan, initial_epoch=self._next),
            timeout=max(options.round_timeout, options.join_timeout) + 30,
            beat=min(options.lease / 4, 0.5 if self.progress.verbose == 1 else 5.0),
            gang=None if self._gangs is None else Gang(server.servers[0].settings),
        )
        thread = self.cluster.thread(self._run_job, (job,))
        thread.start()
        try:
            yield thread
        except BaseException:
            self._stop_job(server, thread)
            raise
        self._stop_job(server, thread)

    def _run_job(self, job: Job) -> None:
        try:
            about = f"elephas_torch: {job.plan.epochs} epochs, {self.options.mode}"
            self.cluster.name_job(self._group, about)
            if self._gangs is not None:
                self._result = self._gangs.results(job)
            else:
                self._result = self.source.results(functools.partial(worker.train, job))
        except BaseException as error:
            self._error = error

    def _stop_job(self, server: ShardedServer, thread: Thread) -> None:
        if self._gangs is not None:
            self._gangs.ending = True
        if not thread.is_alive():
            return
        try:
            with server.client(timeout=GRACE) as client:
                client.control(stop=True)
        except ElephasError as error:
            logger.debug("The server could not be told to stop: %s", error)
        thread.join(GRACE)
        if thread.is_alive():
            self.cluster.cancel(self._group)
            thread.join(2 * GRACE)

    def _watch(self, server: ShardedServer, client: ShardedClient, thread: Thread) -> None:
        try:
            self._watch_events(client, thread)
        except ServerError:
            server.check()  # says more, if the server's process has ended
            raise

    def _watch_events(self, client: ShardedClient, thread: Thread) -> None:
        """Handles what workers tell until the job is over, or one of them failed."""
        while thread.is_alive() and self._failure is None:
            timeout = 0.02 if self.epochs.over else 0.2 if self.progress.verbose == 1 else 0.5
            self._handle(client, client.events(self._seen, timeout))
            if self.progress.verbose == 1:
                self._show(client)
        if self._failure is None:
            self._handle(client, client.events(self._seen, 0.0))

    def _handle(self, client: ShardedClient, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._seen = event["number"]
            if event["kind"] == "failure":
                self._failure = self._failure or event
            elif event["kind"] == "join" and self._gangs is not None:
                self._gangs.joined(event)
            elif event["kind"] == "expired":
                self._note_silent(event)
            self.epochs.note(event)
        while self._next < self.options.plan.epochs and self.epochs.complete(self._next):
            self._end_epoch(client)

    def _note_silent(self, event: dict[str, Any]) -> None:
        gangs, outcome = self._gangs, "the others go on without it"
        if gangs is not None:
            if not gangs.lost(event["worker"]):
                return  # that is known already
            outcome = "all begin anew"
        logger.warning(
            "Worker %s was silent for %s s; %s.", event["worker"], event["lease"], outcome
        )
        if gangs is not None:
            self.cluster.cancel(self._group)

    def _end_epoch(self, client: ShardedClient) -> None:
        epoch, model = self._next, self.model
        logs = self._last = self._logs(epoch)
        self.progress.end(logs)
        if self._callbacks:
            client.pull(self.step.flat.vectors)
        rate = model.optimizer.learning_rate
        self.hooks.on_epoch_end(epoch, logs)
        self._next += 1
        if not model.stop_training and self._next < self.options.plan.epochs:
            self.hooks.on_epoch_begin(self._next)
            self.progress.begin(self._next)
        changed = _changed(model.optimizer, rate)
        if self._gangs is not None:
            self._gangs.note_rate(self.options.plan.initial_epoch, rate, self._next, changed)
        if model.stop_training:
            client.control(stop=True, learning_rate=changed)
            self._next = self.options.plan.epochs
        elif self._callbacks:
            client.control(learning_rate=changed, release_epoch=epoch)

    def _ended_by_nan(self) -> bool:
        """Whether a worker's loss is no number, and a `TerminateOnNaN` ends the training so."""
        diverged = self._failure is not None and self._failure["error"]["kind"] == "diverged"
        if not diverged or not any(isinstance(c, TerminateOnNaN) for c in self._callbacks):
            return False
        self._last = {"loss": math.nan}
        self.progress.end(self._last)
        self.hooks.on_epoch_end(self._next, self._last)
        return True

    def _logs(self, epoch: int) -> dict[str, Any]:
        reports = self.epochs.reports(epoch)
        logs: dict[str, Any] = {}
        for part, prefix in (("train", ""), ("val", "val_")):
            sums = [report[part] for report in reports if part in report]
            if sums:
                self.step.load_sums(sums)
                logs |= {prefix + name: value for name, value in self.step.logs().items()}
        return dict(sorted(logs.items()))

    def _show(self, client: ShardedClient) -> None:
        if self._next < self.options.plan.epochs:
            workers = client.status()["workers"].values()
            self.progress.show(_batches_done(workers, self._next), _batches(workers, self.options))

    def _check_result(self, server: ShardedServer) -> None:
        failure = self._failure or next((r for r in self._result if "failure" in r), None)
        if failure is not None:
            raise worker.as_error(
                f"Worker {failure['worker']}", failure.get("error") or failure["failure"]
            )
        if self._error is not None:
            server.check()
            if isinstance(self._error, ElephasError):
                raise self._error
            raise WorkerError(
                f"The Spark job failed: {cluster.python_error(self._error)}"
            ) from None
        if not any(one["rows"] for one in self._result):
            raise DataError("There are no rows: there is nothing to train on.")


def _changed(optimizer: Optimizer, before: float) -> float | None:
    """The rate that a callback has set, if one has."""
    rate = optimizer.learning_rate
    if rate == before:
        return None
    if preflight.is_scheduled(optimizer):
        raise ValueError(
            "A callback gave the optimizer another schedule of learning rates, which can't reach "
            "the workers while they train. Give it to the optimizer in compile(), or set numbers."
        )
    return rate


def _batches_done(workers: Any, epoch: int) -> int:
    done = 0
    for one in workers:
        progress = one.get("progress") or {}
        if progress.get("epoch", 0) >= epoch:
            done += progress.get("batch", 0)
    return done


def _batches(workers: Any, options: Options) -> int:
    return sum(-(-one["samples"] // options.plan.batch_size) for one in workers)
