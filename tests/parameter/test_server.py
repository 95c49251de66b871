"""The HTTP server on a real socket: routes, token, limits, garbage."""

import json
import socket
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push, wire
from elephas_torch.parameter.state import State

TOKEN = "a token of these tests"
AUTHORIZED = f"authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"


NAN = float("nan")


@pytest.fixture
def server(local_server, settings, vectors):
    initial = vectors([1.0, 2.0, 3.0], [0.5], [7])
    found = local_server(State(settings("asynchronous", initial), initial))
    found.state.join(0, 0, 10, {})
    return found


def ask(server, request, pieces=1, pause=0.0):
    """Sends raw bytes, in so many pieces; returns the status and the body."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        step = max(1, -(-len(request) // pieces))
        for start in range(0, len(request), step):
            made.sendall(request[start : start + step])
            time.sleep(pause)
        return answer(made)


def answer(made):
    data = b""
    while b"\r\n\r\n" not in data:
        got = made.recv(65536)
        if not got:
            return 0, data
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += made.recv(65536)
    return int(head[9:12]), body


def request(line, body=b"", headers=AUTHORIZED, length=None):
    length = len(body) if length is None else length
    return (
        f"{line} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n".encode() + body
    )


def a_push(seq=0, parameters=(1.0, 1.0, 1.0), **change):
    header = Push(0, 0, seq, 0, 1, 0, False)._replace(**change)
    update = Vectors(torch.tensor(parameters), torch.tensor([0.5]), torch.tensor([7]))
    return wire.pack_push(header, (3, 1, 1)) + b"".join(wire.buffers(update))


def state_of(server):
    return bytes(server.state.pull().body), server.state.weights.version


def test_health_needs_no_token_and_everything_else_does(server):
    status, body = ask(server, request("GET /health", headers=""))
    assert status == 200 and json.loads(body) == {
        "name": "elephas_torch.parameter",
        "protocol": 1,
        "state": "ready",
    }
    before = state_of(server)
    for line in (
        "GET /status", "GET /parameters", "PUT /parameters", "POST /update", "POST /workers/1",
        "GET /metrics", "DELETE /workers/0?attempt=0", "POST /workers/0/beat", "POST /events",
        "GET /events", "POST /control", "GET /docs", "GET /openapi.json", "GET /nothing",
    ):  # fmt: skip
        for headers in ("", "authorization: Bearer wrong\r\n", f"authorization: {TOKEN}\r\n"):
            body = a_push() if line in ("POST /update", "PUT /parameters") else b"{}"
            status, found = ask(server, request(line, body, headers))
            assert (status, json.loads(found)["error"]) == (401, "refused"), line
    assert state_of(server) == before
    with Client(server.url, "wrong") as client, pytest.raises(Refused, match="token") as caught:
        client.status()
    assert caught.value.status == 401


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 200])
def test_a_push_may_come_in_pieces(server, pieces):
    status, body = ask(server, request("POST /update", a_push()), pieces, 0.001)
    assert status == 200 and server.state.weights.version == 1
    reply = wire.unpack_reply(body, (3, 1, 1))
    assert reply.version == 1
    assert np.frombuffer(body, np.int64, 1, 48).tolist() == [7]
    assert np.frombuffer(body, np.float32, 4, 56).tolist() == [0.0, 1.0, 2.0, 0.5]


def test_a_push_that_waits_for_100_continue_takes_the_plain_way(server):
    data = request("POST /update", a_push(), AUTHORIZED + "expect: 100-continue\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        made.sendall(head + b"\r\n\r\n")
        assert made.recv(100).startswith(b"HTTP/1.1 100")
        made.sendall(body)
        assert answer(made)[0] == 200
    assert server.state.weights.version == 1


def test_pipelined_pushes_are_answered_in_order(server):
    data = b"".join(request("POST /update", a_push(seq)) for seq in range(20))
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        made.sendall(data + request("GET /parameters"))
        found = b""
        while found.count(b"HTTP/1.1 200") < 21 or len(found) < 21 * 72:
            found += made.recv(65536)
    assert server.state.weights.version == 20


@pytest.mark.parametrize(
    ("line", "headers", "body", "length", "status", "reason"),
    [
        ("POST /update", AUTHORIZED, b"x", None, 400, "has 104 bytes"),
        ("POST /update", AUTHORIZED, b"", 10**12, 413, "Received: 1000000000000"),
        ("POST /update", AUTHORIZED, bytes(104), None, 400, "Not a message"),
        ("PUT /parameters", AUTHORIZED, b"x", None, 400, "has 104 bytes"),
        ("PUT /parameters", AUTHORIZED, b"", 10**12, 413, "Received: 1000000000000"),
        ("PUT /parameters", AUTHORIZED, bytes(104), None, 400, "Not a message"),
        ("PUT /parameters", AUTHORIZED, a_push(worker=5), None, 400, "hasn't joined"),
        ("PUT /parameters", AUTHORIZED, a_push(parameters=(1, NAN, 1)), None, 400, "non-finite"),
        ("POST /workers/1", AUTHORIZED, b"", 2**20 + 1, 413, "at most 1048576 bytes"),
        ("POST /workers/1", AUTHORIZED, b"{", None, 400, "can't take that"),
        ("POST /workers/1", AUTHORIZED, b'{"attempt": 0}', None, 400, "samples"),
        ("POST /workers/x", AUTHORIZED, b'{"attempt": 0, "samples": 1}', None, 400, "worker"),
        ("POST /workers/-1", AUTHORIZED, b'{"attempt": 0, "samples": 1}', None, 400, "worker=-1"),
        ("POST /control", AUTHORIZED, b'{"halt": true}', None, 400, "halt"),
        ("POST /control", AUTHORIZED, b'{"learning_rate": NaN}', None, 400, "learning_rate=nan"),
        ("POST /events", AUTHORIZED, b'{"kind": "party"}', None, 400, "kind"),
        ("GET /nothing", AUTHORIZED, b"", None, 404, "GET /nothing"),
        ("GET /update", AUTHORIZED, b"", None, 404, "GET /update"),
        ("PUT /control", AUTHORIZED, b"", None, 405, "PUT /control"),
    ],
)
def test_bad_requests_get_4xx_with_the_reason(server, line, headers, body, length, status, reason):
    before = state_of(server)
    found, data = ask(server, request(line, body, headers, length))
    assert found == status and reason in json.loads(data)["reason"]
    assert state_of(server) == before


@pytest.mark.parametrize("line", ["POST /update", "PUT /parameters", "POST /control"])
def test_a_body_of_unknown_length_is_refused(server, line):
    chunked = f"{line} HTTP/1.1\r\n{AUTHORIZED}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    status, data = ask(server, chunked.encode())
    assert status == 411 and "Content-Length" in json.loads(data)["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parameters": (1.0, float("nan"), 1.0)}, "non-finite"),
        ({"parameters": (1.0, float("-inf"), 1.0)}, "non-finite"),
        ({"seq": 1}, "skips ahead"),
        ({"worker": 5}, "hasn't joined"),
        ({"attempt": 1}, "hasn't joined"),
        ({"samples": 0}, "samples"),
        ({"epoch": -1}, "0 or more"),
        ({"base_version": 1}, "version 1"),
    ],
)
def test_bad_pushes_get_400_and_change_nothing(server, change, reason):
    before = state_of(server)
    status, data = ask(server, request("POST /update", a_push(**change)))
    assert status == 400 and reason in json.loads(data)["reason"]
    assert state_of(server) == before


def test_a_refused_push_leaves_the_connection_usable(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        for data, expected in [
            (request("POST /update", a_push(5)), 400),
            (request("POST /update", b"short"), 400),
            (request("POST /update", a_push(), headers=""), 401),
            (request("POST /update", a_push()), 200),
        ]:
            made.sendall(data)
            assert answer(made)[0] == expected


def test_a_push_that_ends_early_changes_nothing_and_frees_its_buffer(server):
    before = state_of(server)
    data = request("POST /update", a_push())
    for end in (len(data) - 1, len(data) - 50, 60, 10):
        with socket.create_connection(("127.0.0.1", server.port), 10) as made:
            made.sendall(data[:end])
    assert ask(server, data)[0] == 200
    assert before[1] == 0 and server.state.weights.version == 1
    assert server.application.buffers.spare <= 3


@given(data=st.binary(max_size=300), good=st.booleans(), where=st.integers(0, 103))
@examples(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_garbage_never_breaks_the_server_nor_changes_its_weights(server, data, good, where):
    before = state_of(server)
    body = bytearray(a_push(seq=10**6))
    if good:
        body[where : where + len(data)] = data[: 104 - where]
    status, _ = ask(server, request("POST /update", bytes(body) if good else data))
    assert 400 <= status < 500
    assert state_of(server) == before


@given(data=st.binary(min_size=1, max_size=200))
@examples(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_garbage_instead_of_http_never_breaks_the_server(server, data):
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        made.sendall(data)
    assert ask(server, request("GET /health"))[0] == 200
    assert server.state.weights.version == 0


def test_parameters_have_an_etag_and_304_answers_a_known_one(server):
    status, body = ask(server, request("GET /parameters"))
    assert status == 200 and len(body) == 48 + 24
    for known, expected in [('"0"', 304), ('"1"', 200), ("nonsense", 200)]:
        headers = f"{AUTHORIZED}if-none-match: {known}\r\n"
        assert ask(server, request("GET /parameters", headers=headers))[0] == expected


def test_metrics_are_prometheus_text(server):
    ask(server, request("POST /update", a_push()))
    status, body = ask(server, request("GET /metrics"))
    lines = body.decode().splitlines()
    assert status == 200
    assert "elephas_torch_versions_total 1" in lines
    assert 'elephas_torch_requests_total{outcome="pushes"} 1' in lines
    assert 'elephas_torch_staleness_versions_bucket{le="0"} 1' in lines
    assert 'elephas_torch_worker_alive{worker="0"} 1' in lines
    assert all(line.startswith(("# HELP ", "# TYPE ", "elephas_torch_")) for line in lines)


def test_the_page_of_routes_names_them_all(server):
    status, body = ask(server, request("GET /openapi.json"))
    assert status == 200 and set(json.loads(body)["paths"]) == {
        "/health", "/status", "/metrics", "/workers/{worker}", "/workers/{worker}/beat",
        "/workers/{worker}/loading", "/workers/{worker}/memory", "/workers/{worker}/kept",
        "/events", "/control", "/checkpoint", "/story",
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_large_vectors_are_applied_in_threads(local_server, settings, together, mode):
    size = 400_000
    initial = Vectors(torch.zeros(size), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    server = local_server(State(settings(mode, initial, workers=3, staleness=None), initial))
    assert not server.application.inline

    def work(worker):
        update, into = initial.clone(), initial.clone()
        with server.client(timeout=20) as client:
            client.join(worker, 0, samples=1)
            for seq in range(8):
                update.parameters.fill_(1.0)
                header = Push(worker, 0, seq, 0, 1, 0, seq == 7)
                client.exchange(header, update, into)
        return into

    ends = together(*(lambda w=w: work(w) for w in range(3)))
    if mode == "synchronous":
        assert all(end.parameters.eq(-8.0).all() for end in ends)
    elif mode == "asynchronous":
        assert server.state.weights.vectors.parameters.eq(-24.0).all()
    assert server.state.counts["pushes"] == 24


def test_answers_are_not_torn_while_others_push(local_server, settings, together):
    """Every element has the same value in each version, so a mixed answer would show."""
    size = 200_000
    initial = Vectors(torch.zeros(size), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    server = local_server(State(settings("asynchronous", initial, workers=3), initial))

    def work(worker):
        update, into = initial.clone(), initial.clone()
        with server.client(timeout=20) as client:
            client.join(worker, 0, samples=1)
            for seq in range(40):
                update.parameters.fill_(1.0)
                client.exchange(Push(worker, 0, seq, 0, 1, 0, False), update, into)
                assert into.parameters.eq(into.parameters[0]).all()
                client.pull(into)
                assert into.parameters.eq(into.parameters[0]).all()

    together(*(lambda w=w: work(w) for w in range(3)))
    assert server.state.weights.version == 120


@pytest.mark.parametrize("line", ["POST /update", "PUT /parameters", "POST /control"])
def test_a_body_that_an_upgrade_hides_is_refused(server, line):
    """Its place had the body of an earlier push."""
    assert ask(server, request("POST /update", a_push()))[0] == 200
    before = state_of(server)
    data = request(line, a_push(1), AUTHORIZED + "connection: upgrade\r\nupgrade: h2c\r\n")
    status, body = ask(server, data)
    assert status == 400 and "send no Upgrade" in json.loads(body)["reason"]
    assert state_of(server) == before
