"""A vector that several servers hold, a piece each; pushes and pulls go to all at once.

The first server has the moving statistics and counters, and does all that isn't numbers: reports,
events, gates. The others know workers, rounds and the ledger, for their piece. A worker that is
lost between two of them goes on from the earlier one: the other answers what it has without
applying it twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from elephas_torch import optimizers
from elephas_torch.errors import ServerError
from elephas_torch.flat import Vectors
from elephas_torch.optimizers import Lamb, Optimizer
from elephas_torch.parameter import rows, rules
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.courier import Courier
from elephas_torch.parameter.process import ServerProcess
from elephas_torch.parameter.wire import Joined, Push, Reply, Settings, Sizes

T = TypeVar("T")


class Address(NamedTuple):
    """What a client needs to know of a server; see `Client`."""

    url: str
    token: str
    certificate: str | None = None


def pieces(length: int, number: int) -> list[slice]:
    """Cuts a vector into pieces that differ by one element at most."""
    ends = [length * one // number for one in range(number + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def check(settings: Settings, number: int) -> None:
    """Raises ValueError where the optimizer's step isn't one element at a time."""
    rule = optimizers.get(settings.optimizer, importing=True)
    why = _needs_whole(rule, settings)
    if why is not None:
        raise ValueError(
            f"`num_shards` cuts the weights between servers, and {why} needs them whole. Use "
            f"num_shards=1, or clipvalue and a rule such as SGD or Adam. "
            f"Received: num_shards={number}"
        )


def _needs_whole(rule: Optimizer, settings: Settings) -> str | None:
    for name in ("clipnorm", "global_clipnorm"):
        if getattr(rule, name) is not None:
            return name
    if settings.constraints:
        return "a constraint"
    if rule.layout is not None and not rule.layout.all_decay:
        return "exclude_from_weight_decay"
    known = type(rule).__module__.startswith("elephas_torch.")  # of others nobody can tell
    whole = not known or rule.by_weight or isinstance(rule, Lamb)
    return type(rule).__name__ if whole else None


class ShardedServer:
    """Several `ServerProcess`es that hold a piece each, used as one.

    Args:
        settings, initial: of the whole.
        number: how many, 1 or more.
        port: of the first; the others take the ports behind it. 0: free ones.
        checkpoint: what `checkpoint` of as many servers gave, to begin from. Default none.
        more: see `ServerProcess`.

    Raises:
        ValueError: the optimizer needs the weights whole.
    """

    def __init__(
        self,
        settings: Settings,
        initial: Vectors,
        number: int,
        *,
        port: int = 0,
        checkpoint: Sequence[bytes] | None = None,
        **more: Any,
    ) -> None:
        self.servers = []
        packed = checkpoint or [b""] * number
        if number == 1:
            made = ServerProcess(settings, initial, port=port, checkpoint=packed[0], **more)
            self.servers.append(made)
            return
        check(settings, number)
        for one, cut in enumerate(pieces(len(initial.parameters), number)):
            part = _piece(initial, cut, one == 0)
            given = replace(
                settings,
                sizes=part.sizes,
                weight_sizes=None,
                gated=settings.gated and one == 0,
                embeddings=rows.cut(settings.embeddings, cut.start, cut.stop),
            )
            where = port + one if port else 0
            made = ServerProcess(given, part, port=where, checkpoint=packed[one], **more)
            self.servers.append(made)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where they are; known once they have started."""
        return tuple(Address(one.url, one.token, one.certificate) for one in self.servers)

    def start(self) -> ShardedServer:
        """Starts them all; see `ServerProcess.start`."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.callback(server.stop)
                server.start()
            stack.pop_all()
        return self

    @property
    def link(self) -> str:
        """See `ServerProcess.link`: the first one's."""
        return self.servers[0].link

    @property
    def alive(self) -> bool:
        """Whether all of them run."""
        return all(server.alive for server in self.servers)

    def kill(self) -> None:
        """Ends all processes at once, as if they had fallen; see `restart`."""
        for server in self.servers:
            server.kill()

    def restart(self, checkpoint: Sequence[bytes]) -> None:
        """Starts all anew, from what `checkpoint` gave; see `ServerProcess.restart`."""
        for server, data in zip(self.servers, checkpoint, strict=True):
            server.restart(data)

    def check(self, grace: float = 0.0, hint: str = "") -> None:
        """Raises ServerError if one of them has ended; see `ServerProcess.check`.

        Args:
            hint: said behind it.
        """
        try:
            for server in self.servers:
                server.check(grace)
        except ServerError as error:
            raise ServerError(f"{error}{hint}") from None

    def client(self, timeout: float | None = None) -> ShardedClient:
        """Returns a client for this machine."""
        return ShardedClient([server.client(timeout) for server in self.servers])

    def stop(self) -> None:
        """Ends them all."""
        for server in self.servers:
            server.stop()


class ShardedClient:
    """The methods of `Client`, for several servers that hold a piece each.

    Vectors are sent from, and read into, pieces of the caller's own: nothing is copied. Every
    version but the first server's stays in here.

    Args:
        clients: one for each server, in order.
    """

    name = "http"
    update = parameters = None

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = list(clients)
        self._versions = [-1] * len(self.clients)
        self._couriers: list[Courier] = []

    @property
    def patience(self) -> float:
        """See `Client`."""
        return self.head.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        for client in self.clients:
            client.patience = seconds

    @property
    def head(self) -> Client:
        """The first server's."""
        return self.clients[0]

    def twin(self) -> ShardedClient:
        """See `Client.twin`."""
        return ShardedClient([client.twin() for client in self.clients])

    def share(self, worker: int, attempt: int, sizes: Sizes) -> None:
        """None: pieces go over HTTP."""

    def health(self) -> dict[str, Any]:
        """See `Client.health`: of the first, once all have answered."""
        return self._all(lambda one, client: client.health())[0]

    def join(
        self, worker: int, attempt: int, *, samples: int, info: dict[str, Any] | None = None
    ) -> Joined:
        """See `Client.join`: where the one that is the furthest behind goes on."""
        found = self._all(
            lambda one, client: client.join(worker, attempt, samples=samples, info=info)
        )
        self._versions = [joined.version for joined in found]
        behind = min(found, key=lambda joined: joined.seq)
        return behind._replace(version=found[0].version, stop=any(one.stop for one in found))

    def pull(self, into: Vectors, version: int = -1) -> int:
        """See `Client.pull`; `version` is the first server's."""
        known = self._versions if version == self._versions[0] else [-1] * len(self.clients)
        parts = self._parts(into)
        self._versions = self._all(lambda one, client: client.pull(parts[one], known[one]))
        return self._versions[0]

    def exchange(self, push: Push, update: Vectors, into: Vectors, *, whole: bool = False) -> Reply:
        """See `Client.exchange`."""
        rules.check_finite(update)  # one piece with NaN would be refused, and the others applied
        sent, parts = self._parts(update), self._parts(into)
        # A worker that overlaps has computed with older weights than it has by now. How much older
        # is known of the first server only; the others may have fewer versions than that.
        behind = self._versions[0] - push.base_version

        def send(one: int, client: Client) -> Reply:
            base = max(self._versions[one] - behind, 0)
            part = push._replace(base_version=base)
            return client.exchange(part, sent[one], parts[one], whole=whole)

        replies = self._all(send)
        self._versions = [reply.version for reply in replies]
        return replies[0]._replace(stop=any(reply.stop for reply in replies))

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        """See `Client.borrow`."""
        return self.exchange(push, update, into), into.parameters

    def keep(self, worker: int, attempt: int, epoch: int, data: bytes) -> bool:
        """See `Client.keep`: at the first."""
        return self.head.keep(worker, attempt, epoch, data)

    def kept(self, worker: int, attempt: int) -> tuple[int, bytes]:
        """See `Client.kept`."""
        return self.head.kept(worker, attempt)

    def checkpoints(self, fresh: bool = False) -> list[bytes]:
        """A packed snapshot of each; see `Client.checkpoint`."""
        return self._all(lambda one, client: client.checkpoint(fresh))

    def beat(self, worker: int, attempt: int, progress: dict[str, Any] | None = None) -> Reply:
        """See `Client.beat`."""
        return self._all(lambda one, client: client.beat(worker, attempt, progress))[0]

    def loading(self, worker: int, attempt: int, *, rows: int, size: int) -> None:
        """See `Client.loading`: to the first."""
        self.head.loading(worker, attempt, rows=rows, size=size)

    def report(self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]) -> Reply:
        """See `Client.report`: to the first; the others hear that the epoch is over."""
        return self._all(
            lambda one, client: client.report(worker, attempt, epoch, {} if one else summary)
        )[0]

    def fail(self, worker: int, attempt: int, error: dict[str, Any]) -> None:
        """See `Client.fail`."""
        self._all(lambda one, client: client.fail(worker, attempt, error))

    def leave(self, worker: int, attempt: int) -> None:
        """See `Client.leave`."""
        self._all(lambda one, client: client.leave(worker, attempt))

    def status(self) -> dict[str, Any]:
        """See `Client.status`: of the first, with the number of shards."""
        return {**self.head.status(), "shards": len(self.clients)}

    def events(self, after: int = 0, timeout: float = 0.0) -> list[dict[str, Any]]:
        """See `Client.events`."""
        return self.head.events(after, timeout)

    def tell(self, **told: Any) -> int:
        """See `Client.tell`: the first, whose page it is."""
        return self.head.tell(**told)

    def story(self) -> dict[str, Any]:
        """See `Client.story`."""
        return self.head.story()

    def control(self, *, release_epoch: int | None = None, **told: Any) -> None:
        """See `Client.control`: all are told, but reports wait at the first alone; last, as those
        whom it lets go on go to all."""
        for client in self.clients[1:]:
            client.control(**told)
        self.head.control(release_epoch=release_epoch, **told)

    def close(self) -> None:
        """Closes the connections; calling another method makes new ones."""
        for courier in self._couriers:
            courier.close()
        self._couriers = []
        for client in self.clients:
            client.close()

    def __enter__(self) -> ShardedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _parts(self, vectors: Vectors) -> list[Vectors]:
        cuts = pieces(len(vectors.parameters), len(self.clients))
        return [_piece(vectors, cut, one == 0) for one, cut in enumerate(cuts)]

    def _all(self, call: Callable[[int, Client], T]) -> list[T]:
        """Calls all servers at once; raises the first error, once all have answered."""
        if len(self._couriers) < len(self.clients) - 1:
            self._couriers = [Courier() for _ in self.clients[1:]]
        others: list[Future[T]] = [
            courier.send(call, one, client)
            for one, (courier, client) in enumerate(
                zip(self._couriers, self.clients[1:], strict=True), 1
            )
        ]
        try:
            first = call(0, self.head)
        finally:
            errors = [future.exception() for future in others]
        for error in errors:
            if error is not None:
                raise error
        return [first, *(future.result() for future in others)]


def connect(addresses: Sequence[Address], timeout: float, **more: Any) -> Client | ShardedClient:
    """A client of one server, or of several that hold a piece each.

    Args:
        more: see `Client`.
    """
    clients = [
        Client(url, token, timeout=timeout, ssl_certificate=certificate, **more)
        for url, token, certificate in addresses
    ]
    return clients[0] if len(clients) == 1 else ShardedClient(clients)


def _piece(vectors: Vectors, cut: slice, first: bool) -> Vectors:
    rest = slice(None) if first else slice(0)
    return Vectors(vectors.parameters[cut], vectors.state[rest], vectors.counters[rest])
