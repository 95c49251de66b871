"""Bytes between two Python processes over one connection, by nothing but sockets."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def calls(size: int) -> Iterator[tuple[Callable[[], Any], Callable[[], Any]]]:
    """A pull, and a push with a pull, of so many bytes from a Python process that does no more."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=answer, args=(size, theirs), daemon=True)
    process.start()
    connection = no_delay(socket.create_connection(("127.0.0.1", ours.recv())))
    sent, received = memoryview(bytearray(size)), memoryview(bytearray(size))

    def pull() -> None:
        connection.sendall(b"g")
        read_into(connection, received)

    def exchange() -> None:
        send(connection, [memoryview(b"u"), sent])
        read_into(connection, received)

    try:
        yield pull, exchange
    finally:
        connection.close()
        process.join(5)
        process.kill()


def answer(size: int, pipe: Any) -> None:
    """The other side: b"g" is answered with the bytes, b"u" and as many bytes with the same."""
    kept, got, order = (memoryview(bytearray(length)) for length in (size, size, 1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        connection = no_delay(listener.accept()[0])
    with connection:
        while connection.recv_into(order):
            if order[0] == ord("u"):
                read_into(connection, got)
            send(connection, [kept])


def read_into(connection: socket.socket, target: memoryview) -> None:
    """Fills a buffer."""
    have = 0
    while have < len(target):
        have += connection.recv_into(target[have:], 0, socket.MSG_WAITALL)


def send(connection: socket.socket, parts: list[memoryview]) -> None:
    """Sends buffers without joining them."""
    left = [part for part in parts if len(part)]
    while left:
        sent = connection.sendmsg(left)
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if sent:
            left[0] = left[0][sent:]


def no_delay(connection: socket.socket) -> socket.socket:
    """The same, so that small messages leave at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
