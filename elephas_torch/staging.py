"""Exchanges of a worker whose vectors are on a device: through the host's memory.

The server, the network and shared memory know the host's vectors alone. An update is copied to
pinned memory, exchanged from there, and the fresh weights are copied back; on a stream of its own,
so that with `overlap=True` the device computes meanwhile. On the CPU nothing of this is there.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elephas_torch.device import Device
from elephas_torch.flat import Vectors
from elephas_torch.parameter.wire import Push, Reply, Sizes


class Staged:
    """A client, and a `Link`, for vectors on a device.

    Args:
        client: the server's.
        device: where the vectors are that callers give.
        link: what exchanges; None: the client. An update goes straight to the memory that it has
            for one.
    """

    update = parameters = None

    def __init__(self, client: Any, device: Device, link: Any = None) -> None:
        self._client, self.device = client, device
        self._link = client if link is None else link
        self._side = device.stream()
        self._host: Vectors | None = None
        self._fresh: Vectors | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @property
    def name(self) -> str:
        return f"{self._link.name}, from {self.device.where}"

    def twin(self) -> Staged:
        """See `Client.twin`."""
        return Staged(self._client.twin(), self.device)

    def share(self, worker: int, attempt: int, sizes: Sizes) -> Staged | None:
        """See `Client.share`."""
        found = self._client.share(worker, attempt, sizes)
        return None if found is None else Staged(self._client, self.device, found)

    def pull(self, into: Vectors, version: int = -1) -> int:
        """See `Client.pull`."""
        fresh = self._rooms(into)[1]
        self._begin()
        self._wait()
        now = int(self._link.pull(fresh, version))
        if now != version:
            self._lay(fresh, into)
        return now

    def exchange(self, push: Push, update: Vectors, into: Vectors, *, whole: bool = False) -> Reply:
        """See `Client.exchange`."""
        host, fresh = self._fetched(update)
        if whole:
            reply = self._client.exchange(push, host, fresh, whole=True)
            self._lay(fresh, into)
            return reply
        reply, found = self._link.borrow(push, host, fresh)
        self._lay(fresh._replace(parameters=found), into)
        return reply

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        """The same: there is nothing to borrow of the host's."""
        return self.exchange(push, update, into), into.parameters

    def put(self, push: Push, vectors: Vectors) -> Reply:
        """See `Client.put`."""
        return self._client.put(push, self._fetched(vectors)[0])

    def _rooms(self, like: Vectors) -> tuple[Vectors, Vectors]:
        """Where updates and answers lie on the host."""
        if self._host is None or self._fresh is None:
            room = self._link.update
            self._host = Vectors(*map(self.device.host_like, like)) if room is None else room
            self._fresh = Vectors(*map(self.device.host_like, like))
        return self._host, self._fresh

    def _fetched(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """A copy of the vectors on the host, and room for an answer."""
        host, fresh = self._rooms(vectors)
        self._begin()
        with self.device.on(self._side):
            for mine, theirs in zip(host, vectors, strict=True):
                mine.copy_(theirs, non_blocking=True)
        self._wait()
        return host, fresh

    def _begin(self) -> None:
        """Lets the side stream wait for what has been computed by now."""
        if self._side is not None:
            self._side.wait_stream(self.device.current())

    def _wait(self) -> None:
        """Waits until the host's vectors are nobody's but ours: answers before have been laid."""
        if self._side is not None:
            self._side.synchronize()

    def _lay(self, fresh: Vectors, into: Vectors) -> None:
        """Copies an answer to the device, which computes on once it is there."""
        with self.device.on(self._side):
            for mine, theirs in zip(into, fresh, strict=True):
                mine.copy_(theirs, non_blocking=True)
        if self._side is not None:
            self.device.current().wait_stream(self._side)


def staged(client: Any, device: Device) -> Any:
    """The client itself where vectors are the host's, else one that copies them."""
    return client if device.is_host else Staged(client, device)
