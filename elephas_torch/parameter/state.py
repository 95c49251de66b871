"""The parameter server without its HTTP: vectors, rounds, ledger, events.

All methods may be called from any thread. Whatever has to wait is a future; somebody has to
call `tick` now and then, so that leases run out and waits end.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from elephas_torch.errors import ElephasError, Fenced, Refused, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import account, mirrors, packing, rounds, rules, snapshots, waits
from elephas_torch.parameter.events import EventLog, settle, settled
from elephas_torch.parameter.gate import Gate
from elephas_torch.parameter.ledger import Ledger, Pending, Worker
from elephas_torch.parameter.rounds import Contribution, Rounds
from elephas_torch.parameter.slots import Slots
from elephas_torch.parameter.snapshots import Snapshot
from elephas_torch.parameter.weights import Weights
from elephas_torch.parameter.wire import Answer, Joined, Push, Reply, Settings

FAILURES_KEPT = 20
#: What all workers together may leave with the server.
KEPT_BYTES = 4 << 30


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
        self.ledger = Ledger(settings.workers, settings.lease, clock)
        self.events = EventLog()
        self.stop = False
        self.learning_rate: float | None = None
        self.counts: Counter[str] = Counter()
        self.bytes = {"received": 0, "sent": 0}
        self.layout = packing.layout(settings)
        self.answers = mirrors.answers(settings, self.layout)
        self.staleness: Counter[int] = Counter()
        self.failures: list[dict[str, Any]] = []
        self.closed_epoch = -1
        self.milestone: Snapshot | None = None
        self._kept: dict[int, list[tuple[int, bytes]]] = {}
        # Hogwild updates interleave: there a snapshot may have an update that isn't counted yet.
        self._whole: AbstractContextManager[object]
        self._whole = nullcontext() if settings.mode == "hogwild" else threading.Lock()
        self._rounds = Rounds(settings.quorum) if settings.mode == "synchronous" else None
        self._waits = self._rounds is not None or settings.staleness_bound is not None
        self._gate = Gate()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._started = clock()

    # What a worker calls.

    def join(self, worker: int, attempt: int, samples: int, info: dict[str, Any]) -> Joined:
        """Enters a worker; says where it goes on from. Raises as `Ledger.join`."""
        with self._lock:
            before = self.ledger.workers.get(worker)
            known = (before.attempt, before.state) if before else None
            had = before.samples if before and before.state == "away" else 0
            if before is not None:
                self._take_position(before)
            record = self.ledger.join(worker, attempt, samples, info)
            if known and known[0] < attempt:
                record.link = "http"
                self.slots.close(worker)
            replaced = self._replace(record) if known and known[0] < attempt else []
            joined = Joined(*record.position(), *self.reply())
        if known != (attempt, record.state):
            again = {"before": had} if had else {}
            self.events.add(
                "join", worker=worker, attempt=attempt, samples=samples, info=info, **again
            )
        _fail_all(replaced, Fenced(f"Worker {worker} was replaced by attempt {attempt}."))
        self._settle()
        return joined

    def share(self, worker: int, attempt: int, machine: str) -> dict[str, Any]:
        """Gives a worker of this machine memory for its updates; see `Slots.open`.

        Raises as `Ledger.seen`.
        """
        with self._lock:
            record = self._seen(worker, attempt)
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
        try:
            if not self.weights.checks:
                rules.check_finite(update)
            elif update.state.numel():
                rules.check_finite(update._replace(parameters=update.parameters[:0]))
            with self._lock:
                worker = self._admit(push)
                known = self._known(worker, push)
                if known is None:
                    worker.pending = worker.begin(push)
                    future = self._waiting(worker.pending)
                    if self._rounds:
                        self._rounds.add(worker, worker.pending, update)
            if known is None and not self._rounds:
                self._apply(worker, update)
        except Refused:
            self.counts["refused"] += 1
            raise
        if known is not None:
            self.counts["duplicates"] += 1
            return known
        if self._rounds:
            self._settle()
        return future

    def push_shared(self, push: Push) -> Future[Answer]:
        """Takes an update that lies in the worker's slot; otherwise as `push`."""
        update = self.slots.vectors(push)
        if update is None:
            with self._lock:
                self._admit(push)
            raise Refused(
                f"Attempt {push.attempt} of worker {push.worker} has no shared memory here: its "
                "updates must be sent whole."
            )
        return self.push(push, update)

    def pull(self) -> Answer:
        """Returns the vectors as they are."""
        version, body = self.weights.snapshot()
        return Answer(Reply(version, self.stop, self.learning_rate), body)

    def put(self, push: Push, vectors: Vectors) -> Reply:
        """Takes vectors as they are, where workers make the updates among themselves.

        Raises:
            Refused, Fenced: as `push`; the vectors stay as they were.
        """
        rules.check_finite(vectors)
        with self._lock:
            self._seen(push.worker, push.attempt)
            self.closed_epoch = max(self.closed_epoch, push.epoch)
        self.weights.put(vectors)
        self.counts["puts"] += 1
        return self.reply()

    def beat(self, worker: int, attempt: int, progress: dict[str, Any] | None) -> Reply:
        """Renews a worker's lease, and notes how far it is. Raises as `Ledger.seen`."""
        with self._lock:
            record = self._seen(worker, attempt)
            if progress is not None:
                record.progress = progress
            return self.reply()

    def report(
        self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]
    ) -> Future[Reply]:
        """Takes a worker's summary of an epoch, once; a gated answer waits for its release."""
        with self._lock:
            record = self._seen(worker, attempt)
            fresh = epoch > record.reported
            record.reported = max(epoch, record.reported)
            if worker in self._kept:
                self._kept[worker] = [self._kept_for(record)]
            if self.settings.gated and self._gate.shut_for(epoch) and not self.stop:
                deadline = self.clock() + self.settings.round_timeout
                future = self._gate.add(worker, epoch, deadline)
            else:
                future = settled(self.reply())
        self._look()
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
            before = self._kept_for(self._seen(worker, attempt))
            others = [one for key, found in self._kept.items() if key != worker for one in found]
            fresh = [(epoch, data)]
            for mine in ([before, *fresh] if 0 <= before[0] < epoch else fresh, fresh):
                if sum(len(one) for _, one in [*others, *mine]) <= KEPT_BYTES:
                    self._kept[worker] = mine
                    return True
            self._kept.pop(worker, None)
            return False

    def kept(self, worker: int, attempt: int) -> tuple[int, bytes]:
        """The epoch and the data that `keep` was given for the epoch that the worker goes on in,
        or before it; -1 and nothing: there is none."""
        with self._lock:
            return self._kept_for(self._seen(worker, attempt))

    def fail(self, worker: int, attempt: int, error: dict[str, Any]) -> None:
        """Notes a worker's error; the others go on without it. Never refuses."""
        failure = {"worker": worker, "attempt": attempt, "error": error}
        with self._lock:
            self.failures = [*self.failures, failure][-FAILURES_KEPT:]
            record = self.ledger.workers.get(worker)
            if record is not None and record.attempt == attempt:
                record.state = "failed"
                self._forget(worker)
        self.events.add("failure", **failure)
        self._settle()

    def leave(self, worker: int, attempt: int) -> None:
        """Notes that a worker is done; the others go on without it.

        Raises:
            Fenced: a newer attempt has joined.
        """
        with self._lock:
            record = self.ledger.workers.get(worker)
            leaves = record is not None and record.state not in ("left", "failed")
            if record is not None and leaves:
                self._take_position(self.ledger.seen(worker, attempt))
                record.state = "left"
                self.slots.close(worker)
                self._forget(worker)
        if leaves:
            self.events.add("leave", worker=worker, attempt=attempt)
        self._settle()

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
        """Stops the training (all waits are answered, nothing more is applied), sets the rate,
        releases the reports up to an epoch, or puts the optimizer's running mean of the weights
        into them, where it keeps one: when training ends.

        Raises:
            Refused: a learning rate below 0 or not finite, or one where a schedule decides.
        """
        if learning_rate is not None:
            self._set_rate(learning_rate)
        if finalize:
            self.weights.finalize()
        with self._lock:
            if stop is not None:
                self.stop = stop
            if self.weights.board is not None:
                rate = self.weights.optimizer.learning_rate
                self.weights.board.tell(self.stop, self.learning_rate, rate)
            passed = self._gate.release(-1 if release_epoch is None else release_epoch)
            passed += self._gate.release_all() if self.stop else []
            waiting = self._drop_waiting() if self.stop and self._waits else []
        for one in passed:
            settle(one.future, self.reply())
        for future in waiting:
            settle(future, self.pull())

    def snapshot(self, epoch: int | None = None) -> Snapshot:
        """Returns all of this to begin from again.

        Args:
            epoch: that has ended for all, where one has.
        """
        with self._whole, self._lock:
            for record in self.ledger.workers.values():
                self._take_position(record)
            rate = self.weights.optimizer._learning_rate
            pushes, staleness = account.counted(self)
            return Snapshot(
                **self.weights.remembered(),
                kept={key: self._kept_for(self.ledger.workers[key]) for key in self._kept},
                workers={key: snapshots.noted(one) for key, one in self.ledger.workers.items()},
                epoch=epoch,
                closed_epoch=self.closed_epoch,
                learning_rate=self.learning_rate,
                rate=rate if isinstance(rate, float) else None,
                events=self.events.number,
                counts={**self.counts, "pushes": pushes},
                staleness=dict(staleness),
            )

    def restore(self, found: Snapshot) -> None:
        """Begins from a snapshot, in place of the initial vectors: all have to join again.

        Raises:
            TypeError, ValueError: it doesn't fit the settings.
        """
        self.weights.restore(found.vectors, found.version, found.optimizer, found.shares)
        if found.rate is not None:
            self.weights.optimizer.learning_rate = found.rate
        self.learning_rate, self.closed_epoch = found.learning_rate, found.closed_epoch
        self.counts, self.staleness = Counter(found.counts), Counter(found.staleness)
        self.events.number = found.events
        now = self.clock()
        self.ledger.workers = {n: snapshots.known(n, w, now) for n, w in found.workers.items()}
        self.ledger.restarted = True
        self._kept = {worker: [one] for worker, one in found.kept.items()}
        self.milestone = found
        self.control()

    def status(self) -> dict[str, Any]:
        """Returns what is going on, as JSON-able data."""
        self._look()
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
            self._settle()

    def reply(self) -> Reply:
        """The present version, whether to stop, and the rate that the driver set."""
        return Reply(self.weights.version, self.stop, self.learning_rate)

    # Below: with the lock held, where a name says nothing else.

    def _look(self) -> None:
        """Takes notice of what workers have done by themselves, and of what epochs are closed."""
        with self._lock:
            for record in self.ledger.workers.values():
                self._take_position(record)
            closed = self._epochs_closed()
        self._tell_epochs(closed)

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

    def _take_position(self, record: Worker) -> None:
        """Looks where a worker is that steps by itself."""
        found = self.weights.board
        position = found.position(record.id, record.attempt) if found is not None else None
        if position is not None:
            record.seq, record.epoch, record.batch, record.done = position

    def _seen(self, worker: int, attempt: int) -> Worker:
        record = self.ledger.seen(worker, attempt)
        self._take_position(record)
        if record.state == "expired":
            self.ledger.enter(record)
            self.events.add("returned", worker=worker, attempt=attempt)
        return record

    def _kept_for(self, record: Worker) -> tuple[int, bytes]:
        found, epoch = self._kept.get(record.id, [(-1, b"")]), record.position()[1]
        # By all-reduce there are no pushes, so nobody's epoch is known.
        return next((one for one in reversed(found) if one[0] <= epoch), found[-1])

    def _admit(self, push: Push) -> Worker:
        worker = self.ledger.admit(push)
        if push.base_version > self.weights.version:
            raise Refused(
                f"The update claims to be computed at version {push.base_version}; the server "
                f"is at {self.weights.version}."
            )
        return self._seen(worker.id, push.attempt)

    def _known(self, worker: Worker, push: Push) -> Future[Answer] | None:
        """The answer to a push that isn't to be applied: it was, it is being, or all stopped."""
        pending = worker.pending
        if self.stop:
            return settled(self.pull())
        if pending is not None and pending.push.seq == push.seq:
            return self._waiting(pending)
        if push.seq < worker.seq:
            return settled(self.pull())
        if pending is not None:
            raise Refused(
                f"Worker {worker.id} pushes seq={push.seq} before seq={pending.push.seq} was "
                "answered."
            )
        return None

    def _waiting(self, pending: Pending) -> Future[Answer]:
        future: Future[Answer] = Future()
        pending.waiting.append((future, self.clock() + self.settings.round_timeout))
        return future

    def _forget(self, worker: int) -> None:
        if self.answers is not None:
            self.answers.forget(worker)

    def _replace(self, record: Worker) -> list[Future[Any]]:
        """The answers that the attempts before this one still wait for."""
        pushes = record.pending.overdue(float("inf")) if record.pending else []
        return [*pushes, *(one.future for one in self._gate.remove(record.id))]

    def _drop_waiting(self) -> list[Future[Answer]]:
        if self._rounds:
            self._rounds.drop()
        found = [future for one in self.ledger.pending() for future in one.overdue(float("inf"))]
        for worker in self.ledger.workers.values():
            worker.pending = None
        return found

    def _set_rate(self, rate: float) -> None:
        if not 0 <= rate < float("inf"):
            raise Refused(
                f"`learning_rate` must be a number of 0 or more. Received: learning_rate={rate!r}"
            )
        if self.settings.server_rate:
            try:
                self.weights.optimizer.learning_rate = float(rate)
            except TypeError as error:  # a schedule decides
                raise Refused(str(error)) from None
        self.learning_rate = float(rate)

    # Applying; without the lock held, as it may take long.

    def _apply(self, worker: Worker, update: Vectors) -> None:
        pending = worker.pending
        assert pending is not None
        try:
            with self._whole:
                version, body, stale = self.weights.step(pending.push, update)
                with self._lock:
                    worker.commit(pending.push)
                    if self._waits:
                        pending.counted = True
                    else:
                        worker.pending = None
                    self.counts["pushes"] += 1
                    self.staleness[stale] += 1
                    closed = self._epochs_closed()
        except Refused as error:
            # Not the same one, whose trace holds the update's memory.
            _fail_all(self._given_up([worker]), Refused(str(error)))
            raise
        except Exception as error:
            self._undo([worker], error)
            return
        self._tell_epochs(closed)
        if self._waits:
            self._release()
            return
        answer = Answer(Reply(version, self.stop, self.learning_rate), body)
        for future, _ in pending.waiting:
            settle(future, answer)

    def _settle(self) -> None:
        """Closes what rounds and epochs can close, and answers who has nothing to wait for."""
        while self._rounds:
            with self._lock:
                ready = self.ledger.complete and not self.stop
                taken = self._rounds.take(self.ledger.active()) if ready else []
            if taken:
                self._close(taken)
            if not taken:
                break
            self._release()
        if self._waits:
            self._release()
        self._look()

    def _close(self, taken: list[Contribution]) -> None:
        assert self._rounds is not None
        pushes = [one.pending.push for one in taken]
        try:
            with self._whole:
                _, _, missed = self.weights.step_round(pushes, [one.update for one in taken])
                with self._lock:
                    for one in taken:
                        one.worker.commit(one.pending.push)
                        one.pending.counted = True
                    self.counts["pushes"] += len(taken)
                    self.counts["rounds"] += 1
                    if self.settings.quorum < 1:
                        self.staleness.update(missed)
                    self._rounds.closed()
                    closed = self._epochs_closed()
        except Exception as error:
            self._undo([one.worker for one in taken], error)
            with self._lock:
                self._rounds.closed()
            return
        self._tell_epochs(closed)

    def _release(self) -> None:
        with self._lock:
            workers = list(self.ledger.workers.values())
            # Those who are away may have batches of the epoch left.
            back = self._rounds is None or not self.ledger.away()
            free = rounds.released(workers, self.ledger.active(), self.settings) if back else []
            waiting = [f for w in free if w.pending for f, _ in w.pending.waiting]
            for worker in free:
                worker.pending, worker.last_seen = None, self.clock()
        if waiting:
            answer = self.pull()
            for future in waiting:
                settle(future, answer)

    def _undo(self, workers: list[Worker], error: Exception) -> None:
        reason = f"The server's optimizer raised {type(error).__name__}: {error}"
        _fail_all(self._given_up(workers), ServerError(reason))

    def _given_up(self, workers: list[Worker]) -> list[Future[Answer]]:
        """Those who wait for an update that can't be applied; it may be sent again."""
        with self._lock:
            futures = [f for w in workers if w.pending for f, _ in w.pending.waiting]
            for worker in workers:
                worker.pending = None
        return futures

    def _epochs_closed(self) -> range:
        active = self.ledger.active()
        if not active or not self.ledger.complete:
            return range(0)
        before, now = self.closed_epoch, min(worker.done for worker in active)
        self.closed_epoch = max(before, now)
        return range(before + 1 if before >= 0 else self.ledger.first_epoch(now), now + 1)

    def _tell_epochs(self, closed: range) -> None:
        for epoch in closed:
            self.events.add("epoch", epoch=epoch, version=self.weights.version)


def _fail_all(futures: Iterable[Future[Any]], error: ElephasError) -> None:
    for future in futures:
        settle(future, error)
