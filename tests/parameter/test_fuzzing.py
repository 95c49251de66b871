"""Inputs that nobody thought of: no crash, no 5xx, no weight touched, and the server goes on.

Few of them in the quick run. The long one, whose numbers are in docs/security.md, is part of
`make test-long`, and alone:

    pytest tests/parameter/test_fuzzing.py -m slow -s
"""

import contextlib
import json
import logging
import random
import re
import socket
import struct
from urllib.parse import quote

import pytest
import torch

from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, Settings, local, packing, wire
from elephas_torch.parameter.state import State

TOKEN = "a token of these tests"
SIZES = (40, 3, 2)
SPANS = [(0, 4, 5)]
#: How many inputs of each kind: in the quick run, and in the long one.
FEW = {"messages": 1500, "http": 400, "routes": 900}
MANY = {"messages": 80_000, "http": 25_000, "routes": 20_000}
ODD_NUMBERS = (0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**400, 1.5, -0.0, float("nan"),
               float("inf"), -float("inf"), 1e308)  # fmt: skip
ODD_TEXTS = ("", "0", "null", "\x00", "\ud800", "é" * 50, "x" * 5000, "../..", "%00", "-1", "nan")


def amounts():
    return pytest.mark.parametrize(
        "many", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
    )


def counted(what, number, outcomes=None):
    print(f"\n{number} inputs of {what}" + (f": {outcomes}" if outcomes else ""))


def mangled(draw, data):
    """Bytes cut, flipped, doubled, swapped, stuffed, or set to what is odd for a number."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.randrange(len(found) + 1)
        kind = draw.randrange(8)
        if kind == 0:
            del found[at:]
        elif kind == 1 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 2 and at < len(found):
            found[at] = draw.choice((0, 1, 10, 13, 32, 58, 127, 128, 255))
        elif kind == 3:
            found[at:at] = found[: draw.randrange(len(found) + 1)][:100]
        elif kind == 4:
            del found[at : at + draw.choice((1, 2, 8, 50))]
        elif kind == 5:
            found[at:at] = draw.randbytes(draw.choice((1, 4, 8, 100)))
        elif kind == 6:
            found[at : at + 8] = struct.pack("<q", draw.choice((-1, 1, 2**63 - 1, -(2**63))))
        else:
            found[at : at + 4] = struct.pack("<f", draw.choice((float("nan"), 3e38, -0.0)))
    return bytes(found)


def vectors_of(value=1.0):
    return Vectors(
        torch.full((SIZES[0],), value), torch.ones(SIZES[1]), torch.ones(2, dtype=torch.int64)
    )


def messages(spec):
    """Pushes of a run in each of their forms, and an answer."""
    push = Push(0, 0, 0, 0, 1, 0, False)
    found = [wire.pack_push(push, SIZES) + b"".join(wire.buffers(vectors_of()))]
    packer = packing.Packer(SIZES, spec, SPANS)
    update = vectors_of()
    update.parameters[:15] = 0  # of the embedding's rows only one is sent
    found.append(b"".join(packer.pieces(push, update)))
    return found


def lengths_as_they_should_be(draw, data, layout):
    """The same with a length that is read at all, in most cases."""
    if draw.random() < 0.8:
        length = draw.choice((layout.plain, layout.whole, len(data)))
        data = data[:length].ljust(length, b"\x00")
    return data


@amounts()
@pytest.mark.parametrize("spec", [None, "bf16", "int8", ("topk", 0.2)], ids=str)
def test_messages_are_refused_or_give_valid_updates(many, spec, settings):
    draw, layout = random.Random(f"messages {spec}"), packing.Layout(SIZES, spec, SPANS)
    good, taken, number = messages(spec), 0, many["messages"] // 4
    for _ in range(number):
        data = lengths_as_they_should_be(draw, mangled(draw, draw.choice(good)), layout)
        buffer = memoryview(bytearray(data))
        try:
            layout.check_length(len(data))
            if layout.is_head(len(data)):
                wire.unpack_push(buffer, SIZES)
                continue
            body = wire.allocate(SIZES, wire.PUSH_BYTES)
            if len(data) == layout.plain:
                body.buffer[:] = buffer
            push, _ = layout.unpack(buffer, body.vectors)
        except Refused:
            continue
        taken += 1
        assert body.vectors.sizes == SIZES
        assert min(push.worker, push.attempt, push.seq, push.base_version, push.epoch) >= 0
        assert push.samples >= 1
    assert 0 < taken < number
    counted(f"messages ({spec})", number, {"taken": taken, "refused": number - taken})


@amounts()
def test_answers_are_refused_or_read(many):
    draw, number = random.Random("answers"), many["messages"] // 4
    good = wire.pack_reply(wire.Reply(3, True, 0.1), SIZES)
    taken = 0
    for _ in range(number):
        with contextlib.suppress(Refused):
            taken += isinstance(wire.unpack_reply(mangled(draw, good), SIZES), wire.Reply)
    assert 0 < taken < number
    counted("answers", number, {"taken": taken, "refused": number - taken})


@pytest.fixture
def serve(local_server, caplog):
    """serve(spec) -> a server, that stops nobody and whose weights nobody may change"""

    def start(spec=None, mode="asynchronous"):
        rule = {"module": "elephas_torch.optimizers", "class_name": "SGD", "config": {}}
        given = Settings(mode, SIZES, rule, compression=spec, round_timeout=0.2)
        server = local_server(State(given, vectors_of()))
        logging.getLogger("uvicorn").addHandler(caplog.handler)
        return server

    yield start
    logging.getLogger("uvicorn").removeHandler(caplog.handler)
    assert not [one for one in caplog.get_records("call") if one.levelno >= logging.ERROR]


def weights(server):
    return bytes(server.state.pull().body), server.state.weights.version


def sent(server, data):
    """The statuses of all answers; to what isn't whole there is none."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            made.sendall(data)
            made.settimeout(0.02)
            while got := made.recv(65536):
                found += got
                made.settimeout(0.003)
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d\d\d) ", found)]


def requests(server):
    """Whole requests of each kind; the push is one that skips some, so that it never counts."""
    worker = 123_456
    server.state.join(worker, 3, 10, {})
    push = wire.pack_push(Push(worker, 3, int.from_bytes(b"skips", "big"), 0, 1, 0, False), SIZES)
    push += b"".join(wire.buffers(vectors_of()))
    common = f"host: x\r\nauthorization: Bearer {TOKEN}\r\n".encode()
    bodies = {
        b"POST /update": push,
        b"PUT /parameters": wire.pack_push(Push(99, 0, 0, 0, 1, 0, False), SIZES) + push[80:],
        b"POST /workers/123456/beat": b'{"attempt": 3, "progress": {"epoch": 1}}',
        b"POST /events": b'{"kind": "failure", "worker": 9, "attempt": 0, "data": {}}',
        b"POST /control": b'{"release_epoch": 0}',
        b"GET /parameters": b"",
        b"GET /status": b"",
        b"GET /health": b"",
        b"GET /": b"",
        b"GET /watch": b"",
        b"POST /stop": b'{"now": 0}',
    }
    return [
        line + b" HTTP/1.1\r\n" + common + b"content-length: %d\r\n\r\n" % len(body) + body
        for line, body in bodies.items()
    ]


def lying(draw, data):
    """Headers that aren't true, or aren't good, or come twice."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    more = [
        b"content-length: %d" % draw.choice((0, 1, 79, 80, 105, 10**9, 10**18, 10**30)),
        b"content-length: -1", b"content-length: 1e3", b"content-length: 0x50",
        b"content-length:", b"transfer-encoding: chunked", b"transfer-encoding: identity, chunked",
        b"expect: 100-continue", b"connection: upgrade\r\nupgrade: h2c", b"connection: close",
        b"authorization: Bearer wrong", b"authorization:", b"x" * 5000 + b": 1", b": 1", b" x: 1",
        b"x: \x00", b"x: " + bytes(range(128, 256)), b'if-none-match: "0"', b"host: y",
    ]  # fmt: skip
    for _ in range(draw.choice((1, 1, 2, 4))):
        where = draw.randrange(1, len(lines) + 1)
        if draw.random() < 0.3 and where < len(lines):
            del lines[where]
        else:
            lines.insert(where, draw.choice(more))
    if draw.random() < 0.1:
        lines[0] = draw.choice((
            b"GET / HTTP/1.1", b"GET /update", b"get /status HTTP/1.1", b"POST * HTTP/1.1",
            b"CONNECT x:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://[::1 HTTP/1.1",
            b"GET /status HTTP/9.9", b"PRI * HTTP/2.0", b"GET /%ff%00 HTTP/1.1",
            b"HEAD /status HTTP/1.1",
            b"GET /parameters?worker=0&attempt=9999999999999999999 HTTP/1.1",
            b"GET /parameters?worker=-1 HTTP/1.1", b"POST /update HTTP/1.0",
        ))  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def alive(server):
    with server.client(timeout=10) as client:
        assert client.health()["state"] == "ready" and client.status()["expected"] == 1


@amounts()
@pytest.mark.parametrize("mode", ["asynchronous", "synchronous"])
def test_http_is_refused_or_answered(many, mode, serve):
    server, draw, number = serve(mode=mode), random.Random(f"http {mode}"), many["http"] // 2
    good, before, outcomes = requests(server), weights(server), {}
    for one in range(number):
        data = draw.choice(good)
        change = draw.randrange(3)
        if change == 0:
            data = mangled(draw, data)
        elif change == 1:
            data = lying(draw, data)
        else:
            head, _, body = data.partition(b"\r\n\r\n")
            changed = mangled(draw, body)[: len(body)].ljust(len(body), b"\x00")
            data = head + b"\r\n\r\n" + changed
        if draw.random() < 0.2:
            data += draw.choice(good)
        for status in sent(server, data):
            assert status < 500, data
            outcomes[status] = outcomes.get(status, 0) + 1
        if one % 500 == 0:
            alive(server)
    assert weights(server) == before
    alive(server)
    counted(f"HTTP ({mode})", number, dict(sorted(outcomes.items())))


def value(draw, schema, depth=0):
    """What a JSON schema describes, or something odd in its place."""
    if draw.random() < 0.15 or depth > 4:
        odd = [*ODD_NUMBERS, *ODD_TEXTS, None, True, [], {}, [[[]]], {"a": {"b": [1]}}]
        return draw.choice(odd)
    if "anyOf" in schema:
        return value(draw, draw.choice(schema["anyOf"]), depth + 1)
    kind = schema.get("type")
    if kind == "object":
        found = {
            name: value(draw, one, depth + 1)
            for name, one in schema.get("properties", {}).items()
            if draw.random() < 0.9
        }
        if schema.get("additionalProperties") or draw.random() < 0.05:
            found[draw.choice(ODD_TEXTS)] = draw.choice(ODD_NUMBERS)
        return found
    if kind in ("integer", "number"):
        return draw.choice((0, 0, 1, 3, *ODD_NUMBERS))
    if kind == "boolean":
        return draw.choice((True, False))
    if kind == "null":
        return None
    if kind == "string":
        return draw.choice(("report", "failure", local.here(), *ODD_TEXTS))
    return draw.choice(ODD_TEXTS)


def resolved(schema, whole):
    """A schema with its parts in place of their names."""
    if isinstance(schema, list):
        return [resolved(one, whole) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return resolved(whole["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], whole)
    return {key: resolved(one, whole) for key, one in schema.items()}


def routes(server):
    """(method, path, parameters, schema of the body) of all that the description has."""
    with server.client() as client:
        head = client._connection.request("GET /openapi.json")
        whole = json.loads(client._connection.read(head.length))
    found = []
    for path, methods in whole["paths"].items():
        for method, about in methods.items():
            body = about.get("requestBody", {}).get("content", {}).get("application/json", {})
            schema = resolved(body.get("schema"), whole)
            found.append((method.upper(), path, about.get("parameters", []), schema))
    return found


def asked(draw, route):
    """A request by the description, more or less."""
    method, path, parameters, schema = route
    query = []
    for one in parameters:
        given = str(value(draw, one["schema"]))
        if one["in"] == "path" and draw.random() < 0.5:
            given = "0"  # the worker that is there
        text = quote(given.encode("utf-8", "surrogatepass"), safe="")[:3000]
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", text)
        elif draw.random() < 0.9:
            query.append(f"{one['name']}={text}")
    if query:
        path += "?" + "&".join(query)
    body = b""
    if schema is not None:
        found = value(draw, schema)
        if isinstance(found, dict) and "kind" in found and draw.random() < 0.6:
            found["epoch"] = 0
        if isinstance(found, dict):
            # Those are for the driver alone to do; they change what is compared.
            found = {k: v for k, v in found.items() if k not in ("stop", "finalize")}
        body = json.dumps(found).encode()
    if draw.random() < 0.1:
        body = mangled(draw, body)
    if method == "GET" and path.startswith("/events"):
        path = re.sub(r"timeout=[^&]*", "timeout=" + draw.choice(("0", "nan", "-1", "x")), path)
    return (
        f"{method} {path} HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


@amounts()
@pytest.mark.parametrize("mode", ["asynchronous", "synchronous", "hogwild"])
def test_the_described_routes_answer_whatever_they_are_asked(many, mode, serve):
    server, draw, number = serve(mode=mode), random.Random(f"routes {mode}"), many["routes"] // 3
    server.state.join(0, 0, 10, {})
    known, before, outcomes = routes(server), weights(server), {}
    assert {"POST", "GET", "DELETE"} <= {method for method, *_ in known}
    made, file = None, None
    for one in range(number):
        data = asked(draw, draw.choice(known))
        if made is None:
            made = socket.create_connection(("127.0.0.1", server.port), 10)
            file = made.makefile("rb")
        made.sendall(data)
        status, ended = answered(file)
        assert 200 <= status < 500, data
        outcomes[status] = outcomes.get(status, 0) + 1
        if ended:
            file.close()
            made.close()
            made = None
        if one % 100 == 0:
            with server.client(timeout=10) as client:
                assert client.status()["mode"] == mode and client.events(timeout=0) is not None
    if made is not None:
        file.close()
        made.close()
    assert weights(server) == before
    counted(f"routes ({mode})", number, dict(sorted(outcomes.items())))


def answered(file):
    """The status of one answer, and whether the connection ends with it."""
    lines = list(iter(file.readline, b"\r\n"))
    headers = dict(line.strip().lower().split(b": ", 1) for line in lines[1:])
    file.read(int(headers.get(b"content-length", 0)))
    return int(lines[0][9:12]), headers.get(b"connection") == b"close"


@pytest.mark.parametrize("depth", [10, 100, 400, 900, 990, 1100, 5000, 100_000])
def test_what_is_nested_deeply_breaks_no_later_answer(serve, depth):
    server = serve()
    server.state.join(0, 0, 10, {})
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    made = socket.create_connection(("127.0.0.1", server.port), 10)
    file = made.makefile("rb")
    for line, body in (
        (b"POST /workers/1", b'{"attempt": 0, "samples": 1, "info": %b}' % nested),
        (b"POST /workers/0/beat", b'{"attempt": 0, "progress": %b}' % nested),
        (
            b"POST /events",
            b'{"kind": "failure", "worker": 0, "attempt": 0, "data": {"a": %b}}' % nested,
        ),
    ):
        head = b" HTTP/1.1\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n"
        made.sendall(line + head % (TOKEN.encode(), len(body)) + body)
        assert answered(file)[0] in (200, 400, 413)
    file.close()
    made.close()
    alive(server)
    with server.client() as client:
        client.events(timeout=0)
