"""One fit from the driver's side: a server, a Spark job, and what happens while both run."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

from elephas_torch import servers, slots, worker
from elephas_torch.device import Sharing
from elephas_torch.epochs import Epochs
from elephas_torch.errors import ElephasError, ServerError, WaitTimeout
from elephas_torch.gangs import Gangs
from elephas_torch.idle import Idle
from elephas_torch.jobs import TrainingJob
from elephas_torch.journal import Journal
from elephas_torch.keras.callbacks import CallbackList, TerminateOnNaN
from elephas_torch.keras.models import Model
from elephas_torch.monitor import Monitor
from elephas_torch.options import Options
from elephas_torch.parameter.shards import ShardedClient, ShardedServer
from elephas_torch.plan import Gang
from elephas_torch.progress.fit import FitProgress
from elephas_torch.rates import Rates
from elephas_torch.servers import FALLEN, FitServer
from elephas_torch.sources import Source
from elephas_torch.stepping import step_of
from elephas_torch.telling import Teller
from elephas_torch.worker import Job

logger = logging.getLogger(__name__)


class Run:
    """One fit. `execute()` trains `model` in place.

    Args:
        source: rows in exactly `options.workers` partitions.
        model: compiled and built; its weights are the first, and in the end the last ones.
        monitor: is told where the fit's page is.
    """

    def __init__(
        self,
        source: Source,
        model: Model,
        options: Options,
        hooks: CallbackList,
        progress: FitProgress,
        monitor: Monitor,
    ) -> None:
        self.page = Teller(model, options, hooks.history, monitor)
        self.source, self.model, self.options = source, model, options
        self.cluster = source.cluster
        self.hooks, self.progress = hooks, progress
        self.epochs = Epochs(options.workers)
        self._callbacks = [c for c in hooks.callbacks if c is not hooks.history]
        self.recovery = options.recovery
        # The first epoch that isn't over, and the one that workers are in: after a fall of the
        # server they may have some to do again.
        self._next = self._at = options.plan.initial_epoch
        self.rates = Rates(model)
        self._last: dict[str, Any] = {}
        self.journal = Journal(options)
        self._seen = 0
        self._sharing = Sharing()
        self._failure: dict[str, Any] | None = None
        self._vain: WaitTimeout | None = None
        self._gangs = None
        if options.plan.exchange == "allreduce":
            patience = options.config.join_timeout
            self._gangs = Gangs(source, options.workers, patience, self.recovery)
        about = f"elephas_torch: training {model.name}, {options.config.mode}"
        epochs = options.plan.epochs
        told = f"{epochs} epoch{'s' * (epochs != 1)}"
        self._training = TrainingJob(source, about, told, self._gangs)
        self._runs = 1

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
        self._next = self._at = self.hooks.start(self.options.plan.initial_epoch)[0]
        self._first = self._next
        if self.recovery is not None and self.recovery.found is not None:
            self._take_up(self.recovery.found.fit)
        epochs = self.options.plan.epochs
        if self._at < epochs and not self.model.stop_training:
            self._train()
        elif self.recovery is not None and self.options.optimizer.use_ema:
            self.step = step_of(self.model)
            with self._server() as server:
                self._take_weights(server.client)
        self.hooks.on_train_end(self._last)
        self.journal.end(len(self.hooks.history.epoch))
        ordered = sorted(self._training.results, key=lambda one: one["worker"])
        return [one["history"] for one in ordered]

    def _train(self) -> None:
        # Before anything is sent: callbacks may change weights and rates here.
        self.rates.last = self.rates.now()
        if self._next < self.options.plan.epochs:
            self.hooks.on_epoch_begin(self._next)
        self.rates.begin(self._next)
        self.step = step_of(self.model)
        self.progress.say(f"Starting {self.options.workers} workers")
        with (
            self._slots(),
            self._server() as server,
            self.page.shown(server.shards, bool(self._callbacks)),
            self._recovering(server),
            self.cluster.share(worker.packed(self.model)) as weights,
        ):
            if self._next < self.options.plan.epochs:
                self.progress.begin(self._next)
            job = self._job(server.shards, weights)
            self.journal.begin(self._at, [one.url for one in server.shards.addresses])
            while True:
                with self._training.running(server.shards, job) as thread:
                    self._watch(server, thread)
                if self._vain is not None:
                    raise self._vain
                if not self._is_unfinished():
                    break
            if not self._ended_by_nan():
                self._training.check(server.shards, self._failure, self._is_over)
            self._end(server)

    def _slots(self) -> AbstractContextManager[None]:
        where, total = self.cluster.name, self.cluster.slots()
        seconds = self.options.config.slots_timeout
        return slots.taken(where, self.options.workers, total, seconds, self.progress.say)

    def _take_up(self, known: dict[str, Any]) -> None:
        """Goes on from what the driver of another fit knew."""
        recovery, history = self.recovery, self.hooks.history
        assert recovery is not None and recovery.held is not None
        history.epoch, history.history = list(known["epochs"]), dict(known["history"])
        self.page.take_up()
        self._first = self.options.plan.initial_epoch
        self._next, self._at = known["next"], max(recovery.held.at, self._first)
        self.rates.take(known, self._next)
        self.epochs.take(
            {int(epoch): {int(one): told for one, told in found.items()}
             for epoch, found in known["reports"].items()}
        )  # fmt: skip
        self.model.stop_training = known["stopped"]
        step_of(self.model).flat.vectors.copy_(recovery.held.vectors())

    def _known(self) -> dict[str, Any]:
        """What `_take_up` takes."""
        recovery, history = self.recovery, self.hooks.history
        assert recovery is not None and recovery.held is not None
        return {
            "next": self._next,
            "epochs": history.epoch,
            "history": history.history,
            **self.rates.known(),
            "reports": self.epochs.since(recovery.held.at, recovery.held.reported),
            "stopped": self.model.stop_training,
        }

    @contextmanager
    def _recovering(self, server: FitServer) -> Iterator[None]:
        """Sees to it that there is something to begin from again."""
        recovery = self.recovery
        if recovery is None:
            yield
            return
        with contextlib.closing(recovery.checkpoints):
            try:
                server.await_start()
                if recovery.found is not None:
                    self._tell_again(server.client)
                recovery.begin(server.client)
            except FALLEN as error:
                server.give_up(error)
            self._seen = recovery.held.events if recovery.held is not None else 0
            yield

    def _end(self, server: FitServer) -> None:
        """Takes the last weights, and has them kept."""
        try:
            if self.recovery is not None:
                self.recovery.end(server.client, self._known())
            self._take_weights(server.client)
        except FALLEN as error:
            held = None if self.recovery is None else self.recovery.held
            if held is None or (held.at < self._next and not self.model.stop_training):
                # Workers, who are gone, would have to do the rest again.
                server.give_up(error)
            self._restart(server, error)
            self._take_weights(server.client)

    def _take_weights(self, client: ShardedClient) -> None:
        if self.options.optimizer.use_ema and self._gangs is None:
            client.control(finalize=True)
        client.pull(self.step.flat.vectors)

    def _server(self) -> AbstractContextManager[FitServer]:
        watched = bool(self._callbacks)
        return servers.started(self.model, self.step.flat, self.options, self.cluster, watched)

    def _job(self, server: ShardedServer, weights: Any) -> Job:
        options, config = self.options, self.options.config
        return Job(
            skeleton=self.model.skeleton(),
            weights=weights,
            servers=server.addresses,
            reader=self.source.reader,
            plan=replace(options.plan, initial_epoch=self._first),
            timeout=max(config.round_timeout, config.join_timeout) + 30,
            connect_timeout=config.connect_timeout,
            beat=min(config.lease / 4, self.progress.beat(options.workers)),
            gang=None if self._gangs is None else Gang(server.servers[0].settings),
            keep=self.source.keep,
        )

    def _watch(self, server: FitServer, thread: Thread) -> None:
        fallen: ElephasError | None = None
        while True:
            try:
                if fallen is not None:
                    self._restart(server, fallen)
                else:
                    server.await_start()
                self._watch_events(server, thread)
                return
            except FALLEN as error:
                fallen = error
                if self.recovery is None:
                    server.give_up(error)

    def _restart(self, server: FitServer, why: ElephasError) -> None:
        """Starts a server that has fallen again, and goes back to where it begins."""
        held = server.restart(why)
        self._seen, self._at = held.events, max(held.at, self._first)
        self.epochs.rewind(held.reported, held.settled)
        server.await_start()
        self._tell_again(server.client)

    def _look_after(self, client: ShardedClient) -> None:
        """Has snapshots written, and sees to it that those come back that others wait for."""
        recovery = self.recovery
        if recovery is None:
            return
        recovery.look(client, self._seen, self._known)
        waited_for = self.options.config.mode == "synchronous" and not self.epochs.all_there
        held = recovery.held if recovery.fallen and waited_for and self._gangs is None else None
        if held is not None and self._training.ended() > held.empty:
            # Who has ended has to do again what the server has forgotten.
            self._training.cancel(again=True)

    @property
    def _is_over(self) -> bool:
        return self._at >= self.options.plan.epochs or self.model.stop_training

    def _is_unfinished(self) -> bool:
        """Whether workers that had done all are to do some of it again."""
        recovery = self.recovery
        if recovery is None or self._runs > recovery.fallen or self._gangs is not None:
            return False
        if self._is_over or self._failure is not None or self._training.has_failed:
            return False
        logger.warning("Workers that had ended have to do again what the server has forgotten.")
        self._runs += 1
        self._training.clear()
        return True

    def _tell_again(self, client: ShardedClient) -> None:
        """Tells a server that begins from a snapshot what the driver had told the one before."""
        self.page.again()
        if self._callbacks:
            client.control(learning_rate=self.rates.of(self._at), release_epoch=self._at - 1)
        if self.model.stop_training:
            client.control(stop=True)

    def _watch_events(self, server: FitServer, thread: Thread) -> None:
        """Handles what workers tell until the job is over, one of them failed, or none comes."""
        client, idle = server.client, self._idle()
        while thread.is_alive() and self._failure is None and self._vain is None:
            timeout = 0.02 if self.epochs.over else 0.2 if self.progress.verbose == 1 else 0.5
            self._handle(client, client.events(self._seen, timeout))
            server.check()
            self._look_after(client)
            self.page.look(client)
            self.progress.look(client.status)
            self._vain = idle.ended(self.epochs.active, self.epochs.came)
            if self.epochs.all_there and not self._is_over:
                self._training.describe(f"epoch {self._next + 1}/{self.options.plan.epochs}")
        while self._failure is None and (events := client.events(self._seen, 0.0)):
            self._handle(client, events)  # so many come at once, and there may be more

    def _idle(self) -> Idle:
        config = self.options.config
        # Gangs wait for slots by themselves, where they begin anew.
        patience = config.join_timeout * (1 if self._gangs is None else 2)
        return Idle(self.cluster, self.options.workers, patience, config.round_timeout)

    def _handle(self, client: ShardedClient, events: list[dict[str, Any]]) -> None:
        if events and events[0]["number"] > self._seen + 1:
            raise ServerError(
                f"The driver has missed {events[0]['number'] - self._seen - 1} events of the "
                "workers: they report faster than it listens. Callbacks may take too long; let "
                "epochs be longer, or callbacks shorter."
            )
        for event in events:
            self._seen = event["number"]
            if self.page.note(event):
                self.model.stop_training = True
                client.control(stop=True)  # all shards
            if event["kind"] == "join":
                self._sharing.joined(event["worker"], event.get("info", {}))
            if event["kind"] == "failure":
                self._failure = self._failure or event
            elif event["kind"] == "join" and self._gangs is not None:
                self._gangs.joined(event)
            elif event["kind"] == "expired":
                self._note_silent(event)
            elif event["kind"] == "join" and event.get("before", 0) not in (0, event["samples"]):
                logger.warning(
                    "Worker %s has %d rows, and had %d when the checkpoint was made: these are "
                    "other data.", event["worker"], event["samples"], event["before"],
                )  # fmt: skip
            self.epochs.note(event)
            self.journal.note(event)
            if self.recovery is not None:
                self.recovery.note(event)
        while self._at < self.options.plan.epochs and self.epochs.complete(self._at):
            if self._at == self._next:
                self._end_epoch(client)
            elif self._callbacks:  # was done before
                rate = self.rates.set_at(self._at + 1)
                client.control(learning_rate=rate, release_epoch=self._at)
            self._at += 1
            self.epochs.forget(self._at if self.recovery is None else self.recovery.earliest)

    def _note_silent(self, event: dict[str, Any]) -> None:
        gangs, outcome = self._gangs, "the others go on without it"
        if not self.epochs.others(event["worker"]):
            outcome = "nobody else is there; Spark may run it again"
        if gangs is not None:
            if not gangs.lost(event["worker"]):
                return  # that is known already
            outcome = "all begin anew"
        logger.warning(
            "Worker %s was silent for %s s; %s.", event["worker"], event["lease"], outcome
        )
        if gangs is not None:
            self._training.cancel()

    def _end_epoch(self, client: ShardedClient) -> None:
        epoch, model = self._next, self.model
        logs = self._last = self._logs(epoch)
        self.page.epoch(epoch, logs, self.rates.now())
        model.stop_training |= self.page.stopping
        self.progress.end(logs)
        self.journal.epoch(epoch, logs)
        if self._callbacks:
            client.pull(self.step.flat.vectors)
        rate = model.optimizer.learning_rate
        self.hooks.on_epoch_end(epoch, logs)
        self._next += 1
        self.rates.last = self.rates.now()
        if not model.stop_training and self._next < self.options.plan.epochs:
            self.hooks.on_epoch_begin(self._next)
            self.progress.begin(self._next)
        changed = self.rates.changed(rate, self._next)
        if self._gangs is not None:
            self._gangs.note_rate(self.options.plan.initial_epoch, rate, self._next, changed)
        if model.stop_training:
            client.control(stop=True, learning_rate=changed)
            self._next = self._at = self.options.plan.epochs
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
