"""Synchronous updates without the server: workers add them up among themselves.

Each round is one `all_reduce` of gloo over a flat vector: update and state times samples, and the
samples. Each worker then makes the same step with an optimizer of its own, like the server's; so
all hold the same weights, bit by bit. The server is where they meet, where the driver hears of
them, and where the first of them puts the weights that the driver wants.

    u = sum(n_i u_i) / sum(n_i)
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from elephas_torch import constraints, exchange, optimizers
from elephas_torch.cluster import own_address
from elephas_torch.errors import Diverged, Fenced, Refused, WaitTimeout
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.parameter import rules
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.local import Link
from elephas_torch.parameter.wire import Push, Reply
from elephas_torch.plan import Gang, Plan
from elephas_torch.store import Rows

POLL_SECONDS = 0.02


class Parted(Exception):
    """Another worker is gone, or has failed: the driver knows, or will find out, which."""


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
        self.buffer = torch.zeros(flat.parameters.numel() + flat.state.numel() + 1)
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
        meeting = Meeting(self._server, self.number, self.attempt, self.gang)
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


@dataclass(frozen=True)
class Meeting:
    """How workers find each other, through the server.

    Attributes:
        client: the server's.
        number, attempt: this worker's.
        gang: which others are meant, and how long they are waited for.
    """

    client: Client
    number: int
    attempt: int
    gang: Gang

    def samples(self) -> dict[int, int]:
        """Waits until all have joined; worker -> samples of those that have some.

        Raises:
            WaitTimeout: not all came in time.
            Parted: one has failed, or all was stopped.
            Fenced: a newer attempt has joined.
        """
        settings = self.gang.settings

        def all_there(workers: dict[int, Any]) -> dict[int, int] | None:
            if len(workers) < settings.workers:
                return None
            return {key: one["samples"] for key, one in workers.items() if one["samples"]}

        def in_vain(workers: dict[int, Any]) -> str:
            came = ", ".join(map(str, sorted(workers))) or "none"
            return (
                f"Only {len(workers)} of {settings.workers} workers joined within "
                f"{settings.join_timeout:g} s (came: {came}). All-reduce needs all of them at the "
                "same time: check that every executor can reach the parameter server, and that "
                "none takes much longer to read its rows; or lower the number of workers, or "
                "raise `join_timeout`."
            )

        return self._awaited(all_there, in_vain)

    def team(self, samples: dict[int, int]) -> Team:
        """Joins hands with these workers, at an address that the first one tells the server.

        Raises: as `samples`.
        """
        settings, members = self.gang.settings, sorted(samples)
        server = urlsplit(self.client.url)
        address = own_address(str(server.hostname), server.port)
        wait = timedelta(seconds=settings.join_timeout)
        if self.number == members[0]:
            store, port = opened(address, wait)
            info = {"gang": self.gang.number, "meet": [address, port]}
            self.client.join(self.number, self.attempt, samples=samples[self.number], info=info)
        else:
            store = self._found(members[0], address, wait)
        began = time.monotonic()
        try:
            return Team(
                dist.PrefixStore(f"gang-{self.gang.number}", store),
                members.index(self.number), len(members), address,
                settings.join_timeout, settings.round_timeout,
            )  # fmt: skip
        except RuntimeError as error:
            if time.monotonic() - began >= 0.99 * settings.join_timeout:
                raise _not_met(address, "the other workers", settings.join_timeout) from error
            raise Parted(f"The workers didn't all meet: {error}") from None

    def _found(self, first: int, address: str, wait: timedelta) -> Any:
        """The store that the first worker opens."""
        seconds = self.gang.settings.join_timeout
        host, port = self._awaited(
            lambda workers: workers[first].get("meet"),
            lambda _: (
                f"Worker {first} didn't say within {seconds:g} s where the workers meet. See its "
                "log, or raise `join_timeout`."
            ),
        )
        try:
            return dist.TCPStore(host, port, None, False, wait, wait_for_workers=False)
        except RuntimeError as error:
            raise _not_met(address, f"the first worker at {host}:{port}", seconds) from error

    def _awaited(
        self, ready: Callable[[dict[int, Any]], Any], in_vain: Callable[[dict[int, Any]], str]
    ) -> Any:
        """Looks at the workers of this gang until `ready` gives something."""
        end = time.monotonic() + self.gang.settings.join_timeout
        while True:
            workers = self._workers()
            if (found := ready(workers)) is not None:
                return found
            if time.monotonic() > end:
                raise WaitTimeout(in_vain(workers))
            time.sleep(POLL_SECONDS)

    def _workers(self) -> dict[int, Any]:
        status = self.client.status()
        if status["failures"] or status["stop"]:
            raise Parted("Another worker has failed, or the training was stopped.")
        every = {int(key): one for key, one in status["workers"].items()}
        if every[self.number]["attempt"] > self.attempt:
            raise Fenced(f"Attempt {self.attempt} of worker {self.number} was replaced.")
        return {key: one for key, one in every.items() if one.get("gang") == self.gang.number}


def _not_met(here: str, there: str, seconds: float) -> WaitTimeout:
    return WaitTimeout(
        f"The worker at {here} could not reach {there} within {seconds:g} s. All-reduce needs "
        "every executor to reach every other on any port: open the firewall between them, or use "
        "exchange='server'."
    )


def opened(address: str, wait: timedelta) -> tuple[Any, int]:
    """A store that listens at this address alone, on a free port; and the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family, backlog=1024)
    port = int(listener.getsockname()[1])
    store = dist.TCPStore(
        address, port, None, True, wait,
        wait_for_workers=False, master_listen_fd=listener.detach(),
    )  # fmt: skip
    return store, port


class Team:
    """Workers that add up vectors, by gloo, in a process group of their own.

    Not torch's global one: that is the user's. And no DistributedDataParallel: in a process that
    Spark uses again its end may hang.

    Args:
        store: where they tell each other their addresses.
        rank: this one's number among `size`.
        address: where this one listens.
        meeting: seconds until all must be there.
        timeout: seconds that a sum may take.

    Raises:
        RuntimeError: not all came.
    """

    def __init__(
        self, store: Any, rank: int, size: int, address: str, meeting: float, timeout: float
    ) -> None:
        group: Any = dist.ProcessGroupGloo
        options = group._Options()
        options._devices = [group.create_device(hostname=address)]
        options._timeout = timedelta(seconds=meeting)
        self.timeout = timeout
        self._group = group(store, rank, size, options)

    def add(self, vector: Tensor) -> None:
        """Replaces a vector by the sum of all members' vectors; the same bits at each.

        Raises:
            Parted: a member is gone.
            WaitTimeout: a member took too long.
        """
        self._reduce(vector, dist.ReduceOp.SUM)

    def largest(self, vector: Tensor) -> None:
        """Replaces each element by the largest that any member has. Raises as `add`."""
        self._reduce(vector, dist.ReduceOp.MAX)

    def _reduce(self, vector: Tensor, operation: Any) -> None:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        options.timeout = timedelta(seconds=self.timeout)
        began = time.monotonic()
        try:
            # No name for the work: it would keep the connections open after the end.
            self._group.allreduce([vector], options).wait()
        except RuntimeError as error:
            if time.monotonic() - began >= 0.99 * self.timeout:
                raise WaitTimeout(
                    f"Waited {self.timeout:g} s for the other workers' updates. See their logs, "
                    "or raise `round_timeout` if their batches take that long."
                ) from None
            raise Parted(str(error)) from None

    def close(self) -> None:
        """Closes the connections; to be called before the tensors that were added go."""
        with contextlib.suppress(AttributeError):
            del self._group
