"""Whom a client takes for its server."""

import socket

import pytest

from elephas_torch.errors import ServerError, Unreachable
from elephas_torch.parameter import tls
from elephas_torch.parameter.trust import Trust


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("server.pem",), "must be a certificate in PEM.*goes into `ssl_cafile`"),
        ((tls.made(["x"]).own, "x.pem"), "not both"),
    ],
)
def test_what_is_no_trust_is_said_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        Trust(*given)


def test_no_file_is_read_before_it_is_needed():
    trust = Trust(None, "none.pem")
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(ServerError, match=r"`ssl_cafile` can't be read") as caught:
        trust.secure(ours, "x", "https://x:1")
    assert ours.fileno() == -1, "it is closed"
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        (b"", Unreachable, "https://x:1 cut the connection at the start of TLS, from host"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ServerError, "No TLS with https://x:1.*http://"),
    ],
)
def test_a_connection_that_is_cut_may_come_back_and_no_other(says, error, message):
    ours, theirs = socket.socketpair()
    theirs.sendall(says)
    theirs.shutdown(socket.SHUT_WR)
    with theirs, pytest.raises(ServerError, match=message) as caught:
        Trust(tls.made(["x"]).own).secure(ours, "x", "https://x:1")
    assert type(caught.value) is error and ours.fileno() == -1
