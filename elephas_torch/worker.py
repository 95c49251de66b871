"""A worker: one partition of the data, one copy of the model, one client of the server.

Everything it needs comes in a `Job`; everything it tells goes through the parameter server.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import safetensors.torch
import torch

from elephas_torch import data, device, keeping, loglevel, store
from elephas_torch.allreduce import AllReduce
from elephas_torch.cluster import tries
from elephas_torch.errors import (
    DataError,
    Diverged,
    ElephasError,
    Restarted,
    WorkerError,
)
from elephas_torch.exchange import Exchange
from elephas_torch.heartbeat import Heartbeat, Standing
from elephas_torch.keras import batches
from elephas_torch.keras.models import Model, all_tensors
from elephas_torch.keras.step import Step
from elephas_torch.moving import moved
from elephas_torch.optimizers import LossScaleOptimizer, Optimizer
from elephas_torch.overlap import Overlapping
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.shards import Address, ShardedClient, connect
from elephas_torch.parameter.wire import Joined
from elephas_torch.plan import Gang, Plan
from elephas_torch.staging import staged
from elephas_torch.stepping import OwnFlatStep, step_of
from elephas_torch.store import Rows
from elephas_torch.team import Parted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What all workers of a fit are given.

    Attributes:
        skeleton: the compiled model without weights.
        weights: all its tensors as safetensors, in the `value` of a Spark broadcast or the like.
        servers: (url, token) of the parameter server, or of the servers of its shards.
        reader: how rows are read.
        plan: how they are trained on.
        connect_timeout: seconds for the first connection to a server.
        beat: seconds between two signs of life.
        gang: where workers exchange among themselves: what they need for that.
        keep: how tensors are kept for the next fit; None: nobody looks after what is kept.
        log_level: the driver's.
    """

    skeleton: Model = field(repr=False)
    weights: Any = field(repr=False)
    servers: tuple[Address, ...] = field(repr=False)
    reader: data.Reader
    plan: Plan
    timeout: float
    connect_timeout: float
    beat: float
    gang: Gang | None = None
    keep: keeping.Keep | None = None
    log_level: int = field(default_factory=loglevel.level)


def connected(job: Job) -> Client | ShardedClient:
    """A client of a fit's server."""
    waits = {"connect_timeout": job.connect_timeout, "gone_timeout": job.plan.patience}
    return connect(job.servers, job.timeout, **waits)


def as_error(where: str, failure: dict[str, Any]) -> ElephasError:
    """The exception for the driver to raise for what `described` gave.

    Args:
        where: "Worker 3", "Partition 3".
    """
    if failure["kind"] == "data":
        return DataError(failure["message"])
    if not failure["traceback"]:
        error = Diverged if failure["kind"] == "diverged" else WorkerError
        return error(f"{where} failed: {failure['message']}")
    return WorkerError(
        f"{where} raised {failure['message']}\n\n"
        f"The worker's own traceback:\n{failure['traceback']}"
    )


def described(error: Exception) -> dict[str, Any]:
    """An error as JSON-able data: its kind, its message, the user's part of its trace.

    Returns:
        "kind": "data", "diverged" or "worker"; "message"; "traceback".
    """
    if isinstance(error, ElephasError):  # says itself what is to be known
        kinds = {DataError: "data", Diverged: "diverged"}
        kind = next((kinds[cls] for cls in kinds if isinstance(error, cls)), "worker")
        return {"kind": kind, "message": str(error), "traceback": ""}
    frames = _users(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, frames))
    return {"kind": "worker", "message": f"{type(error).__name__}: {error}", "traceback": text}


def _users(frames: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame that is neither this package's, torch's nor Spark's."""
    found = frames
    while found is not None:
        module = str(found.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("elephas_torch", "torch", "pyspark"):
            return found
        found = found.tb_next
    return frames


def packed(model: Model) -> bytes:
    """All of a model's tensors, as safetensors."""
    tensors = {name: one.contiguous() for name, one in all_tensors(model).items()}
    return safetensors.torch.save(tensors)


def load_model(skeleton: Model, weights: bytes) -> Model:
    """A model of its own for this task, with the driver's weights."""
    return copy.deepcopy(skeleton).flesh_out(safetensors.torch.load(bytes(weights)))


def steps_done(plan: Plan, joined: Any, rows: int) -> int:
    """How many steps a lost attempt had made, which this one doesn't make again.

    Args:
        joined: the server's answer to the worker's joining.
        rows: the rows that the worker trains on.
    """
    total = plan.total(rows)
    epochs = max(joined.epoch - plan.initial_epoch, 0)
    return epochs * total + min(joined.batch * (plan.every or total), total - 1)


def catch_up(optimizer: Optimizer, steps: int) -> None:
    """Lets a learning-rate schedule go on after so many steps; without one there's no need."""
    if isinstance(optimizer, LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if isinstance(optimizer.get_config().get("learning_rate"), dict):
        optimizer.iterations += steps


def _check_loss(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise Diverged(
            f"The loss is {loss} in epoch {epoch + 1}. Lower the learning rate, clip gradients "
            "(clipnorm=1.0), or look for NaN in the data."
        )


class Worker:
    """One attempt of a worker.

    Args:
        job: what all workers of the fit are given.
        partition: its number.
        attempt: rises each time that Spark runs the task.
        client: of the fit's server.

    Attributes:
        device: what it computes on, once it runs.
    """

    def __init__(
        self, job: Job, partition: int, attempt: int, client: Client | ShardedClient
    ) -> None:
        self.job, self.partition, self.attempt, self.client = job, partition, attempt, client
        self.standing = Standing()
        self.first = job.plan.initial_epoch
        self.history: dict[str, list[Any]] = {}
        self.device = device.CPU

    def run(self, rows: Iterable[Any]) -> dict[str, Any]:
        """Trains on these rows, on a device of its own."""
        self.device = device.taken(self.job.plan.device, self.partition)
        if self.device.is_host:
            return self._run(rows)
        logger.info("Worker %d computes on %s.", self.partition, self.device.info)
        weights, batch_size = len(self.job.weights.value), self.job.plan.batch_size
        settings = self.job.plan.backends
        with (
            device.backends_as(settings),
            self.device.used(),
            device.told_of_memory(self.device, batch_size, weights),
        ):
            return self._run(rows)

    def _run(self, rows: Iterable[Any]) -> dict[str, Any]:
        job = self.job
        model = load_model(job.skeleton, job.weights.value)
        with self._heartbeat():
            loaded = self._loaded(model, rows)
        if loaded is None:
            self._join(0)
            return {"worker": self.partition, "rows": 0, "history": {}}
        with contextlib.closing(loaded):
            training, validation = loaded.split(job.plan.validation_split)
            training = training.weighed(job.plan.class_weight)
            joined = self._join(len(training))
            self.first = max(joined.epoch, self.first)
            device.put(model, self.device)
            training = moved(training, self.device)
            validation = None if validation is None else moved(validation, self.device)
            while not self._trained(model, training, validation, joined):
                joined = self._join(len(training))
                model = self._as_at(joined)
            return {"worker": self.partition, "rows": len(training), "history": self.history}

    def _trained(
        self, model: Model, training: Rows, validation: Rows | None, joined: Joined
    ) -> bool:
        """Trains; whether to the end, or until the server has begun from a checkpoint."""
        try:
            self.standing.begin()
            with self._heartbeat():
                self._train(model, training, validation, joined)
                self.client.leave(self.partition, self.attempt)
            return True
        except Restarted as error:
            if self.job.gang is not None:
                raise Parted(str(error)) from None
            logger.warning("Worker %d: %s", self.partition, error)
            return False

    def _heartbeat(self) -> Heartbeat:
        job, me = self.job, (self.partition, self.attempt)
        return Heartbeat(connected(job), job.beat, me, self.standing)

    def _as_at(self, joined: Joined) -> Model:
        """The model to go on with from there; its weights come from the server."""
        for values in self.history.values():
            del values[max(joined.epoch - self.first, 0) :]
        model = load_model(self.job.skeleton, self.job.weights.value)
        device.put(model, self.device)
        return model

    def _join(self, samples: int) -> Joined:
        gang = self.job.gang
        info = {"tries": tries(), **self.device.info}
        if gang is not None:
            info["gang"] = gang.number
        return self.client.join(self.partition, self.attempt, samples=samples, info=info)

    def _loaded(self, model: Model, rows: Iterable[Any]) -> Rows | None:
        job = self.job
        keeping.tidy(job.keep)
        kept = keeping.of(job.keep, self.partition, model, job.reader)
        try:
            return store.load(model, job.reader, rows, job.plan.memory, kept, self.standing.load)
        except DataError as error:
            raise DataError(f"Partition {self.partition}: {error}") from None

    def _exchange(self, step: Step | OwnFlatStep, joined: Joined) -> Exchange:
        job, worker = self.job, (self.partition, self.attempt)
        client = staged(self.client, self.device)
        parts = (job.plan, step, client, worker, joined, self.standing)
        if job.gang is not None:
            return AllReduce(job.gang, *parts)
        return Overlapping(*parts) if job.plan.overlap else Exchange(*parts)

    def _train(self, model: Model, training: Rows, validation: Rows | None, joined: Joined) -> None:
        if joined.stop and self.job.gang is not None:
            return  # begun anew when all was over
        step = step_of(model)
        with contextlib.closing(self._exchange(step, joined)) as exchange:
            self._recall(exchange, joined, len(training))
            self._epochs(model, exchange, training, validation, joined)
            exchange.conclude()

    def _recall(self, exchange: Exchange, joined: Joined, rows: int) -> None:
        """Lets the worker's own optimizer go on from where it was, as near as anybody knows."""
        plan, optimizer, gang = self.job.plan, exchange.step.optimizer, self.job.gang
        steps = steps_done(plan, joined, rows)
        if gang is not None and gang.kept is not None:
            kept = safetensors.torch.load(bytes(gang.kept.value)).get(str(self.partition))
            if kept is not None:
                exchange.recall(kept.numpy().tobytes())
        elif plan.keeps and joined.epoch > plan.initial_epoch:
            epoch, data = self.client.kept(self.partition, self.attempt)
            if plan.initial_epoch < epoch <= joined.epoch:
                exchange.recall(data)
                steps -= (epoch - plan.initial_epoch) * plan.total(rows)
        catch_up(optimizer, steps)

    def _epochs(
        self,
        model: Model,
        exchange: Exchange,
        training: Rows,
        validation: Rows | None,
        joined: Joined,
    ) -> None:
        plan, step = self.job.plan, exchange.step
        stop = joined.stop
        if joined.epoch > plan.initial_epoch:
            # A lost attempt may have ended that epoch without telling; told twice it counts once.
            reply = self.client.report(self.partition, self.attempt, joined.epoch - 1, {})
            stop, exchange.rate = reply.stop, reply.learning_rate
        for epoch in range(max(joined.epoch, plan.initial_epoch), plan.epochs):
            if stop:
                return
            torch.manual_seed(batches.mix(plan.seed, self.partition, epoch))
            began = time.perf_counter()
            model.train()
            step.reset()
            self._local_rate(model, exchange.rate)
            stop = exchange.epoch(training, epoch)
            self._local_rate(model, exchange.rate)
            summary: dict[str, Any] = {"train": step.sums()}
            logs = step.logs()
            _check_loss(logs.get("loss", 0.0), epoch)
            model.eval()
            if validation is not None:
                self._validate(step, validation)
                summary["val"] = step.sums()
                logs |= {f"val_{name}": value for name, value in step.logs().items()}
            summary["seconds"] = logs["seconds"] = time.perf_counter() - began
            if self.job.gang is not None:  # who has stepped as all do: there is no push to be last
                exchange.keep(epoch + 1)
            self._note(epoch, logs)
            reply = self.client.report(self.partition, self.attempt, epoch, summary)
            stop = stop or reply.stop
            exchange.rate = reply.learning_rate
            self._local_rate(model, reply.learning_rate)

    def _validate(self, step: Step | OwnFlatStep, validation: Rows) -> None:
        self.standing.phase = "validating"
        step.reset()
        for batch in validation.epoch(max(self.job.plan.batch_size, 256)):
            step.evaluate(batch)

    def _note(self, epoch: int, logs: dict[str, Any]) -> None:
        told = [f"{name} {one:.6g}" for name, one in logs.items() if isinstance(one, float | int)]
        logger.info("Worker %d: epoch %d: %s.", self.partition, epoch + 1, ", ".join(told))
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def _local_rate(self, model: Model, rate: float | None) -> None:
        if rate is not None and not self.job.plan.gradients:
            model.optimizer.learning_rate = rate
