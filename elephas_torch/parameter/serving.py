"""What a server's process does: it is told of a run, serves it, and waits for the next one.

Standard input is one end of a pair of sockets. The parent sends the listening socket, then
settings, token and vectors; a byte ends the run. When the other end closes, or the parent, whose
process id is the one argument, is gone, the process ends.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from elephas_torch.parameter import wire

LENGTH = struct.Struct("<Q")
#: The byte that ends a run.
END = b"e"
#: Seconds that it waits for another run.
IDLE_SECONDS = 600.0


def serve() -> None:
    """Serves one run after the other until the parent is gone, or has none for long."""
    watching = threading.Thread(target=_exit_without, args=(int(sys.argv[1]),), daemon=True)
    watching.start()
    control = socket.socket(fileno=os.dup(0))
    while True:
        _serve_one(control)
        gc.collect()  # the vectors of that run, and the memory that workers shared
        if not select.select([control], [], [], IDLE_SECONDS)[0]:
            # At once, for both ends: a run that it is told of now must fail to be told.
            control.shutdown(socket.SHUT_RDWR)
            os._exit(0)


def _serve_one(control: socket.socket) -> None:
    first, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not first:
        sys.exit(0)
    listener = socket.socket(fileno=descriptors[0])
    (length,) = LENGTH.unpack(_exactly(control, LENGTH.size))
    message = json.loads(_exactly(control, length))
    settings = wire.settings_from_json(message["settings"])
    initial = wire.allocate(settings.sizes)
    checkpoint = _exactly(control, message["checkpoint"])
    if not checkpoint:
        _read_into(control, initial.buffer)
    _run(settings, initial, checkpoint, message, listener, control)


def _run(
    settings: wire.Settings,
    initial: wire.Body,
    checkpoint: bytes,
    message: dict[str, Any],
    listener: socket.socket,
    control: socket.socket,
) -> None:
    import asyncio

    import torch
    import uvloop

    from elephas_torch import loglevel
    from elephas_torch.parameter.guard import Limits
    from elephas_torch.parameter.server import Application, uvicorn_server
    from elephas_torch.parameter.snapshots import Snapshot
    from elephas_torch.parameter.state import State
    from elephas_torch.parameter.tls import Identity, server_context

    torch.set_num_threads(1)
    loglevel.to_stderr(message["log_level"], loglevel.SERVER_FORMAT)
    state = State(settings, initial.vectors)
    if checkpoint:
        state.restore(Snapshot.read(checkpoint))
    limits = Limits(**message["limits"])
    tokens = {name: message[name] for name in ("metrics_token", "page_token")}
    application = Application(state, message["token"], limits, **tokens)
    identity = message["identity"]
    context = server_context(Identity(**identity)) if identity else None
    server = uvicorn_server(application, context)

    def end() -> None:
        server.should_exit = server.force_exit = True

    async def main() -> threading.Thread:
        loop = asyncio.get_running_loop()
        ending = threading.Thread(
            target=_wait_for_end, args=(control, lambda: loop.call_soon_threadsafe(end))
        )
        ending.daemon = True
        ending.start()
        ticking = asyncio.create_task(application.tick())
        await server.serve(sockets=[listener])
        ticking.cancel()
        return ending

    # Not before it was told to: the thread would take the next run's first byte.
    uvloop.run(main()).join()
    application.close()
    listener.close()


def _wait_for_end(control: socket.socket, end: Callable[[], Any]) -> None:
    if control.recv(1) == END:
        end()
    else:
        os._exit(0)


def _exit_without(parent: int) -> None:
    """Ends this process when its parent is gone, also if a fork of it holds the socket open."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _exactly(control: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    _read_into(control, memoryview(data))
    return bytes(data)


def _read_into(control: socket.socket, target: memoryview) -> None:
    have = 0
    while have < len(target):
        got = control.recv_into(target[have:])
        if not got:
            sys.exit(0)
        have += got
