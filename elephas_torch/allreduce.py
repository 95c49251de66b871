"""Synchronous updates without the server: workers add them up among themselves.

Each round is one `all_reduce` of gloo, or of nccl where each has a GPU, over a flat vector: update
and state times samples, and the samples. Each worker then makes the same step with an optimizer of
its own, like the server's; so all hold the same weights, bit by bit. The server is where they meet,
where the driver hears of them, and where the first of them puts the weights that the driver wants.

    u = sum(n_i u_i) / sum(n_i)
"""

from __future__ import annotations

from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor

from elephas_torch import constraints, exchange, optimizers
from elephas_torch.errors import Diverged, Refused
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.meeting import Meeting
from elephas_torch.parameter import rules
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.local import Link
from elephas_torch.parameter.wire import Push, Reply
from elephas_torch.plan import Gang, Plan
from elephas_torch.store import Rows
from elephas_torch.team import Team


class AllReduce(Exchange):
    """A worker's updates: computed by frequency, added up with the others', stepped with.

    Args:
        gang: the optimizer and what goes with it, waits, and the rates of epochs.
        others: as `Exchange`'s.
    """

    def __init__(self, gang: Gang, *others: Any) -> None:
        self.gang = gang
        super().__init__(*others)
        settings, flat = gang.settings, self.flat
        self.optimizer = optimizers.get(settings.optimizer, importing=True)
        self.optimizer.build(flat.parameters)
        size = flat.parameters.numel() + flat.state.numel() + 1
        self.buffer = flat.parameters.new_zeros(size)
        self.sums = self.buffer.split([flat.parameters.numel(), flat.state.numel(), 1])
        self.rounds, self.round, self.leads, self.unit = 0, 0, False, 1.0
        self.team: Team | None = None
        self._meet()

    @property
    def _server(self) -> Client:
        return cast(Client, self.client)  # there are no shards

    def _linked(self) -> Link:
        return self.client

    def _first(self) -> int:
        # The driver's own: those at the server may be of epochs that are to be done again.
        return 0

    def epoch(self, rows: Rows, epoch: int) -> bool:
        """Runs one epoch; returns whether to stop.

        Who has no batches left takes part in the others' rounds with none.
        """
        self.round = 0
        self._set_rate(self.gang.rate(epoch, self.rate))
        stop = super().epoch(rows, epoch)
        while self.round < self.rounds:
            self._round(0)
        if self.gang.settings.gated or self.plan.keeps:
            self._put(epoch)
        return stop

    def conclude(self) -> None:
        """Puts the last weights there."""
        if not self.version:
            return  # stopped before it began: those that are there are the last
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self.flat.parameters)
        self._put(self.plan.epochs - 1)
        if self.team is not None:
            self.team.concluded = True

    def kept(self) -> bytes:
        """What nobody else has of what the next epoch begins with."""
        own = exchange.state("worker", self.step.optimizer)
        return safetensors.torch.save({**own, **exchange.state("server", self.optimizer)})

    def recall(self, data: bytes) -> None:
        """Takes what `kept` gave."""
        super().recall(data)
        self.optimizer.load_state_dict(exchange.part("server", safetensors.torch.load(data)))

    def close(self) -> None:
        """Parts from the others; who waits for this one is told so by the connection's end."""
        if self.team is not None:
            self.team.close()
        self.team = None

    def _meet(self) -> None:
        """Finds the others with rows, and joins hands with them."""
        meeting = Meeting(self._server, self.number, self.attempt, self.gang, self.where)
        samples = meeting.samples()
        if self.number not in samples:
            return  # all its rows are to validate with
        self.leads = self.number == min(samples)
        self.rounds = max(_rounds(self.plan, rows) for rows in samples.values())
        # A power of two: with it no product overflows, and nothing is rounded.
        self.unit = 0.5 ** sum(samples.values()).bit_length()
        if len(samples) > 1:
            self.team = meeting.team(samples)

    def _set_rate(self, rate: float | None) -> None:
        if rate is None:
            return
        if not self.plan.gradients:
            self.step.optimizer.learning_rate = rate
        elif self.gang.settings.server_rate:
            self.optimizer.learning_rate = rate

    def _push(self, epoch: int, samples: int, last: bool) -> Reply:
        self._finish(epoch, last)
        if not self.plan.gradients:
            torch.sub(self.base, self.flat.parameters, out=self.update)
        self._round(samples)
        return Reply(self.version, False, self.rate)

    def _round(self, samples: int) -> None:
        """Adds an update up with the others', and makes the step that follows."""
        flat, team = self.flat, self.team
        if samples:
            self._check_finite()
        if team is None:
            update, state = self.update, flat.state
        else:
            update, state = self._mean(team, samples)
            flat.state.copy_(state)
            if flat.counters.numel():
                team.largest(flat.counters)
        self._move(update)
        self.version, self.round = self.version + 1, self.round + 1

    def _mean(self, team: Team, samples: int) -> tuple[Tensor, Tensor]:
        """The means of all updates and states; in the buffer, so they may be overwritten."""
        update, state, count = self.sums
        if samples:
            share = samples * self.unit
            torch.mul(self.update, share, out=update)
            torch.mul(self.flat.state, share, out=state)
            count.fill_(share)
        else:
            self.buffer.zero_()
        team.add(self.buffer)
        self.buffer.div_(float(count))
        return update, state

    def _move(self, update: Tensor) -> None:
        """The same step as the server's."""
        settings, flat, base = self.gang.settings, self.flat, self.base
        if rules.is_plain_sgd(self.optimizer):
            rules.plain_sgd(base, update, self.optimizer.learning_rate, 0, base)
        else:
            self.optimizer.step(base, update, settings.weight_sizes)
        if settings.constraints:
            constraints.project(base, settings.constraints)
        if base is not flat.parameters:
            flat.parameters.copy_(base)

    def _check_finite(self) -> None:
        try:
            rules.check_finite(Vectors(self.update, self.flat.state, self.flat.counters))
        except Refused as error:
            raise Diverged(str(error)) from None

    def _put(self, epoch: int) -> None:
        if self.leads:
            head = Push(self.number, self.attempt, 0, 0, 1, epoch, True)
            self._server.put(head, self.flat.vectors)


def _rounds(plan: Plan, rows: int) -> int:
    """How many updates a worker with so many rows makes in an epoch."""
    return -(-plan.total(rows) // plan.every) if plan.every else 1
