"""Starts and stops a parameter server in a child process.

The parent binds the port and hands the socket over, so the address is known, and reachable,
before the child has started. Settings, token and vectors go through the child's standard
input, which stays open: the child ends when it closes, so also when the parent dies.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any

from elephas_torch.errors import ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import wire
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.wire import Settings

_LENGTH = struct.Struct("<Q")
_TAIL_LINES = 200


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

    Attributes:
        url: what workers connect to; known after `start()`, or construction with a port.
        token: what they must bring; made anew for every server.
        address: (name, port) of the same.

    Raises:
        TypeError, ValueError: `initial` doesn't fit the settings, or a port out of its range.
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
    ) -> None:
        wire.check_vectors(initial, settings.sizes, "initial")
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise ValueError(f"`port` must be 0 (a free one) to 65535. Received: port={port!r}")
        self.settings, self.host, self.start_timeout = settings, host, start_timeout
        self.token = secrets.token_urlsafe(32)
        self.address = (advertise or _reachable(host), port)
        self._vectors = b"".join(wire.buffers(initial))
        self._process: subprocess.Popen[bytes] | None = None
        self._feeder: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    @property
    def url(self) -> str:
        name, port = self.address
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid if self._process else None

    def start(self) -> ServerProcess:
        """Starts the child and returns at once; requests wait until it is ready."""
        if self._process is not None:
            raise ServerError("This server was started already; make a new ServerProcess.")
        with listen(self.host, self.address[1]) as listener:
            self.address = (self.address[0], listener.getsockname()[1])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "elephas_torch.parameter"],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=_environment(),
                cwd=os.path.sep,
                start_new_session=True,
            )
            message = self._message(listener.fileno())
        self._feeder = _thread(self._feed, message)
        self._reader = _thread(self._listen)
        self._vectors = b""
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
                f"{self.start_timeout:g} s. {self._said()}"
            ) from None
        except ServerError as error:
            self.check(grace=2.0)
            raise ServerError(f"{error} {self._said()}") from error
        return self

    def check(self, grace: float = 0.0) -> None:
        """Raises ServerError, with the end of what the child wrote, if it has ended.

        Args:
            grace: seconds that it may take to end; after a cut connection, say 2.
        """
        if self._process is None:
            raise ServerError("The parameter server wasn't started: call start().")
        try:
            code = self._process.wait(grace)
        except subprocess.TimeoutExpired:
            return
        raise ServerError(f"The parameter server ended with exit code {code}. {self._said()}")

    def client(self, timeout: float | None = None) -> Client:
        """Returns a client for this machine, that waits longer than the server itself does."""
        if self._process is None:
            raise ServerError("The parameter server wasn't started: call start().")
        longest = max(self.settings.round_timeout, self.settings.join_timeout)
        return self._local_client(longest + 30 if timeout is None else timeout)

    def stop(self) -> None:
        """Ends the child; leaves no process and no port. Does nothing the second time."""
        process = self._process
        if process is None:
            return
        # It keeps nothing that it would have to put away, and may be in the middle of a start.
        process.kill()
        process.wait()
        for thread in (self._feeder, self._reader):
            if thread is not None:
                thread.join(2)
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> ServerProcess:
        try:
            return self.start().wait_ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _local_client(self, timeout: float) -> Client:
        name = _reachable(self.host)
        shown = f"[{name}]" if ":" in name else name
        return Client(f"http://{shown}:{self.address[1]}", self.token, timeout=timeout)

    def _message(self, descriptor: int) -> list[bytes]:
        head = wire.dumps(
            {
                "settings": wire.settings_to_json(self.settings),
                "token": self.token,
                "socket": descriptor,
                "parent": os.getpid(),
            }
        )
        return [_LENGTH.pack(len(head)), head, self._vectors]

    def _feed(self, message: list[bytes]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            for part in message:
                left = memoryview(part)
                while len(left):
                    left = left[os.write(self._process.stdin.fileno(), left) :]
        except (OSError, ValueError):
            pass  # The child has ended; whoever waits for it sees that.

    def _listen(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            self._tail.append(line[:2000])

    def _said(self) -> str:
        if self._reader is not None and not self.alive:
            self._reader.join(1)
        text = b"".join(self._tail).decode(errors="replace").strip()
        return f"It wrote:\n{text}" if text else "It wrote nothing."


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens there.

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
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
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


def _environment() -> dict[str, str]:
    """The child finds every module where this process finds it, however that was arranged."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *(os.path.abspath(one) for one in sys.path)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
    }


def _thread(function: Any, *arguments: Any) -> threading.Thread:
    made = threading.Thread(target=function, args=arguments, daemon=True)
    made.start()
    return made


def serve() -> None:
    """The child: reads what to do from standard input, and serves until that is closed."""
    stdin = sys.stdin.buffer
    (length,) = _LENGTH.unpack(_exactly(stdin, _LENGTH.size))
    message = json.loads(_exactly(stdin, length))
    settings = wire.settings_from_json(message["settings"])
    initial = wire.allocate(settings.sizes)
    _read_into(stdin, initial.buffer)
    _thread(_exit_with, stdin.fileno())
    listener = socket.socket(fileno=message["socket"])
    _run(settings, initial.vectors, message["token"], listener, message["parent"])


def _run(
    settings: Settings, initial: Vectors, token: str, listener: socket.socket, parent: int
) -> None:
    import asyncio

    import torch
    import uvloop

    from elephas_torch.parameter.server import Application, uvicorn_server
    from elephas_torch.parameter.state import State

    torch.set_num_threads(1)
    application = Application(State(settings, initial), token)
    server = uvicorn_server(application)

    async def main() -> None:
        ticking = asyncio.create_task(application.tick())
        watching = asyncio.create_task(_exit_without(parent))
        await server.serve(sockets=[listener])
        ticking.cancel()
        watching.cancel()

    uvloop.run(main())


async def _exit_without(parent: int) -> None:
    """Ends this process when its parent is gone, also if a fork of it holds the pipe open."""
    import asyncio

    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    os._exit(0)


def _exit_with(descriptor: int) -> None:
    # Not through `sys.stdin`: its lock, held here, would abort the interpreter at its end.
    os.read(descriptor, 1)
    os._exit(0)


def _exactly(stdin: IO[bytes], length: int) -> bytes:
    data = stdin.read(length)
    if len(data) < length:
        sys.exit(0)
    return data


def _read_into(stdin: IO[bytes], target: memoryview) -> None:
    have = 0
    while have < len(target):
        got = stdin.readinto(target[have:])  # type: ignore[attr-defined]
        if not got:
            sys.exit(0)
        have += got
