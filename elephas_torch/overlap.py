"""Exchanges that go on while the worker computes."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import torch

from elephas_torch.errors import Refused
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.courier import Courier
from elephas_torch.parameter.shards import ShardedClient
from elephas_torch.parameter.wire import Push, Reply


class Overlapping(Exchange):
    """Pushes while the next update is computed, and takes the answer before the one after it.

    So an update is computed from weights that miss the worker's own last update, which is on its
    way, and those of others meanwhile: staleness is one more (pipelined SGD). What a worker has
    done since its last push is kept when the answer comes: with weights w of the server, x of the
    worker at its push and y now, it goes on from w + (y - x). At the end of an epoch it waits.

    Args are those of `Exchange`; the link is one of its own, as the worker's client is used by the
    training thread at the same time.
    """

    def __init__(self, plan: Any, step: Any, client: Client | ShardedClient, *more: Any) -> None:
        self._twin = client.twin()
        try:
            super().__init__(plan, step, self._twin, *more)
        except BaseException:
            self._twin.close()
            raise
        self._sent, self._fresh = self.flat.vectors.clone(), self.flat.vectors.clone()
        self._courier = Courier()
        self._pending: Future[Reply] | None = None

    def _place(self) -> None:
        if self.link.parameters is not None:
            super()._place()  # the worker steps the weights itself: there is nothing to wait for
            return
        # The server reads an update while the next one is computed: each has its memory.
        self.base = self.flat.parameters if self.plan.gradients else self.flat.parameters.clone()
        self.update = self.flat.gradients

    def _push(self, epoch: int, samples: int, last: bool) -> Reply:
        if self.link.parameters is not None:
            return super()._push(epoch, samples, last)
        before = self._arrived()
        if before is not None and before.stop:
            self._take_in(before, self._fresh)
            return before
        # The worker's own update that was on its way isn't one that it missed.
        version = self.version + (before is not None)
        push = Push(self.number, self.attempt, self.seq, version, samples, epoch, last)
        self._finish(epoch, last)
        moved = self.flat.state - self._sent.state
        self._fill()
        if before is not None:
            self._take_in(before, self._with_progress(moved))
        if not self.plan.gradients:
            self.base.copy_(self.flat.parameters)
        if last:
            self.keep(epoch + 1)
        self._pending = self._courier.send(self._exchange_aside, push, self._whole(epoch, last))
        self.seq += 1
        if not last:
            return Reply(self.version, False, self.rate)
        reply = self._arrived()
        assert reply is not None
        self._take_in(reply, self._fresh)
        if not self.plan.gradients:
            self.base.copy_(self.flat.parameters)
        return reply

    def _fill(self) -> None:
        """Lays the update, and the worker's own state, where the courier takes them from."""
        if self.plan.gradients:
            self._sent.parameters.copy_(self.flat.gradients)
        else:
            torch.sub(self.base, self.flat.parameters, out=self._sent.parameters)
        self._sent.state.copy_(self.flat.state)
        self._sent.counters.copy_(self.flat.counters)

    def _exchange_aside(self, push: Push, whole: bool) -> Reply:
        if whole:
            return self.client.exchange(push, self._sent, self._fresh, whole=True)
        return self.link.exchange(push, self._sent, self._fresh)

    def _arrived(self) -> Reply | None:
        """Waits for the answer to the last push; None where there is none on its way."""
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        try:
            return pending.result()
        except Refused as error:
            raise self._told(error, self._sent) from None

    def _with_progress(self, moved: torch.Tensor) -> Vectors:
        """The server's vectors and what this worker has done since it pushed."""
        fresh = self._fresh
        if not self.plan.gradients:
            fresh.parameters.sub_(self._sent.parameters)
        fresh.state.add_(moved)
        torch.maximum(fresh.counters, self.flat.counters, out=fresh.counters)
        return fresh

    def _take_in(self, reply: Reply, vectors: Vectors) -> None:
        self.flat.vectors.copy_(vectors)
        self.version, self.rate = reply.version, reply.learning_rate

    def close(self) -> None:
        """Ends the thread, and the connection, whatever is on its way."""
        self._courier.close()
        self._twin.close()
