"""The parameter server without its HTTP: vectors, rounds, ledger, events.

All methods may be called from any thread. Whatever has to wait is a future; somebody has to
call `tick` now and then, so that leases run out and waits end.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from elephas_torch.errors import Fenced, Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import account, mirrors, packing, rules, snapshots, waits
from elephas_torch.parameter.events import EventLog, settle, settled
from elephas_torch.parameter.gate import Gate
from elephas_torch.parameter.kept import Kept
from elephas_torch.parameter.ledger import Ledger, Worker
from elephas_torch.parameter.orders import Orders
from elephas_torch.parameter.slots import Slots
from elephas_torch.parameter.snapshots import Snapshot
from elephas_torch.parameter.story import Story
from elephas_torch.parameter.updates import Updates
from elephas_torch.parameter.weights import Weights
from elephas_torch.parameter.wire import Answer, Joined, Push, Reply, Settings

FAILURES_KEPT = 20


class State:
    """What a parameter server knows and does.

    Args:
        settings: how it is to work.
        initial: the vectors to start from; copied.
        clock: gives seconds; for tests.

    Raises:
        TypeError, ValueError: `initial` doesn't fit `settings.sizes`, or the optimizer doesn't
            exist.
    """

    def __init__(
        self,
        settings: Settings,
        initial: Vectors,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.weights = Weights(settings, initial)
        self.slots = Slots(self.weights, settings)
        self.events = EventLog()
        self.story = Story()
        self.ledger = Ledger(
            settings.workers, settings.lease, clock, self.events, self.weights.board
        )
        self.orders = Orders(self.weights, settings.server_rate)
        self.counts: Counter[str] = Counter()
        self.bytes = {"received": 0, "sent": 0}
        self.layout = packing.layout(settings)
        self.answers = mirrors.answers(settings, self.layout)
        self.failures: list[dict[str, Any]] = []
        self.milestone: Snapshot | None = None
        self._kept, self._gate = Kept(), Gate()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self.updates = Updates(
            settings, self.weights, self.ledger, self.events, self.orders, self.counts, self._lock
        )
        self._started = clock()

    # What a worker calls.

    def join(self, worker: int, attempt: int, samples: int, info: dict[str, Any]) -> Joined:
        """Enters a worker; says where it goes on from. Raises as `Ledger.join`."""
        with self._lock:
            before = self.ledger.workers.get(worker)
            known = (before.attempt, before.state) if before else None
            had = before.samples if before and before.state == "away" else 0
            if before is not None:
                self.ledger.locate(before)
            record = self.ledger.join(worker, attempt, samples, info)
            if known and known[0] < attempt:
                record.link = "http"
                self.slots.close(worker)
            self.story.joined(record)
            replaced = self._replace(record) if known and known[0] < attempt else []
            joined = Joined(*record.position(), *self.reply())
        if known != (attempt, record.state):
            again = {"before": had} if had else {}
            self.events.add(
                "join", worker=worker, attempt=attempt, samples=samples, info=info, **again
            )
        for future in replaced:
            settle(future, Fenced(f"Worker {worker} was replaced by attempt {attempt}."))
        self.updates.settle()
        return joined

    def share(self, worker: int, attempt: int, machine: str) -> dict[str, Any]:
        """Gives a worker of this machine memory for its updates; see `Slots.open`.

        Raises as `Ledger.seen`.
        """
        with self._lock:
            record = self.ledger.heard(worker, attempt)
            position = (*record.position(), record.done)
            place = self.slots.open(worker, attempt, machine, position)
            record.link = "memory" if place else "http"
            return place

    def push(self, push: Push, update: Vectors) -> Future[Answer]:
        """Takes one update; its memory must not be touched until the answer is there.

        Returns:
            A future of the answer: done at once in asynchronous and hogwild mode, or once the
            slowest is near enough, where that is asked for; in synchronous mode once the round
            (for the last push of an epoch: the epoch) has closed.

        Raises:
            Refused: non-finite numbers, or out of order. Nothing was applied.
            Fenced: a newer attempt has joined.
        """
        return self.updates.push(push, update)

    def push_shared(self, push: Push) -> Future[Answer]:
        """Takes an update that lies in the worker's slot; otherwise as `push`."""
        update = self.slots.vectors(push)
        if update is None:
            with self._lock:
                self.updates.admit(push)
            raise Refused(
                f"Attempt {push.attempt} of worker {push.worker} has no shared memory here: its "
                "updates must be sent whole."
            )
        return self.push(push, update)

    def pull(self) -> Answer:
        """Returns the vectors as they are."""
        return self.orders.answer()

    def put(self, push: Push, vectors: Vectors) -> Reply:
        """Takes vectors as they are, where workers make the updates among themselves.

        Raises:
            Refused, Fenced: as `push`; the vectors stay as they were.
        """
        rules.check_finite(vectors)
        with self._lock:
            self.ledger.heard(push.worker, push.attempt)
            self.updates.closed_epoch = max(self.updates.closed_epoch, push.epoch)
        self.weights.put(vectors)
        self.counts["puts"] += 1
        return self.reply()

    def loading(self, worker: int, attempt: int, rows: int, size: int) -> None:
        """Notes how much a worker has loaded that is still to join. Raises as `Ledger.load`."""
        with self._lock:
            self.ledger.load(worker, attempt, rows, size)

    def beat(self, worker: int, attempt: int, progress: dict[str, Any] | None) -> Reply:
        """Renews a worker's lease, and notes how far it is. Raises as `Ledger.seen`."""
        with self._lock:
            record = self.ledger.heard(worker, attempt)
            if progress is not None:
                record.progress = progress
            return self.reply()

    def report(
        self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]
    ) -> Future[Reply]:
        """Takes a worker's summary of an epoch, once; a gated answer waits for its release."""
        with self._lock:
            record = self.ledger.heard(worker, attempt)
            fresh = epoch > record.reported
            record.reported = max(epoch, record.reported)
            record.told += fresh and bool(summary)  # without: who isn't sure whether it was told
            record.losses = record.losses | account.losses(summary)
            self._kept.tidy(worker, record.position()[1])
            if self.settings.gated and self._gate.shut_for(epoch) and not self.orders.stop:
                deadline = self.clock() + self.settings.round_timeout
                future = self._gate.add(worker, epoch, deadline)
            else:
                future = settled(self.reply())
        self.updates.look()
        if fresh:
            self.events.add("report", worker=worker, attempt=attempt, epoch=epoch, summary=summary)
            self._reach_milestone(epoch)
        return future

    def keep(self, worker: int, attempt: int, epoch: int, data: bytes) -> bool:
        """Keeps what a worker will want back if it, or the server, has to begin anew.

        To be called before the last push of the epoch before: until that is applied, who is lost
        gets back what was kept before this.

        Args:
            epoch: that it begins with this.
            data: whatever; it isn't looked at.

        Returns:
            Whether there was room for it.

        Raises:
            Refused, Fenced: as `push`.
        """
        with self._lock:
            record = self.ledger.heard(worker, attempt)
            return self._kept.keep(worker, record.position()[1], epoch, data)

    def kept(self, worker: int, attempt: int) -> tuple[int, bytes]:
        """The epoch and the data that `keep` was given for the epoch that the worker goes on in,
        or before it; -1 and nothing: there is none."""
        with self._lock:
            return self._kept.of(worker, self.ledger.heard(worker, attempt).position()[1])

    def fail(self, worker: int, attempt: int, error: dict[str, Any]) -> None:
        """Notes a worker's error; the others go on without it. Never refuses; that of an attempt
        that was replaced is forgotten, as the newer one goes on."""
        failure = {"worker": worker, "attempt": attempt, "error": error}
        with self._lock:
            record = self.ledger.workers.get(worker)
            if record is not None and attempt < record.attempt:
                return
            self.failures = [*self.failures, failure][-FAILURES_KEPT:]
            if record is not None and record.attempt == attempt:
                record.state = "failed"
                self._forget(worker)
        self.events.add("failure", **failure)
        self.updates.settle()

    def leave(self, worker: int, attempt: int) -> None:
        """Notes that a worker is done; the others go on without it.

        Raises:
            Fenced: a newer attempt has joined.
        """
        with self._lock:
            record = self.ledger.workers.get(worker)
            leaves = record is not None and record.state not in ("left", "failed")
            if record is not None and leaves:
                self.ledger.locate(self.ledger.seen(worker, attempt))
                record.state = "left"
                self.slots.close(worker)
                self._forget(worker)
        if leaves:
            self.events.add("leave", worker=worker, attempt=attempt)
        self.updates.settle()

    def pull_by(self, worker: int, attempt: int) -> mirrors.Outgoing:
        """Returns the vectors as a worker gets them that has joined. Raises as `Ledger.seen`."""
        self.beat(worker, attempt, None)
        answer = self.pull()
        if self.answers is None:
            return mirrors.plain(answer)
        return self.answers.first(worker, attempt, answer)

    def answered(self, push: Push, has: int | None, answer: Answer) -> mirrors.Outgoing:
        """Returns the answer to a push, plain or (to a compressed one) compressed.

        Args:
            has: the version that the worker has; see `Layout.unpack`.
        """
        if self.answers is None or has is None:
            return mirrors.plain(answer)
        return self.answers.to(push, has, answer)

    def count_bytes(self, received: int = 0, sent: int = 0) -> None:
        """Counts what pushes, pulls and their answers bring and take."""
        with self._counting:
            self.bytes["received"] += received
            self.bytes["sent"] += sent

    # What the driver calls.

    def control(
        self,
        stop: bool | None = None,
        learning_rate: float | None = None,
        release_epoch: int | None = None,
        finalize: bool = False,
    ) -> None:
        """Stops the training, sets the rate, releases the reports up to an epoch, or puts the
        optimizer's running mean of the weights into them, where it keeps one: when training ends.

        With a stop all waits are answered, and nothing more is applied but what is on its way into
        the weights at that moment: that is applied whole, and answered then.

        Raises:
            Refused: a learning rate below 0 or not finite, or one where a schedule decides.
        """
        if learning_rate is not None:
            self.orders.set_rate(learning_rate)
        if finalize:
            self.weights.finalize()
        with self._lock:
            if stop is not None:
                self.orders.stop = stop
            self.orders.tell()
            passed = self._gate.release(-1 if release_epoch is None else release_epoch)
            passed += self._gate.release_all() if self.orders.stop else []
            waiting = self.updates.drop() if self.orders.stop else []
        for one in passed:
            settle(one.future, self.reply())
        for future in waiting:
            settle(future, self.pull())

    def snapshot(self, epoch: int | None = None) -> Snapshot:
        """Returns all of this to begin from again.

        Args:
            epoch: that has ended for all, where one has.
        """
        with self.updates.whole:
            with self._lock:
                noted = self._noted()
            # They may be large, and who takes the lock is the loop that serves all.
            return Snapshot(**self.weights.remembered(), **noted, epoch=epoch)

    def _noted(self) -> dict[str, Any]:
        """What a snapshot has besides the weights; with the lock held."""
        self.ledger.look()
        rate = self.weights.optimizer._learning_rate
        pushes, staleness = account.counted(self)
        workers = self.ledger.workers
        self.counts["snapshots"] += 1
        return {
            "kept": {n: self._kept.of(n, workers[n].position()[1]) for n in self._kept.left},
            "workers": {n: snapshots.noted(one) for n, one in workers.items()},
            "closed_epoch": self.updates.closed_epoch,
            "learning_rate": self.orders.learning_rate,
            "rate": rate if isinstance(rate, float) else None,
            "events": self.events.number,
            "counts": {**self.counts, "pushes": pushes},
            "staleness": dict(staleness),
            "story": self.story.remembered(self),
        }

    def restore(self, found: Snapshot) -> None:
        """Begins from a snapshot, in place of the initial vectors: all have to join again.

        Raises:
            TypeError, ValueError: it doesn't fit the settings.
        """
        self.weights.restore(found.vectors, found.version, found.optimizer, found.shares)
        if found.rate is not None:
            self.weights.optimizer.learning_rate = found.rate
        self.orders.learning_rate = found.learning_rate
        self.updates.closed_epoch = found.closed_epoch
        self.updates.staleness = Counter(found.staleness)
        self.counts.clear()
        self.counts.update(found.counts)
        self.counts["restores"] += 1
        self.events.number = found.events
        self.story.restore(found.story, found.events)
        now = self.clock()
        self.ledger.workers = {n: snapshots.known(n, w, now) for n, w in found.workers.items()}
        self.ledger.restarted = True
        self._kept.left = {worker: [one] for worker, one in found.kept.items()}
        self.milestone = found
        self.control()

    def status(self) -> dict[str, Any]:
        """Returns what is going on, as JSON-able data."""
        self.updates.look()
        with self._lock:
            return account.described(self, self.clock() - self._started)

    def tick(self) -> None:
        """Lets leases run out and ends waits that took too long; call it a few times a second."""
        now = self.clock()
        with self._lock:
            for one in self._gate.waiting:
                self.ledger.workers[one.worker].last_seen = now
            expired = self.ledger.expire()
            late = waits.ended(self.ledger, self._gate, self.settings, now)
        for worker in expired:
            self.events.add(
                "expired", worker=worker.id, attempt=worker.attempt, lease=self.settings.lease
            )
        for future, error in late:
            settle(future, error)
        if expired:
            self.updates.settle()
        self.story.tick(self)

    def stop(self, now: bool) -> None:
        """Asks for the end, as who looks on may: at once, or when the driver sees an epoch end."""
        self.story.stopping()
        self.events.add("stopping", now=now)
        if now:
            self.control(stop=True)

    def reply(self) -> Reply:
        """The present version, whether to stop, and the rate that the driver set."""
        return self.orders.reply()

    def _reach_milestone(self, epoch: int) -> None:
        """Makes a snapshot where the last worker has reported on an epoch. In synchronous mode
        nobody is beyond it then: a round needs a push of the one that has just reported."""
        every = self.settings.checkpoint_every
        if not every or (epoch + 1) % every:
            return
        with self._lock:
            active = self.ledger.active()
            reached = self.ledger.complete and all(one.reported >= epoch for one in active)
        if reached:
            self.milestone = self.snapshot(epoch)
            self.events.add("milestone", epoch=epoch, version=self.milestone.version)

    def _forget(self, worker: int) -> None:
        if self.answers is not None:
            self.answers.forget(worker)

    def _replace(self, record: Worker) -> list[Future[Any]]:
        """The answers that the attempts before this one still wait for."""
        pushes = record.pending.overdue(float("inf")) if record.pending else []
        return [*pushes, *(one.future for one in self._gate.remove(record.id))]
