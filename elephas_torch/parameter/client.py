"""A worker's and a driver's side of the parameter server."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from torch import Tensor

from elephas_torch.errors import ElephasError, Fenced, Refused, ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import local, packing, wire
from elephas_torch.parameter.connection import Connection, Head
from elephas_torch.parameter.local import Link
from elephas_torch.parameter.tls import Trust
from elephas_torch.parameter.wire import Joined, Push, Reply


class Client:
    """Talks to a parameter server over one kept-alive connection.

    Cheap to make: nothing is connected before the first call. Not for several threads at
    once: give a heartbeat thread a client of its own.

    Every method raises `ServerError` when the server can't be reached or broke, `Refused`
    when it says no, `Fenced` when a newer attempt of the worker has joined, and `WaitTimeout`
    when something was waited for in vain.

    It is a `Link` itself, by which updates go over HTTP.

    Args:
        url: the server's address, such as "http://10.0.0.1:4000".
        token: the run's token.
        timeout: seconds without an answer, after which a call gives up. Default 630: a bit
            more than the server's own longest wait, whose message says more.
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
        self._connection = Connection(
            parts.hostname, parts.port, token, timeout, trust if parts.scheme == "https" else None
        )
        self._reply = bytearray(wire.REPLY_BYTES)
        self._packer: packing.Packer | None = None
        self._me = (0, 0)
        self._checked = _Checked()

    def twin(self) -> Client:
        """Returns another client of the same server, for another thread."""
        made = Client(
            self.url, self._token, timeout=self._timeout,
            ssl_certificate=self._trust.certificate, ssl_cafile=self._trust.cafile,
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
        head = self._connection.request(f"GET /parameters{query}", known)
        if head.status == 304:
            return version
        return self._vectors(head, into).version

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
        if not known.are(update, into):
            wire.check_vectors(update, None, "update")
            wire.check_vectors(into, update.sizes, "into")
            known.note(update, into)
        if self._packer is None:
            body = [wire.pack_push(push, known.sizes), *known.pieces]
        else:
            body = self._packer.pieces(push, update, whole)
        head = self._connection.request("POST /update", "", body)
        return self._vectors(head, into, known.targets)

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        """The same; for links that needn't copy what they get (see `share`)."""
        return self.exchange(push, update, into), into.parameters

    def _announce(
        self, push: Push, sizes: wire.Sizes, into: Vectors
    ) -> tuple[Reply, tuple[int, bytes] | None]:
        """Sends a push whose vectors lie in shared memory."""
        head = self._connection.request("POST /update", "", [wire.pack_push(push, sizes)])
        if head.length != wire.REPLY_BYTES + wire.PLACE_BYTES or head.status >= 400:
            return self._vectors(head, into), None
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
        """Renews the worker's lease; `progress` is shown by `status()`."""
        body = {"attempt": attempt, "progress": progress}
        return Reply(**self._json(f"POST /workers/{worker}/beat", body))

    def report(self, worker: int, attempt: int, epoch: int, summary: dict[str, Any]) -> Reply:
        """Sends a worker's summary of an epoch; each epoch counts once.

        With `Settings.gated` it waits until the driver has released that epoch.
        """
        body = {"kind": "report", "worker": worker, "attempt": attempt, "epoch": epoch}
        return Reply(**self._json("POST /events", {**body, "data": summary}))

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

    def close(self) -> None:
        """Closes the connection; calling another method makes a new one."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _json(
        self,
        line: str,
        body: dict[str, Any] | None = None,
        pieces: Sequence[memoryview | bytes] = (),
    ) -> dict[str, Any]:
        headers = "content-type: application/json\r\n" if body is not None else ""
        sent = [wire.dumps(body)] if body else list(pieces)
        head = self._connection.request(line, headers, sent)
        if head.status >= 400:
            raise self._error(head)
        return _parsed(self._connection.read(head.length), self.url)

    def _vectors(
        self, head: Head, into: Vectors, targets: Sequence[memoryview] | None = None
    ) -> Reply:
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
        found = _parsed(self._connection.read(head.length), self.url)
        reason = str(found.get("reason", found))
        if found.get("error") == "fenced":
            return Fenced(reason, head.status)
        if found.get("error") == "timeout":
            return WaitTimeout(reason)
        return Refused(reason, head.status) if head.status < 500 else ServerError(reason)


class _Checked:
    """The vectors of the last exchange, which are mostly those of the next: what is known of
    them, so that it needn't be looked at again."""

    def __init__(self) -> None:
        self._places: tuple[tuple[int, int], ...] = ()
        self._tensors: tuple[Tensor, ...] = ()
        self.sizes: wire.Sizes = (0, 0, 0)
        self.pieces: list[memoryview | bytes] = []
        self.targets: list[memoryview] = []

    def are(self, update: Vectors, into: Vectors) -> bool:
        """Whether these are the same tensors, in the same memory."""
        given = (*update, *into)
        if len(self._tensors) != len(given):
            return False
        same = all(a is b for a, b in zip(given, self._tensors, strict=True))
        return same and _places(given) == self._places

    def note(self, update: Vectors, into: Vectors) -> None:
        """Takes vectors that were checked."""
        self._tensors = (*update, *into)
        self._places, self.sizes = _places(self._tensors), update.sizes
        self.pieces, self.targets = [*wire.buffers(update)], wire.buffers(into)


def _places(tensors: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    return tuple((one.data_ptr(), one.numel()) for one in tensors)


def described(info: dict[str, Any] | None) -> dict[str, Any]:
    """Returns what `status()` shows of a worker."""
    return {"host": socket.gethostname(), "pid": os.getpid(), **(info or {})}


def _parsed(data: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        raise ServerError(f"{url} answered with something unreadable: {data[:200]!r}") from None
    return found if isinstance(found, dict) else {"reason": found}


def pieces(
    packer: packing.Packer | None, push: Push, update: Vectors, whole: bool
) -> list[memoryview | bytes]:
    """Returns a push as it is sent."""
    if packer is not None:
        return packer.pieces(push, update, whole)
    return [wire.pack_push(push, update.sizes), *wire.buffers(update)]
