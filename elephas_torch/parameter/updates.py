"""Updates on their way: each is let in once, applied at once or in its round, and answered."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext

from elephas_torch.errors import ElephasError, Refused, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import rounds, rules
from elephas_torch.parameter.events import EventLog, settle, settled
from elephas_torch.parameter.ledger import Ledger, Pending, Worker
from elephas_torch.parameter.orders import Orders
from elephas_torch.parameter.rounds import Contribution, Rounds
from elephas_torch.parameter.weights import Weights
from elephas_torch.parameter.wire import Answer, Push, Settings


class Updates:
    """Between the ledger, which says what may be applied, and the weights, that it is applied to.

    Args:
        settings, weights, ledger, events, orders: the run's.
        counts: where pushes, rounds, duplicates and refusals are counted.
        lock: the ledger's. It isn't held while an update is applied, which may take long.

    Attributes:
        whole: who holds it sees the weights with all updates that are counted, and no other.
        staleness: versions that were missed -> how many updates had missed so many.
        closed_epoch: the last one that all active workers have done, -1 at first.
    """

    def __init__(
        self,
        settings: Settings,
        weights: Weights,
        ledger: Ledger,
        events: EventLog,
        orders: Orders,
        counts: Counter[str],
        lock: threading.Lock,
    ) -> None:
        self.settings, self.weights, self.ledger = settings, weights, ledger
        self.events, self.orders, self.counts = events, orders, counts
        self.staleness: Counter[int] = Counter()
        self.closed_epoch = -1
        # Hogwild updates interleave: there a snapshot may have an update that isn't counted yet.
        self.whole: AbstractContextManager[object]
        self.whole = nullcontext() if settings.mode == "hogwild" else threading.Lock()
        self._rounds = Rounds(settings.quorum) if settings.mode == "synchronous" else None
        self._waits = self._rounds is not None or settings.staleness_bound is not None
        self._lock = lock

    def push(self, push: Push, update: Vectors) -> Future[Answer]:
        """Takes one update; see `State.push`."""
        try:
            if not self.weights.checks:
                rules.check_finite(update)
            elif update.state.numel():
                rules.check_finite(update._replace(parameters=update.parameters[:0]))
            with self._lock:
                worker = self.admit(push)
                known = self._known(worker, push)
                if known is None:
                    worker.pending = worker.begin(push)
                    worker.pending.applying = self._rounds is None
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
            self.settle()
        return future

    def admit(self, push: Push) -> Worker:
        """The worker of a push that may come now; with the lock held.

        Raises:
            Refused, Fenced: it may not.
        """
        worker = self.ledger.admit(push)
        if push.base_version > self.weights.version:
            raise Refused(
                f"The update claims to be computed at version {push.base_version}; the server "
                f"is at {self.weights.version}."
            )
        return self.ledger.heard(worker.id, push.attempt)

    def settle(self) -> None:
        """Closes what rounds and epochs can close, and answers who has nothing to wait for."""
        while self._rounds:
            with self._lock:
                ready = self.ledger.complete and not self.orders.stop
                taken = self._rounds.take(self.ledger.active()) if ready else []
            if taken:
                self._close(taken)
            if not taken:
                break
            self._release()
        if self._waits:
            self._release()
        self.look()

    def look(self) -> None:
        """Takes notice of what workers have done by themselves, and of what epochs are closed."""
        with self._lock:
            self.ledger.look()
            closed = self._epochs_closed()
        self._tell_epochs(closed)

    def drop(self) -> list[Future[Answer]]:
        """Forgets the open round, and who waits for others; returns the answers that are owed.
        What is being applied goes on, and is answered then. With the lock held."""
        if self._rounds:
            self._rounds.drop()
        found = []
        for worker in self.ledger.workers.values():
            pending = worker.pending
            if pending is not None and (pending.counted or not pending.applying):
                found += pending.overdue(float("inf"))
                worker.pending = None
        return found

    def _known(self, worker: Worker, push: Push) -> Future[Answer] | None:
        """The answer to a push that isn't to be applied: it was, it is being, or all stopped."""
        pending = worker.pending
        if pending is not None and pending.push.seq == push.seq:
            return self._waiting(pending)
        if self.orders.stop or push.seq < worker.seq:
            return settled(self.orders.answer())
        if pending is not None:
            raise Refused(
                f"Worker {worker.id} pushes seq={push.seq} before seq={pending.push.seq} was "
                "answered."
            )
        return None

    def _waiting(self, pending: Pending) -> Future[Answer]:
        future: Future[Answer] = Future()
        pending.waiting.append((future, self.ledger.clock() + self.settings.round_timeout))
        return future

    # Below: without the lock, where a name says nothing else.

    def _apply(self, worker: Worker, update: Vectors) -> None:
        pending = worker.pending
        assert pending is not None
        try:
            with self.whole:
                version, body, stale = self.weights.step(pending.push, update)
                with self._lock:
                    worker.commit(pending.push)
                    if self._waits:
                        pending.counted = True
                    else:
                        worker.pending = None
                    self.counts["pushes"] += 1
                    self.staleness[stale] += 1
                    worker.stale = stale
                    closed = self._epochs_closed()
        except Refused as error:
            # Not the same one, whose trace holds the update's memory.
            self._give_up([worker], Refused(str(error)))
            raise
        except Exception as error:
            self._undo([worker], error)
            return
        self._tell_epochs(closed)
        if self._waits:
            self._release()
            return
        answer = self.orders.before(version, body)
        for future, _ in pending.waiting:
            settle(future, answer)

    def _close(self, taken: list[Contribution]) -> None:
        assert self._rounds is not None
        pushes = [one.pending.push for one in taken]
        try:
            with self.whole:
                _, _, missed = self.weights.step_round(pushes, [one.update for one in taken])
                with self._lock:
                    for one, stale in zip(taken, missed, strict=True):
                        one.worker.commit(one.pending.push)
                        one.worker.stale, one.pending.counted = stale, True
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
        """Answers those whose push was counted and has nothing more to wait for."""
        with self._lock:
            workers = list(self.ledger.workers.values())
            # Those who are away may have batches of the epoch left.
            back = self._rounds is None or not self.ledger.away()
            free = rounds.released(workers, self.ledger.active(), self.settings) if back else []
            if self.orders.stop:  # those that others would have to come near to don't go on
                free = [one for one in workers if one.pending and one.pending.counted]
            waiting = [f for w in free if w.pending for f, _ in w.pending.waiting]
            for worker in free:
                worker.pending, worker.last_seen = None, self.ledger.clock()
        if waiting:
            answer = self.orders.answer()
            for future in waiting:
                settle(future, answer)

    def _undo(self, workers: list[Worker], error: Exception) -> None:
        reason = f"The server's optimizer raised {type(error).__name__}: {error}"
        self._give_up(workers, ServerError(reason))

    def _give_up(self, workers: list[Worker], error: ElephasError) -> None:
        """Tells those who wait for an update that can't be applied; it may be sent again."""
        with self._lock:
            futures = [f for w in workers if w.pending for f, _ in w.pending.waiting]
            for worker in workers:
                worker.pending = None
        for future in futures:
            settle(future, error)

    def _epochs_closed(self) -> range:
        """Counts the epochs that all have done, and returns those that are new; with the lock."""
        active = self.ledger.active()
        if not active or not self.ledger.complete:
            return range(0)
        before, now = self.closed_epoch, min(worker.done for worker in active)
        self.closed_epoch = max(before, now)
        return range(before + 1 if before >= 0 else self.ledger.first_epoch(now), now + 1)

    def _tell_epochs(self, closed: range) -> None:
        for epoch in closed:
            self.events.add("epoch", epoch=epoch, version=self.weights.version)
