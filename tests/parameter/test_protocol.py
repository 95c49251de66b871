"""Pushes that are answered beside uvicorn: the same answers, in order, whatever happens."""

import contextlib
import json
import socket
import threading
import time

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, wire
from elephas_torch.parameter.protocol import plain_fields
from elephas_torch.parameter.server import Application
from elephas_torch.parameter.state import State

TOKEN = "a token of these tests"
AUTHORIZED = f"authorization: Bearer {TOKEN}\r\n"
UNUSUAL = f"{AUTHORIZED}x: 1\r\nx: 2\r\n"


@pytest.fixture
def serve(local_server, settings, vectors):
    """serve(mode, **settings) -> a server of one weight that workers 0 … n-1 have joined"""

    def start(mode="asynchronous", workers=1, size=1, **more):
        initial = vectors([0.0] * size)
        server = local_server(State(settings(mode, initial, workers=workers, **more), initial))
        for worker in range(workers):
            server.state.join(worker, 1, 10, {})
        return server

    return start


@pytest.fixture
def uvicorns(monkeypatch):
    """The pushes that took uvicorn's way."""
    seen, method = [], Application._update

    def noted(self, *arguments):
        seen.append(arguments)
        return method(self, *arguments)

    monkeypatch.setattr(Application, "_update", noted)
    return seen


@contextlib.contextmanager
def connected(server, receive_bytes=None):
    with socket.socket() as made:
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.settimeout(10)
        made.connect(("127.0.0.1", server.port))
        yield made


def request(line, body=b"", headers=AUTHORIZED):
    return f"{line} HTTP/1.1\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def push(seq=0, value=1.0, headers=AUTHORIZED, size=1, **change):
    header = Push(0, 1, seq, 0, 1, 0, False)._replace(**change)
    update = Vectors(torch.full((size,), value), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    body = wire.pack_push(header, (size, 0, 0)) + b"".join(wire.buffers(update))
    return request("POST /update", body, headers)


def answers(made, count):
    """Reads so many answers; returns the status and the body of each."""
    file, found = made.makefile("rb"), []
    for _ in range(count):
        lines = list(iter(file.readline, b"\r\n"))
        headers = dict(line.strip().lower().split(b": ") for line in lines[1:])
        body = file.read(int(headers.get(b"content-length", 0)))
        found.append((int(lines[0][9:12]), body))
    return found


def everything(made):
    return b"".join(iter(lambda: made.recv(65536), b""))


def versions(found):
    assert all(status == 200 for status, _ in found)
    size = (len(found[0][1]) - wire.REPLY_BYTES) // 4
    return [wire.unpack_reply(body, (size, 0, 0)).version for _, body in found]


def eventually(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never comes true"
        time.sleep(0.01)


class Broken(optimizers.SGD):
    def step(self, *_):
        raise ArithmeticError("no")


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({}, 200, ""),
        ({"value": float("nan")}, 400, "non-finite"),
        ({"seq": 7}, 400, "skips ahead"),
        ({"worker": 3}, 400, "hasn't joined"),
        ({"samples": 0}, 400, "samples"),
        ({"attempt": 0}, 409, "replaced by attempt 1"),
        ({"headers": AUTHORIZED.replace("token", "tokem")}, 401, "Wrong or missing token"),
    ],
)
@pytest.mark.parametrize("inline", [True, False])
def test_both_ways_answer_with_the_same_bytes(serve, uvicorns, change, status, reason, inline):
    found = []
    for extra in ("", "x: 1\r\nx: 2\r\n"):
        server = serve()
        server.application.inline = inline
        with connected(server) as made:
            made.sendall(push(**{**change, "headers": change.get("headers", AUTHORIZED) + extra}))
            made.sendall(request("GET /nothing", headers=f"{AUTHORIZED}connection: close\r\n"))
            found.append(everything(made))
    assert found[0] == found[1] and found[0].startswith(b"HTTP/1.1 %d " % status)
    assert reason.encode() in found[0] and b"HTTP/1.1 404 " in found[0]
    assert len(uvicorns) == (1 if status != 401 else 0)


@pytest.mark.parametrize("headers", [AUTHORIZED, UNUSUAL])
def test_a_wait_in_vain_is_a_504_and_a_broken_optimizer_a_500(serve, headers):
    waiting = serve("synchronous", workers=2, round_timeout=0.3)
    broken = serve()
    broken.state.weights.optimizer = Broken()
    for server, status, kind in ((waiting, 504, "timeout"), (broken, 500, "server")):
        with connected(server) as made:
            made.sendall(push(headers=headers))
            found, body = answers(made, 1)[0]
            assert (found, json.loads(body)["error"]) == (status, kind)
            made.sendall(request("GET /health"))
            assert answers(made, 1)[0][0] == 200


def test_a_token_is_asked_for_with_every_push(serve, uvicorns):
    server = serve()
    wrong = AUTHORIZED.replace(TOKEN, "b" + TOKEN[1:])
    with connected(server) as made:
        for data, expected in [
            (push(0), 200), (push(1, headers=wrong), 401), (push(1), 200),
            (push(2, headers=""), 401), (push(2), 200),
        ]:  # fmt: skip
            made.sendall(data)
            assert answers(made, 1)[0][0] == expected
    assert server.state.weights.version == 3 and not uvicorns


@pytest.mark.parametrize(
    "more",
    [
        "connection: close\r\n", "expect: nothing\r\n", "upgrade: h2c\r\n", "x: 1\r\nX: 2\r\n",
        "x: caf\u00e9\r\n", "x: 1\r\n  folded\r\n",
    ],
)  # fmt: skip
def test_unusual_heads_take_uvicorns_way(serve, uvicorns, more):
    server = serve()
    with connected(server) as made:
        made.sendall(push(headers=AUTHORIZED + more))
        assert answers(made, 1)[0][0] in (200, 400)
    assert len(uvicorns) == server.state.weights.version


@pytest.mark.parametrize("line", ["x", ": 1", "x y: 1", "x: \x00", "x: a\nb: c", " x: 1", "a:\r1"])
def test_lines_that_are_no_headers_are_not_plain(line):
    good = b"POST /update HTTP/1.1\r\nHost:  x \r\nEmpty:\r\nContent-Length: 3"
    expected = {b"host": b"x", b"empty": b"", b"content-length": b"3"}
    assert plain_fields(good) == expected
    assert plain_fields(good + b"\r\n" + line.encode()) is None
    assert plain_fields(good + b"\r\nhost: y") is None


@given(
    kinds=st.lists(st.sampled_from("pucw"), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 2500), max_size=6),
)
@examples(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_requests_of_all_kinds_in_any_pieces_are_answered_in_order(serve, kinds, cuts):
    server, seq, sent, expected = serve(), 0, b"", []
    for kind in kinds:
        if kind in "pu":
            sent += push(seq, headers=AUTHORIZED if kind == "p" else UNUSUAL)
            seq += 1
            expected.append((200, seq))
        else:
            sent += request("GET /parameters") if kind == "c" else push(99)
            expected.append((200, seq) if kind == "c" else (400, None))
    with connected(server) as made:
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(sent)], strict=True):
            made.sendall(sent[start:end])
            time.sleep(0.0005)
        found = answers(made, len(kinds))
    for (status, body), (wanted, version) in zip(found, expected, strict=True):
        assert status == wanted
        if version is not None:
            assert wire.unpack_reply(body, (1, 0, 0)).version == version


def test_what_follows_a_push_waits_until_its_round_has_closed(serve, uvicorns):
    server = serve("synchronous", workers=2)
    with connected(server) as one, connected(server) as other:
        one.sendall(push(0) + push(1) + request("GET /parameters") + push(2)[:50])
        time.sleep(0.2)
        assert server.state.weights.version == 0
        for seq in (0, 1, 2):
            other.sendall(push(seq, worker=1))
            if seq == 2:
                one.sendall(push(2)[50:])
            assert versions(answers(other, 1)) == [seq + 1]
        assert versions(answers(one, 4)) == [1, 2, 2, 3]
    assert len(uvicorns) == 1, "only the push that came with another request before it"


def test_a_connection_cut_while_its_push_waits_counts_once(serve):
    server = serve("synchronous", workers=2)
    with connected(server) as one:
        one.sendall(push(0))
        eventually(lambda: server.state.ledger.workers[0].pending)
    connections = server.server.server_state.connections
    eventually(lambda: not connections)
    with connected(server) as one, connected(server) as other:
        one.sendall(push(0))
        eventually(lambda: server.state.counts["duplicates"] == 1)
        other.sendall(push(0, value=3.0, worker=1))
        for made in (one, other):
            assert versions(answers(made, 1)) == [1]
    assert server.state.weights.vectors.parameters.tolist() == [-2.0]
    assert server.state.counts["pushes"] == 2


def test_connections_cut_in_the_middle_of_a_body_give_their_buffers_back(serve):
    server = serve()
    for _ in range(20):
        with connected(server) as made:
            made.sendall(push(0)[:-2])
    eventually(lambda: not server.server.server_state.connections)
    with connected(server) as made:
        made.sendall(push(0))
        assert versions(answers(made, 1)) == [1]
    assert 1 <= server.application.buffers.spare <= 20 and server.state.weights.version == 1


def test_a_shutdown_lets_a_waiting_push_have_its_answer(serve):
    server = serve("synchronous", workers=2)
    with connected(server) as waiting, connected(server) as idle:
        idle.sendall(request("GET /health"))
        answers(idle, 1)
        waiting.sendall(push(0) + push(1))
        eventually(lambda: server.state.ledger.workers[0].pending)
        server.server.should_exit = True
        assert everything(idle) == b""
        update = Vectors(torch.ones(1), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
        server.state.push(Push(1, 1, 0, 0, 1, 0, False), update)
        answer = everything(waiting)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == server.state.weights.version == 1
    server.thread.join(10)
    assert not server.thread.is_alive()


def test_a_client_that_never_reads_is_not_answered_without_end(serve):
    size, count = 200_000, 40
    server = serve(size=size)
    data = b"".join(push(seq, size=size) for seq in range(count))
    with connected(server, receive_bytes=65536) as made:
        made.settimeout(60)
        thread = threading.Thread(target=made.sendall, args=(data,), daemon=True)
        thread.start()
        time.sleep(1.0)
        assert server.state.weights.version < count / 2
        assert len(server.state.weights.pool._lent) < 8
        assert versions(answers(made, count)) == list(range(1, count + 1))
        thread.join(10)


def test_only_an_idle_connection_is_closed(serve):
    server = serve("synchronous", workers=2)
    server.server.config.timeout_keep_alive = 0.4
    with connected(server) as made:
        for seq in range(5):
            made.sendall(push(seq))
            time.sleep(0.6 if seq == 2 else 0.2)
            update = Vectors(torch.ones(1), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
            server.state.push(Push(1, 1, seq, 0, 1, 0, False), update)
            assert versions(answers(made, 1)) == [seq + 1]
        start = time.monotonic()
        assert everything(made) == b""
        assert 0.2 < time.monotonic() - start < 5
