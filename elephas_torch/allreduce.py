"""Synchronous updates without the server: workers add them up among themselves.

Each round is one `all_reduce` of gloo, or of nccl where each has a GPU, over a flat vector: update
and state times samples, and the samples. Each worker then makes the same step with an optimizer of
its own, like the server's; so all hold the same weights, bit by bit. The server is where they meet,
where the driver hears of them, and where the first of them puts the weights that the driver wants.

    u = sum(n_i u_i) / sum(n_i)
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from elephas_torch import constraints, device, exchange, optimizers
from elephas_torch.cluster import own_address
from elephas_torch.device import Device
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
#: A sum of nccl is looked at all the time for so long: most don't take longer.
SPIN_SECONDS = 0.001


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


@dataclass(frozen=True)
class Meeting:
    """How workers find each other, through the server.

    Attributes:
        client: the server's.
        number, attempt: this worker's.
        gang: which others are meant, and how long they are waited for.
        where: this worker's device.
    """

    client: Client
    number: int
    attempt: int
    gang: Gang
    where: Device = device.CPU

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
            info = {"gang": self.gang.number, **self.where.info, "meet": [address, port]}
            self.client.join(self.number, self.attempt, samples=samples[self.number], info=info)
        else:
            store = self._found(members[0], address, wait)
        infos = self._workers()
        kind = backend({key: infos[key] for key in members if key in infos})
        began = time.monotonic()
        try:
            return TEAMS[kind](
                dist.PrefixStore(f"gang-{self.gang.number}", store),
                members.index(self.number), len(members), address,
                settings.join_timeout, settings.round_timeout, self.where,
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


def backend(workers: Mapping[int, Mapping[str, Any]]) -> str:
    """By what these workers add up: 'nccl' where each has a GPU to itself and can, else 'gloo'.

    All of them are told the same of each other, so that all choose the same.

    Args:
        workers: what they told the server when they joined; see `Device.info`.
    """
    gpus = [one.get("gpu") for one in workers.values() if one.get("nccl")]
    alone = None not in gpus and len(set(gpus)) == len(workers)
    return "nccl" if workers and alone else "gloo"


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
        where: the device that vectors are on. From a GPU they go through the host's memory here.

    Attributes:
        concluded: whether all sums were made, and no member waits for one.

    Raises:
        RuntimeError: not all came.
    """

    def __init__(
        self,
        store: Any,
        rank: int,
        size: int,
        address: str,
        meeting: float,
        timeout: float,
        where: Device = device.CPU,
    ) -> None:
        self.timeout, self._where, self.concluded = timeout, where, False
        self._rooms: dict[tuple[int, torch.dtype], Tensor] = {}
        self._group = self._made(store, rank, size, address, timedelta(seconds=meeting))

    def _made(self, store: Any, rank: int, size: int, address: str, wait: timedelta) -> Any:
        group: Any = dist.ProcessGroupGloo
        options = group._Options()
        options._devices = [group.create_device(hostname=address)]
        options._timeout = wait
        return group(store, rank, size, options)

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
        if self._where.is_host:
            self._summed(vector, operation)
            return
        room = self._room(vector)
        room.copy_(vector)
        self._summed(room, operation)
        vector.copy_(room, non_blocking=True)

    def _room(self, vector: Tensor) -> Tensor:
        key = vector.numel(), vector.dtype
        if key not in self._rooms:
            self._rooms[key] = self._where.host_like(vector)
        return self._rooms[key]

    def _summed(self, vector: Tensor, operation: Any) -> None:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        options.timeout = timedelta(seconds=self.timeout)
        began = time.monotonic()
        try:
            # No name for the work: it would keep the connections open after the end.
            self._group.allreduce([vector], options).wait()
        except RuntimeError as error:
            if time.monotonic() - began >= 0.99 * self.timeout:
                raise _waited(self.timeout) from None
            raise Parted(str(error)) from None

    def close(self) -> None:
        """Closes the connections; to be called before the tensors that were added go."""
        with contextlib.suppress(AttributeError):
            del self._group


def _waited(seconds: float) -> WaitTimeout:
    return WaitTimeout(
        f"Waited {seconds:g} s for the other workers' updates. See their logs, or raise "
        "`round_timeout` if their batches take that long."
    )


class GpuTeam(Team):
    """The same by nccl, from GPU to GPU.

    Args and errors are `Team`'s. A sum is waited for by looking at it: nccl's own `wait` would let
    the device wait alone, and nobody would hear of a member that is gone.
    """

    def _made(self, store: Any, rank: int, size: int, address: str, wait: timedelta) -> Any:
        options = dist.ProcessGroupNCCL.Options()
        options._timeout = wait
        with _told(NCCL):
            group = dist.ProcessGroupNCCL(store, rank, size, options)
        self._group = group
        # Connections are made with the first sum, for which members may take as long as to come.
        try:
            self._waited_for(torch.zeros(1, device=self._where.where), dist.ReduceOp.SUM, wait)
        except WaitTimeout as error:
            raise RuntimeError(str(error)) from None
        return group

    def _reduce(self, vector: Tensor, operation: Any) -> None:
        try:
            self._waited_for(vector, operation, timedelta(seconds=self.timeout))
        except RuntimeError as error:
            _end(self._group, "abort")
            raise Parted(str(error)) from None

    def _waited_for(self, vector: Tensor, operation: Any, limit: timedelta) -> None:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        options.timeout = limit
        work = self._group.allreduce([vector], options)
        wait_until(work.is_completed, limit.total_seconds(), self._given_up)
        work.wait()  # it is over: raises its error, and lets this thread's stream go on behind it

    def _given_up(self, seconds: float) -> WaitTimeout:
        # What hangs on the device ends by this; else nothing there would ever go on.
        _end(self._group, "abort")
        return _waited(seconds)

    def close(self) -> None:
        """Closes the connections: in the end with the others, who send theirs until then; else at
        once, as they wait for a sum that isn't made."""
        group, self._group = getattr(self, "_group", None), None
        if group is not None:
            with contextlib.suppress(RuntimeError):  # those of a member that is gone
                _end(group, "shutdown" if self.concluded else "abort")


def _end(group: Any, how: str) -> None:
    """Ends a group of nccl's by "abort" or "shutdown"; torch before 2.6 has one name for both."""
    (getattr(group, how, None) or group._shutdown)()


#: With these torch's nccl makes no thread that ends the process when a sum fails or takes long.
NCCL = {"TORCH_NCCL_BLOCKING_WAIT": "1", "TORCH_NCCL_ENABLE_MONITORING": "0"}
TEAMS: dict[str, type[Team]] = {"gloo": Team, "nccl": GpuTeam}


@contextlib.contextmanager
def _told(variables: Mapping[str, str]) -> Iterator[None]:
    """A scope with these environment variables, which torch reads as it makes a group."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def wait_until(
    done: Callable[[], bool], seconds: float, given_up: Callable[[float], Exception]
) -> None:
    """Looks until something is done: at once and often first, then less often.

    Raises:
        Exception: what `given_up` makes of the seconds, when they are over.
    """
    began = time.monotonic()
    while not done():
        waited = time.monotonic() - began
        if waited > seconds:
            raise given_up(seconds)
        if waited > SPIN_SECONDS:
            time.sleep(min(waited / 20, POLL_SECONDS))
