"""TLS over a socket: the same bytes, as many at once as there is room for."""

import socket
import ssl
import threading

import pytest

from elephas_torch.parameter import tls
from elephas_torch.parameter.secured import Secured
from elephas_torch.parameter.trust import trusting


@pytest.fixture(scope="module")
def identity():
    return tls.made(["x"])


@pytest.fixture
def meet(identity):
    """meet(serve) -> a client's side; `serve` has the server's in a thread."""
    threads = []

    def start(serve, trusted=None):
        ours, theirs = socket.socketpair()
        for one in (ours, theirs):
            one.settimeout(10)

        def run():
            try:
                with tls.server_context(identity).wrap_socket(theirs, server_side=True) as side:
                    serve(side)
            except (ssl.SSLError, ConnectionError):
                theirs.close()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        try:
            return Secured(ours, trusting(trusted or identity.own), "x")
        except BaseException:
            ours.close()
            raise

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def received(side, length):
    target = memoryview(bytearray(length))
    have = 0
    while have < length and (got := side.recv_into(target[have:])):
        have += got
    return bytes(target[:have])


@pytest.mark.parametrize("length", [1, 20_000, 500_000])
def test_bytes_come_back_as_they_went(meet, length):
    def echo(side):
        for _ in range(2):
            left = length
            while left:
                data = side.recv(left)
                side.sendall(data)
                left -= len(data)

    sent = bytes(range(251)) * (length // 251 + 1)
    side = meet(echo)
    for _ in range(2):
        parts = [memoryview(sent)[: length // 3], memoryview(sent)[length // 3 : length]]
        back = b""
        while parts:
            done = side.sendmsg(parts)
            assert 0 < done <= 131_072
            back += received(side, done)
            while parts and done >= len(parts[0]):
                done -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][done:]
        assert back == sent[:length]
    side.close()


def test_no_more_than_is_asked_for_and_nothing_after_the_end(meet):
    side = meet(lambda side: side.sendall(b"twelve bytes"))
    assert (received(side, 5), received(side, 3)) == (b"twelv", b"e b")
    assert received(side, 100) == b"ytes"
    assert received(side, 1) == b""
    side.close()


def test_another_certificate_ends_the_handshake(meet):
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(lambda side: None, trusted=tls.made(["x"]).own)
