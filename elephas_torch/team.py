"""Workers that add up vectors among themselves: by gloo, or by nccl where each has a GPU."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from elephas_torch import device
from elephas_torch.device import Device
from elephas_torch.errors import WaitTimeout

#: A sum of nccl is looked at all the time for so long, as most don't take longer; then so often.
SPIN_SECONDS, POLL_SECONDS = 0.001, 0.02


class Parted(Exception):
    """Another worker is gone, or has failed: the driver knows, or will find out, which."""


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
