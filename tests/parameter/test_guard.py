"""What strangers and slow clients can't do: each limit over a real socket, and none for workers."""

import contextlib
import json
import logging
import socket
import threading
import time
from dataclasses import fields

import pytest
import torch

from elephas_torch.errors import ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Limits, Push, ServerProcess, tls, wire
from elephas_torch.parameter.guard import Guard, Seldom
from elephas_torch.parameter.state import State

TOKEN = "a token of these tests"
AUTHORIZED = f"authorization: Bearer {TOKEN}\r\n"
QUICK = Limits(head_seconds=0.4, body_seconds=0.4, body_rate=1000.0, read_seconds=0.6)


@pytest.fixture
def serve(local_server, settings, vectors):
    """serve(limits, size, identity) -> a server that worker 0 has joined"""

    def start(limits=None, size=1, identity=None):
        initial = vectors([0.0] * size)
        server = local_server(State(settings("asynchronous", initial), initial), limits, identity)
        server.state.join(0, 1, 10, {})
        return server

    return start


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        yield made


def everything(made):
    """What comes until the server ends the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while got := made.recv(65536):
            data += got
    return data


def refused(data):
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head[9:12]), json.loads(body)["reason"]


def push(size=1, seq=0):
    update = Vectors(torch.ones(size), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    body = wire.pack_push(Push(0, 1, seq, 0, 1, 0, False), (size, 0, 0))
    body += b"".join(wire.buffers(update))
    return (
        f"POST /update HTTP/1.1\r\n{AUTHORIZED}content-length: {len(body)}\r\n\r\n".encode() + body
    )


def works(server):
    with server.client(timeout=5) as client:
        return client.status()["version"] == server.state.weights.version


TOO_LARGE = {
    "a header": f"GET /status HTTP/1.1\r\n{AUTHORIZED}x: {'x' * 20_000}".encode(),
    "a line": b"GET /" + b"x" * 20_000,
    "many headers": b"GET /status HTTP/1.1\r\n" + b"x: 1\r\n" * 110,
    "headers of a push": b"POST /update HTTP/1.1\r\n" + b"x: 1\r\n" * 3000,
    "without an end": b"GET /status HTTP/1.1\r\nx: " + b"x" * 3_000_000,
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_heads_have_an_end(serve, what):
    server = serve()
    with connected(server) as made:
        with contextlib.suppress(ConnectionError):
            made.sendall(TOO_LARGE[what])
        found = everything(made)
    if found or what != "without an end":  # of which so much comes that it may cut the answer off
        status, reason = refused(found)
        assert status == 431 and ("at most 100 headers" in reason or "at most 16384" in reason)
    assert works(server)


def test_large_heads_within_the_limit_are_taken(serve):
    server = serve()
    many = "".join(f"x{number}: {'x' * 100}\r\n" for number in range(90))
    with connected(server) as made:
        for _ in range(3):  # what one takes isn't counted for the next
            made.sendall(f"GET /status HTTP/1.1\r\n{AUTHORIZED}{many}\r\n".encode())
            assert made.recv(65536).startswith(b"HTTP/1.1 200")


def dripping(made, data, seconds=0.05):
    """Sends a byte now and then, in a thread, until the connection ends."""

    def drip():
        with contextlib.suppress(OSError):
            for one in data:
                made.sendall(bytes([one]))
                time.sleep(seconds)

    threading.Thread(target=drip, daemon=True).start()


SLOW = {
    "a head that stops": (b"GET /status HT", b"", "head of a request took over 0.4 s"),
    "a head that drips": (b"", b"GET /status HTTP/1.1\r\n" + b"x: 1\r\n" * 99, "head of a request"),
    "a push's head that stops": (push()[:40], b"", "head of a request took over 0.4 s"),
    "a push's body that stops": (push()[:-4], b"", "No byte of a body came for 0.4 s"),
    "a push's body that drips": (push(500)[:-900], push(500)[-900:], "less than 1000 bytes/s"),
    "a body that stops": (
        f"POST /control HTTP/1.1\r\n{AUTHORIZED}content-length: 9\r\n\r\n{{".encode(), b"",
        "No byte of a body came for 0.4 s",
    ),
    "a body that drips": (
        f"POST /control HTTP/1.1\r\n{AUTHORIZED}content-length: 999\r\n\r\n{{".encode(), b" " * 998,
        "less than 1000 bytes/s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SLOW)
def test_slow_senders_are_cut_off(serve, what):
    begin, rest, expected = SLOW[what]
    server = serve(QUICK, 500 if "500" in what or "push's body that drips" in what else 1)
    with connected(server) as made:
        began = time.monotonic()
        made.sendall(begin)
        dripping(made, rest)
        status, reason = refused(everything(made))
        assert status == 408 and expected in reason
        assert 0.3 < time.monotonic() - began < 5
    assert server.state.weights.version == 0 and works(server)


def test_who_brings_no_token_and_asks_nothing_is_not_kept(serve):
    server = serve(QUICK)
    with connected(server) as nothing, connected(server) as line, connected(server) as friend:
        line.sendall(b"\r\n")
        friend.sendall(f"GET /status HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        assert friend.recv(65536).startswith(b"HTTP/1.1 200")
        dripping(line, b"\r\n" * 100)
        assert everything(nothing) == everything(line) == b""
        time.sleep(0.8)
        friend.sendall(f"GET /status HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        assert friend.recv(65536).startswith(b"HTTP/1.1 200")


def test_who_takes_no_answer_is_cut_off(serve):
    size = 2_000_000
    server = serve(QUICK, size)
    with connected(server) as made:
        made.sendall(f"GET /parameters HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        end = time.monotonic() + 10
        while server.server.server_state.connections or not server.state.counts["pulls"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert len(everything(made)) < 4 * size


def test_a_busy_worker_is_never_cut_off(serve):
    server = serve(Limits(head_seconds=0.3, body_seconds=0.3, body_rate=1e9), 1000)
    end, seq = time.monotonic() + 1.5, 0
    with connected(server) as made:
        while time.monotonic() < end:
            made.sendall(push(1000, seq))
            have = 0
            while have < 4048:
                have += len(made.recv(65536))
            seq += 1
            if seq % 50 == 0:
                time.sleep(0.05)
    assert server.state.weights.version == seq > 50


@pytest.mark.parametrize("secure", [False, True])
def test_connections_have_a_number(serve, secure):
    server = serve(Limits(connections=3), identity=tls.made(["127.0.0.1"]) if secure else None)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client(timeout=5)) for _ in range(4)]
        for client in clients[:3]:
            client.status()
        with pytest.raises(ServerError, match="all the 3 connections that it takes"):
            clients[3].status()
        clients[0].close()
        end = time.monotonic() + 5
        while len(server.application.guard._open) == 3 and time.monotonic() < end:
            time.sleep(0.02)
        clients[3].status()
        clients[1].status()


def test_strangers_that_hold_connections_do_not_keep_workers_out(serve):
    server = serve(Limits(connections=5))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(server)) for _ in range(100)]
        time.sleep(1.5)
        for _ in range(4):
            client = stack.enter_context(server.client(timeout=5))
            client.status()
        client.status()
        assert len(server.application.guard._open) <= 5
        assert everything(held[50])[9:12] in (b"503", b"")


def test_a_handshake_that_never_ends_is_one(serve):
    server = serve(QUICK, identity=tls.made(["127.0.0.1"]))
    with connected(server) as silent, connected(server) as slow, connected(server) as one:
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        one.sendall(b"\x16")
        for made in (silent, slow, one):
            assert len(everything(made)) < 100
    assert works(server) and server.application.guard.arriving == 0


def flood(server, seconds, count=8):
    """Strangers that ask as fast as they can; returns how many answers each got."""
    asked = b"GET /status HTTP/1.1\r\nauthorization: Bearer wrong\r\n\r\n"
    answers, end = [0] * count, time.monotonic() + seconds

    def ask(number):
        with connected(server) as made:
            while time.monotonic() < end:
                made.sendall(asked)
                if not made.recv(65536).startswith(b"HTTP/1.1 401"):
                    return
                answers[number] += 1

    threads = [threading.Thread(target=ask, args=(one,)) for one in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_a_flood_of_wrong_tokens_is_slowed_down_and_told_of_once(serve, caplog):
    server = serve(Limits(strangers=20))
    with caplog.at_level(logging.DEBUG):
        threads, answers = flood(server, 2.0)
        with server.client(timeout=5) as client:
            before = time.monotonic()
            for _ in range(50):
                client.status()
            assert time.monotonic() - before < 1.5
        for thread in threads:
            thread.join()
    assert 20 <= sum(answers) <= 20 * 3 + 8 * 4
    told = [one for one in caplog.records if "this run's token" in one.getMessage()]
    assert len(told) == 1 and "127.0.0.1" in told[0].getMessage()
    assert TOKEN not in caplog.text and "wrong\n" not in caplog.text


def test_garbage_does_not_fill_the_log(serve, caplog):
    server = serve()
    for _ in range(20):
        with connected(server) as made:
            made.sendall(b"\x00garbage\r\n\r\n")
            everything(made)
    assert len(caplog.records) <= 1


def test_a_filter_lets_each_message_through_once_a_minute():
    seldom = Seldom()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "again", (), None)
    record.created = 1000.0
    assert seldom.filter(record) and not seldom.filter(record)
    record.created += 61
    assert seldom.filter(record)
    record.levelno = logging.ERROR
    assert seldom.filter(record)


def test_a_pause_of_the_server_is_nobody_s_slowness():
    guard = Guard(Limits(), 2)
    assert guard.most == 96
    guard.tick(3600.0)
    assert guard.now == 1.0


@pytest.mark.parametrize("name", [one.name for one in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "many"])
def test_limits_are_numbers_above_0(name, value):
    with pytest.raises(ValueError, match=f"`Limits.{name}` must be a number above 0"):
        Limits(**{name: value})


def test_a_server_of_its_own_process_keeps_them(settings, vectors):
    initial = vectors([0.0])
    limits = Limits(head_bytes=100)
    server = ServerProcess(settings("asynchronous", initial), initial, limits=limits)
    with server, socket.create_connection(server.address, 10) as made:
        made.sendall(b"GET /" + b"x" * 200)
        assert "at most 100 bytes" in refused(everything(made))[1]
