"""The page of a fit that is over."""

import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from elephas_torch import showing
from elephas_torch.parameter.tls import made
from elephas_torch.showing import Showing

STORY = {"about": {"title": "t"}, "state": "finished", "epochs": []}


def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_slow_connections_do_not_hold_it_shut(monkeypatch, secured):
    monkeypatch.setattr(showing, "SECONDS", 1.0)
    identity = made(["127.0.0.1"]) if secured else None
    here = ("127.0.0.1", port())
    shown = Showing(STORY, "x" * 43, *here, identity)
    # A head, or a handshake, of which a byte comes now and then.
    piece = b"\x16" if secured else b"GET / HTTP/1.1\r\nX: "
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(here, 5)) for _ in range(showing.MOST)]
        for one in slow:
            one.sendall(piece)
        end = time.monotonic() + 5
        while slow and time.monotonic() < end:
            time.sleep(0.2)
            slow = [one for one in slow if goes_on(one)]
        assert not slow
        assert answered(here, secured)
    shown.close()


def goes_on(connection):
    """Whether it is open; sends another byte."""
    try:
        connection.sendall(b"\x03")
        connection.setblocking(False)
        return connection.recv(1) != b""
    except BlockingIOError:
        connection.settimeout(5)
        return True
    except OSError:
        return False


def answered(here, secured):
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(here, 5))
        if secured:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = stack.enter_context(context.wrap_socket(connection))
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.recv(15) == b"HTTP/1.0 200 OK"
