"""A worker's and a driver's side of the parameter server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from torch import Tensor

from elephas_torch.errors import ElephasError, Refused, ServerError, Unreachable
from elephas_torch.flat import Vectors
from elephas_torch.parameter import answers, local, packing, wire
from elephas_torch.parameter.checked import Checked
from elephas_torch.parameter.connection import CONNECT_SECONDS, GONE_SECONDS, Connection, Head
from elephas_torch.parameter.local import Link
from elephas_torch.parameter.patience import patiently
from elephas_torch.parameter.trust import Trust
from elephas_torch.parameter.wire import Joined, Push, Reply

T = TypeVar("T")


class Client:
    """Talks to a parameter server over one kept-alive connection.

    Cheap to make: nothing is connected before the first call. Not for several threads at
    once: give a heartbeat thread a client of its own.

    Every method raises `Unreachable` when the server can't be reached, `ServerError` when it
    broke, `Refused` when it says no, `Fenced` when a newer attempt of the worker has joined,
    `Restarted` when the server begins from a checkpoint and the worker must join again, and
    `WaitTimeout` when something was waited for in vain.

    It is a `Link` itself, by which updates go over HTTP.

    Args:
        url: the server's address, such as "http://10.0.0.1:4000".
        token: the run's token.
        timeout: seconds without an answer, after which a call gives up. Default 630: a bit
            more than the server's own longest wait, whose message says more.
        patience: seconds for which a server that can't be reached is tried again, with longer
            and longer waits between. What it was sent counts once all the same. Default 0.
        connect_timeout: seconds that making a connection may take. Default 15.
        gone_timeout: seconds after which a connection counts as cut whose other machine has
            vanished without a word. Default 120.
        ssl_certificate: for "https://…": PEM, the one certificate that the server must show, such
            as `ServerProcess.certificate`; names in it don't matter.
        ssl_cafile: for "https://…": PEM file; the server must show a certificate for its name that
            one of these has signed. Default, without both: signed by someone whom this system
            trusts.

    Raises:
        ValueError: `url` isn't one, or both ssl_certificate and ssl_cafile are given, or one of
            them for "http://…".
    """

    name = "http"
    update = parameters = None

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 630.0,
        patience: float = 0.0,
        connect_timeout: float = CONNECT_SECONDS,
        gone_timeout: float = GONE_SECONDS,
        ssl_certificate: str | None = None,
        ssl_cafile: Any = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
            raise ValueError(
                f"`url` must look like 'http://host:port' or 'https://host:port'. "
                f"Received: url={url!r}"
            )
        trust = Trust(ssl_certificate, ssl_cafile)
        if parts.scheme == "http" and (ssl_certificate, ssl_cafile) != (None, None):
            raise ValueError(f"A certificate goes with 'https://…'. Received: url={url!r}")
        self.url, self._token, self._timeout, self._trust = url, token, timeout, trust
        self.patience = patience
        self._waits = {"connect_timeout": connect_timeout, "gone_timeout": gone_timeout}
        trusted = trust if parts.scheme == "https" else None
        self._connection = Connection(
            parts.hostname, parts.port, token, timeout, trusted, connect_timeout, gone_timeout
        )
        self._reply = bytearray(wire.REPLY_BYTES)
        self._packer: packing.Packer | None = None
        self._me = (0, 0)
        self._checked = Checked()

    def twin(self) -> Client:
        """Returns another client of the same server, for another thread."""
        made = Client(
            self.url, self._token, timeout=self._timeout, patience=self.patience,
            ssl_certificate=self._trust.certificate, ssl_cafile=self._trust.cafile, **self._waits,
        )  # fmt: skip
        # One of them exchanges: what was left out of its updates goes with its next ones.
        made._packer, made._me = self._packer, self._me
        return made

    def health(self) -> dict[str, Any]:
        """Returns the server's name, protocol and state; the first thing to call.

        Raises:
            ServerError: the message has the address, and the host that failed to reach it; or
                the server is of another version.
        """
        found = self._json("GET /health")
        if found.get("name") != wire.NAME or found.get("protocol") != wire.PROTOCOL:
            raise ServerError(
                f"At {self.url} is {found.get('name')!r} with protocol {found.get('protocol')}; "
                f"this side needs {wire.NAME!r} with protocol {wire.PROTOCOL}. Install the same "
                "version of elephas_torch on the driver and on all workers."
            )
        return found

    def join(
        self, worker: int, attempt: int, *, samples: int, info: dict[str, Any] | None = None
    ) -> Joined:
        """Enters this worker. To be called once more after a restart, with a larger attempt.

        Args:
            worker: its number, 0 or more.
            attempt: larger for each run of the same worker; smaller ones are fenced off.
            samples: its number of rows; with 0 it counts as joined, but takes no part.
            info: what `status()` is to show of it; host and process id are added.

        Returns:
            Where to go on from. What the server says of compression this client does by itself.
        """
        body = {"attempt": attempt, "samples": samples, "info": described(info)}
        found = self._json(f"POST /workers/{worker}", body)
        self._packer, self._me = packing.packer(found.pop("packing", None)), (worker, attempt)
        return Joined(**found)

    def share(self, worker: int, attempt: int, sizes: wire.Sizes) -> Link | None:
        """Shares memory with a server of this machine; to be called once, after `join`.

        Args:
            sizes: the vectors' lengths.

        Returns:
            What exchanges updates from now on in place of this client, which stays for all
            else. None where the server is on another machine, in another container or another
            user's, or the system has no such memory.
        """
        body = {"attempt": attempt, "machine": local.here()}
        place = self._json(f"POST /workers/{worker}/memory", body)
        found = local.opened(place, sizes, self._announce, self.pull)
        if found is not None:
            self._packer = None  # nothing travels that could be shorter
        elif place:
            self._json(f"POST /workers/{worker}/memory", {**body, "machine": ""})  # given back
        return found

    def pull(self, into: Vectors, version: int = -1) -> int:
        """Gets the server's vectors.

        Args:
            into: overwritten, unless the server is at `version`.
            version: the one that `into` has; -1: none.

        Returns:
            The version that `into` has now.
        """
        wire.check_vectors(into, None, "into")
        known = f'if-none-match: "{version}"\r\n' if version >= 0 else ""
        query = ""
        if self._packer is not None:
            query, self._packer.asked = "?worker={}&attempt={}".format(*self._me), True

        def took(head: Head) -> int:
            return version if head.status == 304 else self._vectors(into, None, head).version

        return self._asked(took, f"GET /parameters{query}", known)

    def exchange(self, push: Push, update: Vectors, into: Vectors, *, whole: bool = False) -> Reply:
        """Pushes an update and gets the fresh vectors, in one round trip.

        In synchronous mode it waits until the round has closed; for the last push of an epoch,
        until all active workers have finished theirs.

        Args:
            push: who sends it, and of what.
            update: parameters: a gradient, or the pulled weights minus the local ones; state and
                counters: the worker's own. May be the same tensors as `into`.
            into: overwritten by the server's vectors.
            whole: where updates are compressed, send this one as it is, and forget what was left
                out of those before. Default False.

        Raises:
            TypeError, ValueError: vectors of a wrong type or layout, or of unequal lengths.
        """
        known = self._checked
        known.check(update, into)
        if self._packer is None:
            body = [wire.pack_push(push, known.sizes), *known.pieces]
        else:
            body = self._packer.pieces(push, update, whole)
        return self._asked(partial(self._vectors, into, known.targets), "POST /update", "", body)

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        """The same; for links that needn't copy what they get (see `share`)."""
        return self.exchange(push, update, into), into.parameters

    def _announce(
        self, push: Push, sizes: wire.Sizes, into: Vectors
    ) -> tuple[Reply, tuple[int, bytes] | None]:
        """Sends a push whose vectors lie in shared memory."""
        took = partial(self._announced, sizes, into)
        return self._asked(took, "POST /update", "", [wire.pack_push(push, sizes)])

    def _announced(
        self, sizes: wire.Sizes, into: Vectors, head: Head
    ) -> tuple[Reply, tuple[int, bytes] | None]:
        if head.length != wire.REPLY_BYTES + wire.PLACE_BYTES or head.status >= 400:
            return self._vectors(into, None, head), None
        answer = memoryview(self._connection.read(head.length))
        reply, rest = wire.unpack_reply(answer, sizes), answer[wire.REPLY_BYTES :]
        if wire.is_placed(answer):
            return reply, wire.unpack_place(rest)
        for target in wire.buffers(into):  # vectors that happen to be as long
            target[:], rest = rest[: len(target)], rest[len(target) :]
        return reply, None

    def put(self, push: Push, vectors: Vectors) -> Reply:
        """Puts vectors there as they are, in place of the server's: its optimizer isn't asked.

        For workers that make the updates among themselves, so that others can pull the outcome.

        Args:
            push: who sends them, and of what epoch.
            vectors: finite; as long as the server's.
        """
        wire.check_vectors(vectors, None, "vectors")
        head = wire.pack_push(push, vectors.sizes)
        return Reply(**self._json("PUT /parameters", pieces=[head, *wire.buffers(vectors)]))

    def beat(self, worker: int, attempt: int, progress: dict[str, Any] | None = None) -> Reply:
        """Renews the worker's lease.

        Args:
            progress: shown by `status()`: some of "phase" ("training", "validating"), "epoch",
                "batch", "rows" (trained on by this attempt, over all epochs) and "logs" (up to
                64 finite numbers by names of up to 100 characters).

        Raises:
            Refused: anything else is in it.
        """
        body = {"attempt": attempt, "progress": progress}
        return Reply(**self._json(f"POST /workers/{worker}/beat", body))

    def loading(self, worker: int, attempt: int, *, rows: int, size: int) -> None:
        """Tells how many rows a worker has that is still to join, and their bytes as tensors;
        shown by `status()`."""
        body = {"attempt": attempt, "rows": rows, "bytes": size}
        self._json(f"POST /workers/{worker}/loading", body)

    def report(self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]) -> Reply:
        """Sends a worker's summary of an epoch; each epoch counts once.

        With `Settings.gated` it waits until the driver has released that epoch.
        """
        body = {"kind": "report", "worker": worker, "attempt": attempt, "epoch": epoch}
        return Reply(**self._json("POST /events", {**body, "data": summary}))

    def keep(self, worker: int, attempt: int, epoch: int, data: bytes) -> bool:
        """Leaves something with the server that this worker wants back if it has to begin anew.

        Args:
            epoch: that it begins with this.
            data: whatever, of up to 8 times the vectors' bytes and 1 MiB.

        Returns:
            Whether the server had room for it, and it isn't too long.
        """
        line = f"PUT /workers/{worker}/kept?attempt={attempt}&epoch={epoch}"
        try:
            return bool(self._json(line, pieces=[data])["kept"])
        except Refused as error:
            if error.status != 413:
                raise
            return False

    def kept(self, worker: int, attempt: int) -> tuple[int, bytes]:
        """Gets what `keep` left last: the epoch and the data; -1 and nothing: there is none."""
        found = self._asked(self._body, f"GET /workers/{worker}/kept?attempt={attempt}")
        return wire.EPOCH.unpack_from(found)[0], found[wire.EPOCH.size :]

    def checkpoint(self, fresh: bool = False) -> bytes:
        """Gets a `Snapshot`, packed: the last one of the end of an epoch (see
        `Settings.checkpoint_every`), empty where there is none.

        Args:
            fresh: one of now in its place.
        """
        return self._asked(self._body, f"GET /checkpoint?fresh={str(fresh).lower()}")

    def fail(self, worker: int, attempt: int, error: dict[str, Any]) -> None:
        """Sends a worker's error (a traceback and the like); the others go on without it."""
        body = {"kind": "failure", "worker": worker, "attempt": attempt, "data": error}
        self._json("POST /events", body)

    def leave(self, worker: int, attempt: int) -> None:
        """Says that this worker is done."""
        self._json(f"DELETE /workers/{worker}?attempt={attempt}")
        self._packer = None

    def status(self) -> dict[str, Any]:
        """Returns what is going on: see docs/parameter.md for the fields."""
        return self._json("GET /status")

    def events(self, after: int = 0, timeout: float = 0.0) -> list[dict[str, Any]]:
        """Returns the events with numbers above `after`, waiting for one up to `timeout` s."""
        return self._json(f"GET /events?after={after}&timeout={timeout}")["events"]

    def tell(
        self,
        about: dict[str, Any] | None = None,
        state: str | None = None,
        epochs: Sequence[dict[str, Any]] = (),
    ) -> int:
        """Tells those who look on at the run's page; see `Story.tell`. Returns how many do."""
        body = {"about": about, "state": state, "epochs": list(epochs)}
        return int(self._json("POST /story", body)["watchers"])

    def story(self) -> dict[str, Any]:
        """Returns all that was told of the run, and seen by the server."""
        return self._json("GET /story")

    def control(
        self,
        *,
        stop: bool | None = None,
        learning_rate: float | None = None,
        release_epoch: int | None = None,
        finalize: bool = False,
    ) -> None:
        """Stops the training, sets the learning rate, releases the reports of an epoch, or puts
        the optimizer's running mean of the weights into them."""
        body = {"stop": stop, "learning_rate": learning_rate, "release_epoch": release_epoch,
                "finalize": finalize}  # fmt: skip
        self._json("POST /control", body)

    def stop(self, now: bool) -> None:
        """Asks for the end of the run, as its page does: at once, or with the epoch."""
        self._json("POST /stop", {"now": now})

    def close(self) -> None:
        """Closes the connection; calling another method makes a new one."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(
        self,
        take: Callable[[Head], T],
        line: str,
        headers: str = "",
        body: Sequence[memoryview | bytes] = (),
    ) -> T:
        """What `take` makes of the answer to a request.

        A server that can't be reached is tried again for as long as there is patience.
        """
        return patiently(lambda: take(self._connection.request(line, headers, body)), self.patience)

    def _json(
        self,
        line: str,
        body: dict[str, Any] | None = None,
        pieces: Sequence[memoryview | bytes] = (),
    ) -> dict[str, Any]:
        headers = "content-type: application/json\r\n" if body is not None else ""
        sent = [wire.dumps(body)] if body else list(pieces)
        return answers.parsed(self._asked(self._body, line, headers, sent), self.url)

    def _body(self, head: Head) -> bytes:
        if head.status >= 400:
            raise self._error(head)
        return self._connection.read(head.length)

    def _vectors(self, into: Vectors, targets: Sequence[memoryview] | None, head: Head) -> Reply:
        if head.status >= 400:
            raise self._error(head)
        try:
            view = memoryview(self._reply)
            self._connection.read_into(view)
            reply = wire.unpack_reply(view, into.sizes)
            if wire.form(view):
                self._compressed(head, into, reply.version)
                return reply
            for target in wire.buffers(into) if targets is None else targets:
                self._connection.read_into(target)
            if self._packer is not None:
                self._packer.took(into.parameters, reply.version)
        except Refused as error:
            self._connection.close()
            raise ServerError(str(error)) from None
        return reply

    def _compressed(self, head: Head, into: Vectors, version: int) -> None:
        if self._packer is None or self._packer.codec is None:
            raise Refused("The answer is compressed, which this side didn't ask for.")
        rest = into._replace(parameters=into.parameters[:0])
        targets = [*wire.buffers(rest), self._packer.payload()]
        expected = wire.REPLY_BYTES + sum(len(one) for one in targets)
        if head.length != expected:
            raise Refused(f"A compressed answer has {expected} bytes. Received: {head.length}")
        for target in targets:
            self._connection.read_into(target)
        self._packer.unpack(into.parameters, version)

    def _error(self, head: Head) -> ElephasError:
        found = answers.as_error(head.status, self._connection.read(head.length), self.url)
        if isinstance(found, Unreachable):
            self._connection.close()
        return found


def described(info: dict[str, Any] | None) -> dict[str, Any]:
    """Returns what `status()` shows of a worker."""
    return {"host": socket.gethostname(), "pid": os.getpid(), **(info or {})}
