"""One fit from the driver's side: a server, a Spark job, and what happens while both run."""

from __future__ import annotations

import functools
import logging
import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

from elephas_torch import cluster, preflight, slots, worker
from elephas_torch.errors import (
    DataError,
    ElephasError,
    ServerError,
    WaitTimeout,
    WorkerError,
)
from elephas_torch.flat import Vectors
from elephas_torch.keras.callbacks import CallbackList, TerminateOnNaN
from elephas_torch.keras.models import Model
from elephas_torch.keras.progress import Progress
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import codec
from elephas_torch.parameter.shards import ShardedClient, ShardedServer
from elephas_torch.parameter.wire import Settings
from elephas_torch.plan import Gang, Plan
from elephas_torch.sources import Source
from elephas_torch.stepping import step_of
from elephas_torch.worker import Job

logger = logging.getLogger(__name__)

#: Seconds that workers get to end by themselves before their Spark job is cancelled.
GRACE = 5.0

#: How often workers that exchange among themselves are run, where one of them is lost each time:
#: as often as Spark runs a task by default.
GANGS = 4


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
        self.epochs = _Epochs(options.workers)
        self._callbacks = [c for c in hooks.callbacks if c is not hooks.history]
        self._next = options.plan.initial_epoch
        self._last: dict[str, Any] = {}
        self._seen = 0
        self._failure: dict[str, Any] | None = None
        self._result: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self._group = f"elephas-{uuid.uuid4().hex[:12]}"
        self._together = options.plan.exchange == "allreduce"
        self._rates: dict[int, float] = {}
        self._known = -1
        self._silent = False
        self._gang_number = 0
        self._gang_of: dict[int, int] = {}
        self._ending = False

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
        if self.options.optimizer.use_ema and not self._together:
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
        port = self.cluster.server_port(options.port)
        return ShardedServer(
            settings,
            Vectors(*flat.vectors),
            options.shards,
            host=host,
            port=port,
            keep=True,
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
            gang=Gang(server.servers[0].settings) if self._together else None,
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
            if self._together:
                self._result = self._gangs(job)
            else:
                self._result = self.source.results(functools.partial(worker.train, job))
        except BaseException as error:
            self._error = error

    def _gangs(self, job: Job) -> list[dict[str, Any]]:
        """Runs workers that exchange among themselves; all again where one was lost.

        Spark would do that itself, if the stage weren't its job's last; but here each time has
        a number, so that none meets workers of the time before.
        """
        for again in range(1, GANGS + 1):
            try:
                found = self._gang(job)
                lost = next((one["lost"] for one in found if "lost" in one), None)
                if lost is None or self._ending or any("failure" in one for one in found):
                    return found
            except Exception as error:
                if self._ending or not (self._silent or cluster.lost_task(error)):
                    raise
                lost = cluster.python_error(error)
            if again == GANGS:
                break
            logger.warning(
                "A worker was lost; all begin anew (%d of %d times): %s", again, GANGS - 1, lost
            )
            rates, known = dict(self._rates), self._known
            self._gang_number, self._silent = again, False
            assert job.gang is not None
            job = replace(job, gang=replace(job.gang, number=again, rates=rates, known=known))
            self._await_slots()
        raise WorkerError(f"A worker was lost {GANGS} times, the last time so: {lost}")

    def _gang(self, job: Job) -> list[dict[str, Any]]:
        return self.source.results(functools.partial(worker.train, job), together=True)

    def _await_slots(self) -> None:
        """Waits until an executor that was lost has been replaced. Spark would wait for ever."""
        needed, wait = self.options.workers, self.options.join_timeout
        end = time.monotonic() + wait
        while (slots := self.cluster.slots()) is not None and slots < needed:
            if time.monotonic() > end or self._ending:
                raise WaitTimeout(
                    f"A worker was lost, and for {wait:g} s the cluster has had {slots} slots "
                    f"for {needed} workers. Set num_workers={max(slots, 1)}, or raise "
                    "`join_timeout`."
                )
            time.sleep(0.5)

    def _stop_job(self, server: ShardedServer, thread: Thread) -> None:
        self._ending = True
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
            elif event["kind"] == "join":
                self._gang_of[event["worker"]] = event["info"].get("gang", 0)
            elif event["kind"] == "expired":
                self._note_silent(event)
            self.epochs.note(event)
        while self._next < self.options.plan.epochs and self.epochs.complete(self._next):
            self._end_epoch(client)

    def _note_silent(self, event: dict[str, Any]) -> None:
        worker, outcome = event["worker"], "the others go on without it"
        if self._together:
            if self._gang_of.get(worker) != self._gang_number:
                return  # known to be lost already
            self._silent, outcome = True, "all begin anew"
        logger.warning("Worker %s was silent for %s s; %s.", worker, event["lease"], outcome)
        if self._silent:
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
        if changed is not None:
            self._rates.setdefault(self.options.plan.initial_epoch, rate)
            self._rates[self._next] = changed
        self._known = self._next
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


class _Epochs:
    """Which workers there are, and what they reported, until an epoch is complete."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._joined: set[int] = set()
        self._active: set[int] = set()
        self._reports: dict[int, dict[int, dict[str, Any]]] = {}

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event of the server's."""
        kind, number = event["kind"], event.get("worker")
        if number is None:
            return
        if kind == "join":
            self._joined.add(number)
            if event["samples"]:
                self._active.add(number)
        elif kind == "report":
            self._reports.setdefault(event["epoch"], {})[number] = event["summary"]
        elif kind in ("leave", "expired", "failure"):
            self._active.discard(number)
        elif kind == "returned":
            self._active.add(number)

    @property
    def over(self) -> bool:
        """Whether all workers have come and gone."""
        return len(self._joined) == self._expected and not self._active

    def complete(self, epoch: int) -> bool:
        """Whether all workers that are there have reported on an epoch."""
        reported = self._reports.get(epoch, {})
        return (
            bool(reported)
            and len(self._joined) == self._expected
            and all(number in reported for number in self._active)
        )

    def reports(self, epoch: int) -> list[dict[str, Any]]:
        """The reports on an epoch, in the workers' order."""
        return [report for _, report in sorted(self._reports.get(epoch, {}).items())]


def _batches_done(workers: Any, epoch: int) -> int:
    done = 0
    for one in workers:
        progress = one.get("progress") or {}
        if progress.get("epoch", 0) >= epoch:
            done += progress.get("batch", 0)
    return done


def _batches(workers: Any, options: Options) -> int:
    return sum(-(-one["samples"] // options.plan.batch_size) for one in workers)
