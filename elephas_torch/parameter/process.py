"""Starts and stops a parameter server in a child process.

The parent binds the port and hands the socket over, so the address is known, and reachable,
before the child has started. Settings, token and vectors go through the child's standard
input, which stays open: the child ends when it closes, so also when the parent dies. See
`serving` for the child's side.
"""

from __future__ import annotations

import errno
import secrets
import socket
import subprocess
from dataclasses import asdict
from typing import Any

from elephas_torch import loglevel
from elephas_torch.errors import ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import serving, tls, wire
from elephas_torch.parameter.child import Child, Kept, kept
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.connection import GONE_SECONDS, notice_loss
from elephas_torch.parameter.guard import Limits
from elephas_torch.parameter.wire import Settings


class ServerProcess:
    """A parameter server in a process of its own. A context manager, or `start()` and `stop()`.

    Args:
        settings: how it is to work.
        initial: the vectors to start from; copied.
        host: the address to listen at. Default "127.0.0.1", reachable from this machine only;
            "0.0.0.0" for all addresses.
        port: 0 (the default) takes a free one.
        advertise: the name or address by which workers reach this machine; `host` by default.
        start_timeout: seconds that the child may take to start. Default 60.
        keep: let the process wait for the next server of this program, in place of ending it: it
            starts at once then. It ends with this program, or after ten minutes. Not with a `port`
            of one's own, which must be free at once. Default False.
        checkpoint: a packed `Snapshot` to begin from, in place of `initial`. Default none.
        ssl: speak TLS, with a certificate made for this server, unless one is given. Needs the
            package cryptography. Default False.
        ssl_certfile: speak TLS with this certificate: PEM, those of its signers behind it.
        ssl_keyfile: its key, PEM. Default None: it is in `ssl_certfile`.
        ssl_keyfile_password: of the key, if it is encrypted.
        limits: how much it puts up with of strangers and slow clients. Default `Limits()`.
        metrics_token: a token that allows `GET /metrics` and nothing else, for Prometheus: 16
            characters of ASCII or more, without spaces. Default None: only `token` does.

    Attributes:
        url: what workers connect to; known after `start()`, or construction with a port.
        token: what they must bring; made anew for every server.
        page_token: what those bring who only look on, with the page (see `link`).
        address: (name, port) of the same.
        identity: what it shows itself as, with its key; None: no TLS.
        certificate: PEM, what clients are to trust (`Client(ssl_certificate=…)`); None: no TLS.

    Raises:
        TypeError, ValueError: `initial` doesn't fit the settings, a port out of its range, or a
            certificate or key that can't be used.
        OSError: a file of them can't be read.
        ImportError: `ssl=True` without the package cryptography.
        ServerError: the port is taken, the address isn't this machine's, or the child fails.
    """

    def __init__(
        self,
        settings: Settings,
        initial: Vectors,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        advertise: str | None = None,
        start_timeout: float = 60.0,
        keep: bool = False,
        checkpoint: bytes = b"",
        ssl: bool = False,
        ssl_certfile: Any = None,
        ssl_keyfile: Any = None,
        ssl_keyfile_password: str | None = None,
        limits: Limits | None = None,
        metrics_token: str | None = None,
    ) -> None:
        wire.check_vectors(initial, settings.sizes, "initial")
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise ValueError(f"`port` must be 0 (a free one) to 65535. Received: port={port!r}")
        self.settings, self.host, self.start_timeout = settings, host, start_timeout
        self.token, self.page_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.address = (advertise or _reachable(host), port)
        self.limits = limits or Limits()
        self._metrics_token = checked_token(metrics_token)
        wanted = tls.Wanted(ssl, ssl_certfile, ssl_keyfile, ssl_keyfile_password)
        self.identity = wanted.identity([self.address[0], _reachable(host)])
        self.certificate = None if self.identity is None else self.identity.own
        self._vectors = b"" if checkpoint else b"".join(wire.buffers(initial))
        self._checkpoint = checkpoint
        # A port must be free once `stop` returns, and classes of somebody else's may have changed
        # on disk since the process imported them.
        self._keep = keep and port == 0 and _is_ours(settings.optimizer)
        self._child: Child | None = None
        self._ended = False

    @property
    def url(self) -> str:
        return self._url(*self.address)

    @property
    def link(self) -> str:
        """The page that shows the run, with the token that it needs in its fragment: whoever has
        it may look on, and stop the run."""
        return f"{self.url}/#token={self.page_token}"

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and not self._ended and self._child.alive

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._child.process.pid if self._child else None

    def start(self) -> ServerProcess:
        """Starts the child and returns at once; requests wait until it is ready."""
        if self._child is not None:
            raise ServerError("This server was started already; make a new ServerProcess.")
        with listen(self.host, self.address[1], self.limits.gone_seconds) as listener:
            self.address = (self.address[0], listener.getsockname()[1])
            self._child = (kept if self._keep else Kept()).take(
                listener, self._message(self._checkpoint)
            )
        self._vectors = self._checkpoint = b""
        return self

    def kill(self) -> None:
        """Ends the child at once, as if it had fallen; see `restart`."""
        self._started().kill()

    def restart(self, checkpoint: bytes) -> ServerProcess:
        """Starts a new child in place of one that has ended, or hangs, at the same address with the
        same token; returns at once.

        Args:
            checkpoint: a packed `Snapshot`, which it begins from: workers have to join again.
        """
        self.kill()
        with listen(self.host, self.address[1], self.limits.gone_seconds) as listener:
            self._child = Kept().take(listener, self._message(checkpoint))
        return self

    def wait_ready(self) -> ServerProcess:
        """Waits until the child answers.

        Raises:
            ServerError: it ended; the message has the end of what it wrote.
            WaitTimeout: it took longer than `start_timeout`.
        """
        try:
            with self._local_client(self.start_timeout) as client:
                client.health()
        except WaitTimeout:
            raise WaitTimeout(
                f"The parameter server at {self.url} did not start within "
                f"{self.start_timeout:g} s. {self._started().said()}"
            ) from None
        except ServerError as error:
            self.check(grace=2.0)
            raise ServerError(f"{error} {self._started().said()}") from error
        return self

    def check(self, grace: float = 0.0) -> None:
        """Raises ServerError, with the end of what the child wrote, if it has ended.

        Args:
            grace: seconds that it may take to end; after a cut connection, say 2.
        """
        child = self._started()
        if self._ended and child.alive:
            raise ServerError("This parameter server was stopped.")
        try:
            code = child.process.wait(grace)
        except subprocess.TimeoutExpired:
            return
        raise ServerError(f"The parameter server ended with exit code {code}. {child.said()}")

    def client(self, timeout: float | None = None) -> Client:
        """Returns a client for this machine, that waits longer than the server itself does."""
        self._started()
        longest = max(self.settings.round_timeout, self.settings.join_timeout)
        return self._local_client(longest + 30 if timeout is None else timeout)

    def stop(self) -> None:
        """Ends the run; leaves no port, and no process but the one that is kept. Does nothing the
        second time."""
        child = self._child
        if child is None or self._ended:
            return
        self._ended = True
        if self._keep:
            kept.keep(child)
        else:
            child.kill()

    def __enter__(self) -> ServerProcess:
        try:
            return self.start().wait_ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _local_client(self, timeout: float) -> Client:
        url = self._url(_reachable(self.host), self.address[1])
        return Client(url, self.token, timeout=timeout, ssl_certificate=self.certificate)

    def _url(self, name: str, port: int) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"

    def _started(self) -> Child:
        if self._child is None:
            raise ServerError("The parameter server wasn't started: call start().")
        return self._child

    def _message(self, checkpoint: bytes = b"") -> list[bytes]:
        head = wire.dumps(
            {
                "settings": wire.settings_to_json(self.settings),
                "token": self.token,
                "page_token": self.page_token,
                "checkpoint": len(checkpoint),
                "metrics_token": self._metrics_token,
                "limits": asdict(self.limits),
                "identity": self.identity and asdict(self.identity),
                "log_level": loglevel.level(),
            }
        )
        return [serving.LENGTH.pack(len(head)), head, checkpoint or self._vectors]


def checked_token(token: str | None, name: str = "`metrics_token`") -> str | None:
    """Returns a token of somebody's own; raises ValueError where it can't be one, and doesn't show
    it."""
    if token is not None:
        plain = token.isascii() and token.isprintable() and " " not in token
        if len(token) < 16 or not plain:
            raise ValueError(
                f"{name} must have 16 or more characters of ASCII, without spaces. "
                f"Received: {len(token)} characters"
            )
    return token


def _is_ours(config: Any) -> bool:
    """Whether no "module" in nested data is somebody else's."""
    if not isinstance(config, dict):
        return True
    module = str(config.get("module") or "elephas_torch")
    ours = module.partition(".")[0] in ("elephas_torch", "keras")
    return ours and all(_is_ours(one) for one in config.values())


def listen(host: str, port: int, gone: float = GONE_SECONDS) -> socket.socket:
    """Returns a socket that listens there.

    Args:
        gone: see `notice_loss`.

    Raises:
        ServerError: the port is taken, or the address isn't this machine's.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        family, kind, _, _, address = found[0]
        # With proto 0, asyncio doesn't set TCP_NODELAY on what it accepts.
        made = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise _listen_error(host, port, error) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_loss(made, gone)
        made.bind(address)
        made.listen(1024)
    except OSError as error:
        made.close()
        raise _listen_error(host, port, error) from error
    return made


def _listen_error(host: str, port: int, error: OSError) -> ServerError:
    if error.errno == errno.EADDRINUSE:
        why = f"port {port} of {host} is taken. Use port=0 for a free one, or end what holds it"
    elif error.errno == errno.EACCES:
        why = f"port {port} needs rights that this process hasn't. Use port=0, or one above 1023"
    else:
        why = f"{host!r} isn't an address of this machine ({error}). Set `host`"
    return ServerError(
        f"The parameter server can't listen: {why}. Received: host={host!r}, port={port}"
    )


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
