"""Compressed exchanges against a single loop of the same mathematics, whatever gets lost."""

import math
import socket
import struct
import threading
from contextlib import ExitStack

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, Refused, ServerError
from elephas_torch.flat import Flat, Vectors
from elephas_torch.parameter import Client, InMemoryClient, Push, packing, wire
from elephas_torch.parameter.process import listen
from elephas_torch.parameter.shards import ShardedServer, connect
from elephas_torch.parameter.state import State

CODECS = ["bf16", "int8", ("topk", 0.1)]
MODES = ["synchronous", "asynchronous", "hogwild"]
N = 1500
#: Where vectors lie in shared memory, nothing travels that could be compressed.
travelling = pytest.mark.parametrize("served", ["memory", "http"], indirect=True)


def vectors_of(n=N, state=2, counters=1):
    return Vectors(torch.zeros(n), torch.zeros(state), torch.zeros(counters, dtype=torch.int64))


def first_vectors():
    drawn = torch.randn(N, generator=torch.Generator().manual_seed(5))
    return vectors_of()._replace(parameters=drawn)


def gradient(worker, seq, weights):
    """Of a quadratic with a goal for each worker, and noise for each batch."""
    noise = torch.randn(N, generator=torch.Generator().manual_seed(1000 * worker + seq))
    return weights - torch.linspace(-3, 3, N) - worker + 0.3 * noise


def train(client, worker, lengths, attempt=0, whole=False):
    """A worker's whole life; returns all that it pulled."""
    joined = client.join(worker, attempt, samples=10)
    update, into = vectors_of(), vectors_of()
    version, seq, seen = client.pull(into), joined.seq, []
    for epoch, length in enumerate(lengths):
        for batch in range(length):
            seen.append(into.parameters.clone())
            update.parameters.copy_(gradient(worker, seq, into.parameters))
            update.state.fill_(float(worker)), update.counters.fill_(seq)
            last = batch == length - 1
            header = Push(worker, attempt, seq, version, worker + 1, epoch, last)
            reply = client.exchange(
                header, update, into, whole=whole and last and epoch == len(lengths) - 1
            )
            version, seq = reply.version, seq + 1
    client.leave(worker, attempt)
    return [*seen, into.parameters]


def rounded(spec, vector):
    """What a codec makes of a vector, by its definition."""
    if spec == "bf16":
        return vector.to(torch.bfloat16).float()
    if spec == "int8":
        blocks = vector.split(1024)
        scales = [block.abs().max() / 127 for block in blocks]
        return torch.cat([torch.round(b / s) * s for b, s in zip(blocks, scales, strict=True)])
    kept = torch.topk(vector.abs(), math.ceil(spec[1] * len(vector))).indices
    return torch.zeros_like(vector).index_copy_(0, kept, vector[kept])


def alone(spec, workers, rounds, rate=0.1):
    """The same in one loop: the server's weights, and what the workers saw.

    In float32's own order, as a rounding that falls to the other side moves a whole step of int8.
    """
    weights = first_vectors().parameters.clone()
    has = rounded(spec, weights) if spec == "bf16" else weights.clone()
    left, seen = [torch.zeros(N) for _ in range(workers)], [has.clone()]
    for seq in range(rounds):
        total = torch.zeros(N)
        for worker in range(workers):
            wanted = gradient(worker, seq, has) + left[worker]
            sent = rounded(spec, wanted)
            left[worker] = wanted - sent
            total.add_(sent, alpha=(worker + 1) / sum(range(workers + 1)))
        weights.add_(total, alpha=-rate)
        has = rounded(spec, weights) if spec == "bf16" else has + rounded(spec, weights - has)
        seen.append(has.clone())
    return weights, seen


@travelling
@pytest.mark.parametrize("spec", CODECS)
def test_synchronous_rounds_are_the_loop_of_error_feedback(served, settings, together, spec):
    first = first_vectors()
    client = served(
        settings("synchronous", first, optimizers.SGD(0.1), workers=3, compression=spec), first
    )
    saw = together(*(lambda w=w: train(client(), w, [12, 13]) for w in range(3)))
    weights, expected = alone(spec, 3, 25)
    for mine in saw:
        assert len(mine) == len(expected)
        for found, one, other in zip(mine, saw[0], expected, strict=True):
            assert found.equal(one)  # all workers go on with the same weights, bit by bit
            torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-6)
    end = vectors_of()
    client().pull(end)  # who isn't a worker gets the server's own weights
    torch.testing.assert_close(end.parameters, weights, rtol=1e-6, atol=1e-6)
    assert end.state.allclose(torch.full((2,), 8 / 6)) and end.counters.tolist() == [24]


@travelling
@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
@pytest.mark.parametrize("spec", CODECS)
def test_one_worker_is_the_loop_of_error_feedback(served, settings, mode, spec):
    first = first_vectors()
    client = served(settings(mode, first, optimizers.SGD(0.1), compression=spec), first)
    saw = train(client(), 0, [12, 13])
    for found, other in zip(saw, alone(spec, 1, 25)[1], strict=True):
        torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-6)


@travelling
@pytest.mark.parametrize("spec", CODECS)
def test_a_whole_push_and_its_answer_are_uncompressed(served, settings, spec):
    first = first_vectors()
    rule = optimizers.SGD(0.1)
    client = served(settings("asynchronous", first, rule, compression=spec), first)
    saw = train(client(), 0, [9], whole=True)
    weights, seen = alone(spec, 1, 8)
    weights.add_(gradient(0, 8, seen[-1]), alpha=-0.1)
    torch.testing.assert_close(saw[-1], weights, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("spec", "size"), [("bf16", 3000), ("int8", 1508), (("topk", 0.1), 1200)])
def test_answers_go_by_what_a_worker_has_not_by_what_it_computed_at(
    local_server, settings, mode, spec, size
):
    """As where a push goes on its way before the answer to the one before is there."""
    first = first_vectors()
    server = local_server(State(settings(mode, first, compression=spec), first))
    with server.client() as joined:
        joined.join(0, 0, samples=1)
        client = joined.twin()
        into, versions = vectors_of(), [0]
        versions.append(client.pull(into))
        sent = server.state.bytes["sent"]
        for seq in range(5):
            update = vectors_of()._replace(parameters=gradient(0, seq, into.parameters))
            reply = client.exchange(Push(0, 0, seq, versions[-2], 1, 0, False), update, into)
            versions.append(reply.version)
        assert server.state.bytes["sent"] - sent == 5 * (48 + 16 + size)
        weights = server.state.weights.vectors.parameters
        assert float((into.parameters - weights).norm() / weights.norm()) < 0.5
        client.close()


@travelling
@pytest.mark.parametrize("spec", CODECS)
def test_uneven_workers_have_the_same_weights_when_an_epoch_begins(
    served, settings, together, spec
):
    first = first_vectors()
    client = served(
        settings("synchronous", first, optimizers.SGD(0.1), workers=3, compression=spec), first
    )
    lengths = [[2, 4], [3, 1], [5, 2]]
    saw = together(*(lambda w=w: train(client(), w, lengths[w]) for w in range(3)))
    for start in zip(*([s[0], s[lengths[w][0]], s[-1]] for w, s in enumerate(saw)), strict=True):
        assert all(one.equal(start[0]) for one in start)


@travelling
@pytest.mark.parametrize(
    ("spec", "parameters"), [("bf16", 3000), ("int8", 1508), (("topk", 0.1), 1200)]
)
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_messages_have_exactly_the_bytes_of_the_page(served, settings, mode, spec, parameters):
    first, rest = first_vectors(), 4 * 2 + 8 * 1
    client = served(settings(mode, first, compression=spec), first)()
    train(client, 0, [5])
    found = client.status()["bytes"]
    pulled = 48 + rest + (parameters if spec == "bf16" else 4 * N)
    assert found == {
        "received": 5 * (88 + rest + parameters), "sent": 5 * (48 + rest + parameters) + pulled
    }  # fmt: skip


class Losing:
    """Hands requests on to a server, and loses the answers to some updates: by their number."""

    def __init__(self, port, lost):
        self.port, self.lost, self.updates = port, lost, 0
        self.listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            with taken, socket.create_connection(("127.0.0.1", self.port)) as server:
                while (request := whole_message(taken)) is not None:
                    server.sendall(request)
                    answer = whole_message(server)
                    self.updates += request.startswith(b"POST /update")
                    if request.startswith(b"POST /update") and self.updates in self.lost:
                        break
                    taken.sendall(answer)


def whole_message(made):
    data = b""
    while b"\r\n\r\n" not in data:
        got = made.recv(65536)
        if not got:
            return None
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    fields = [x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
    while fields and len(body) < int(fields[0][15:]):
        body += made.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", CODECS)
def test_lost_answers_change_nothing(local_server, settings, mode, spec):
    ends = []
    for lost in [(), (1, 4, 6, 11)]:
        first = first_vectors()
        chosen = settings(mode, first, optimizers.SGD(0.1), compression=spec)
        server = local_server(State(chosen, first))
        proxy = Losing(server.port, lost)
        with Client(proxy.url, server.token, timeout=20) as client:
            ends.append([*train(client, 0, [6, 4]), *server.state.weights.vectors])
            assert proxy.updates == 10 + len(lost)
        proxy.listener.close()
        assert server.state.counts["duplicates"] == len(lost)
    assert all(one.equal(other) for one, other in zip(*ends, strict=True))


@travelling
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", CODECS)
def test_a_newer_attempt_begins_with_all_weights(served, settings, mode, spec):
    first = first_vectors()
    client = served(settings(mode, first, optimizers.SGD(0.1), compression=spec), first)
    old, new, update, into = client(), client(), vectors_of(), vectors_of()
    old.join(0, 0, samples=1)
    version = old.pull(into)
    for seq in range(3):
        update.parameters.copy_(gradient(0, seq, into.parameters))
        version = old.exchange(Push(0, 0, seq, version, 1, 0, False), update, into).version
    has, end = into.parameters.clone(), vectors_of()
    client().pull(end)
    assert new.join(0, 1, samples=1).seq == 3
    version = new.pull(into)
    expected = end.parameters.clone() if mode != "synchronous" else has
    expected = rounded(spec, end.parameters) if spec == "bf16" else expected
    assert version == 3 and into.parameters.equal(expected)
    with pytest.raises(Fenced):
        old.exchange(Push(0, 0, 3, 3, 1, 0, False), update, vectors_of())
    update.parameters.copy_(gradient(0, 3, into.parameters))
    new.exchange(Push(0, 1, 3, version, 1, 0, False), update, into)
    client().pull(end)
    wanted = expected + rounded(spec, end.parameters - expected)
    wanted = rounded(spec, end.parameters) if spec == "bf16" else wanted
    torch.testing.assert_close(into.parameters, wanted, rtol=1e-6, atol=1e-6)


@travelling
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", CODECS)
def test_a_stopped_server_goes_on_telling_the_same(served, settings, mode, spec):
    first = first_vectors()
    client = served(settings(mode, first, optimizers.SGD(0.1), compression=spec), first)()
    client.join(0, 0, samples=1)
    update, into = vectors_of(), vectors_of()
    client.pull(into)
    update.parameters.copy_(gradient(0, 0, into.parameters))
    client.exchange(Push(0, 0, 0, 0, 1, 0, False), update, into)
    has = into.parameters.clone()
    client.control(stop=True)
    for _ in range(2):
        reply = client.exchange(Push(0, 0, 1, 1, 1, 0, False), update, into)
        assert reply == (1, True, None) and into.parameters.equal(has)


@travelling
@pytest.mark.parametrize("spec", [None, *CODECS])
def test_numbers_that_are_none_are_refused_and_leave_nothing_behind(served, settings, spec):
    first = first_vectors()
    client = served(settings("asynchronous", first, compression=spec), first)()
    client.join(0, 0, samples=1)
    update, into = vectors_of(), vectors_of()
    client.pull(into)
    update.parameters[7] = math.nan
    with pytest.raises(Refused, match=r"non-finite: 1 of 1500.*learning rate"):
        client.exchange(Push(0, 0, 0, 0, 1, 0, False), update, into)
    update.parameters[7] = 1.0
    assert client.exchange(Push(0, 0, 0, 0, 1, 0, False), update, into).version == 1
    assert torch.isfinite(into.parameters).all()


@travelling
@pytest.mark.parametrize("mode", MODES)
def test_a_push_before_any_pull_is_answered_with_all_weights(served, settings, mode):
    first = first_vectors()
    client = served(settings(mode, first, compression="int8"), first)()
    client.join(0, 0, samples=1)
    into, end = vectors_of(), vectors_of()
    client.exchange(Push(0, 0, 0, 0, 1, 0, False), first, into)
    client.control(stop=True)
    assert (
        float(
            (into.parameters - (first.parameters - rounded("int8", first.parameters))).abs().max()
        )
        < 1e-6
    )
    client.leave(0, 0)
    client.pull(end)
    assert end.parameters.equal(into.parameters)


@travelling
def test_a_client_that_did_not_join_is_answered_plainly(served, settings):
    first = first_vectors()
    client = served(settings("asynchronous", first, compression="topk"), first)
    client().join(0, 0, samples=1)
    plain, into = client(), vectors_of()
    assert plain.pull(into) == 0 and into.parameters.equal(first.parameters)
    update = vectors_of()._replace(parameters=torch.ones(N))
    plain.exchange(Push(0, 0, 0, 0, 1, 0, False), update, into)
    assert into.parameters.equal(first.parameters - 1)
    assert plain.status()["bytes"]["received"] == 80 + 16 + 4 * N


@travelling
def test_workers_that_left_take_no_memory(served, settings):
    first = first_vectors()
    state = State(settings("asynchronous", first, workers=2, compression="int8"), first)
    for worker, attempt in [(0, 0), (1, 0), (1, 1)]:
        train(InMemoryClient(state), worker, [2], attempt)
    assert state.answers is not None and state.answers._mirrors == {}


def raw_push(form, body):
    header = Push(0, 0, 0, 0, 1, 0, False)
    has = bytes(8) if form & wire.BY_CODEC else b""
    return wire.pack_push(header, (N, 2, 1), form) + has + body


def ask(server, body):
    head = f"POST /update HTTP/1.1\r\nauthorization: Bearer {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        made.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        found = whole_message(made)
        return int(found[9:12]), found.partition(b"\r\n\r\n")[2].decode(errors="replace")


REST = struct.pack("<q2f", 1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("spec", "form", "body", "status", "reason"),
    [
        (None, wire.BY_CODEC, bytes(4 * N - 8), 400, "without compression"),
        (None, wire.BY_ROWS, bytes(4 * N), 400, "knows of none"),
        (None, 0, bytes(4 * N - 4), 400, "has 6096 bytes"),
        (None, 0, bytes(4 * N + 4), 413, "has 6096 bytes"),
        ("int8", wire.BY_CODEC, b"\xff" * 1508, 400, "Scales"),
        ("int8", wire.BY_CODEC, bytes(1507), 400, "has 6096 or 1612 bytes"),
        ("int8", wire.BY_CODEC, bytes(4 * N - 8), 400, "of this form has 1612"),
        ("int8", 0, bytes(1516), 400, "of this form has 6096"),
        ("int8", wire.BY_ROWS, bytes(1516), 400, "aren't compressed"),
        ("bf16", wire.BY_CODEC, b"\x80\x7f" * N, 400, "non-finite: 1500"),
        (("topk", 0.1), wire.BY_CODEC, bytes(1200), 400, "above the one before"),
        (("topk", 0.1), wire.BY_CODEC, b"\x7f" * 1200, 400, "0 to 1499"),
        (("topk", 0.1), wire.BY_CODEC | 8, bytes(1200), 400, "flags"),
    ],
)
def test_hostile_pushes_are_refused_with_the_reason(
    local_server, settings, spec, form, body, status, reason
):
    first = first_vectors()
    server = local_server(State(settings("asynchronous", first, compression=spec), first))
    server.state.join(0, 0, 1, {})
    found = ask(server, raw_push(form, REST + body))
    assert found[0] == status and reason in found[1]
    assert server.state.weights.version == 0
    assert server.state.weights.vectors.parameters.equal(first.parameters)


@pytest.mark.parametrize("query", ["worker=0", "worker=0&attempt=-1", "worker=x&attempt=0", "a"])
def test_pulls_name_a_worker_or_nobody(local_server, settings, query):
    first = first_vectors()
    server = local_server(State(settings("asynchronous", first, compression="int8"), first))
    with server.client() as client:
        head = client._connection.request(f"GET /parameters?{query}")
        assert head.status == 400 and b"worker=" in client._connection.read(head.length)
        head = client._connection.request("GET /parameters?worker=3&attempt=0")
        assert head.status == 400 and b"hasn't joined" in client._connection.read(head.length)


def test_an_answer_of_another_length_is_an_error_and_the_connection_ends():
    told = {"sizes": (N, 0, 0), "compression": "int8", "embeddings": []}
    with listen("127.0.0.1", 0) as listener:

        def once():
            taken, _ = listener.accept()
            with taken:
                taken.recv(10_000)
                reply = wire.pack_reply(wire.Reply(1, False), (N, 0, 0), wire.BY_CODEC)
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(reply) + 9}\r\n\r\n"
                taken.sendall(head.encode() + reply + bytes(9))

        threading.Thread(target=once, daemon=True).start()
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "token") as client:
            client._packer = packing.packer(told)
            with pytest.raises(ServerError, match=r"has 1556 bytes\. Received: 57"):
                client.pull(vectors_of(N, 0, 0))


# Convergence: each against itself without compression.


def labelled(rows=2000):
    """Rows of two kinds on either side of a plane, as the other tests have them."""
    made = torch.Generator().manual_seed(0)
    plane = torch.randn(20, 4, generator=made)
    x = torch.randn(rows, 20, generator=made)
    return x, (x @ plane).argmax(1)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(20, 48), torch.nn.ReLU(), torch.nn.Linear(48, 4))


class Pupil:
    """A worker that makes one step at a time, so that several take turns in one thread."""

    def __init__(self, state, number, workers):
        self.client, self.number, self.seq = InMemoryClient(state), number, 0
        self.model = network()
        self.flat = Flat(self.model)
        self.client.join(number, 0, samples=1)
        self.version = self.client.pull(self.flat.vectors)
        x, y = labelled()
        self.x, self.y = x[number:1600:workers], y[number:1600:workers]

    def step(self, last):
        start = self.seq * 20 % len(self.x)
        x, y = self.x[start : start + 20], self.y[start : start + 20]
        self.flat.zero_gradients()
        torch.nn.functional.cross_entropy(self.model(x), y).backward()
        update = Vectors(self.flat.gradients, self.flat.state, self.flat.counters)
        header = Push(self.number, 0, self.seq, self.version, 20, 0, last)
        self.version = self.client.exchange(header, update, self.flat.vectors).version
        self.seq += 1


def accuracy(settings, together, mode, spec, workers=2, steps=200):
    model = network()
    first = Flat(model).vectors
    rule = optimizers.SGD(0.2)
    state = State(settings(mode, first, rule, workers=workers, compression=spec), first)
    pupils = [Pupil(state, number, workers) for number in range(workers)]
    if mode == "synchronous":
        together(*(lambda p=p: [p.step(i == steps - 1) for i in range(steps)] for p in pupils))
    else:
        for turn in range(steps):
            for pupil in pupils:
                pupil.step(turn == steps - 1)
    InMemoryClient(state).pull(first)
    x, y = labelled()
    return float((model(x[1600:]).argmax(1) == y[1600:]).float().mean())


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_each_codec_learns_as_well_as_none(settings, together, mode):
    plain = accuracy(settings, together, mode, None)
    found = {spec: accuracy(settings, together, mode, spec) for spec in ("bf16", "int8", "topk")}
    print(mode, plain, found)
    assert plain > 0.9
    assert all(one > plain - 0.02 for one in found.values()), (plain, found)


@pytest.mark.parametrize("spec", [None, "int8"])
def test_pieces_of_several_servers_are_compressed_each_by_itself(settings, spec):
    first = first_vectors()
    spans, given = [(10, 100, 10)], vectors_of(state=0, counters=0)
    first = first._replace(state=given.state, counters=given.counters)
    expected, seen = first.parameters.clone(), first.clone()
    chosen = settings("synchronous", first, optimizers.SGD(0.1), compression=spec, embeddings=spans)
    with ExitStack() as stack:
        server = ShardedServer(chosen, first, 2)
        stack.callback(server.stop)
        server.start()
        client = stack.enter_context(connect(server.addresses, 30))
        version = client.join(0, 0, samples=1).version
        client.pull(seen)
        for seq in range(4):
            given.parameters.copy_(gradient(0, seq, seen.parameters))
            given.parameters[10:1010].view(100, 10)[seq + 1 :] = 0
            expected.add_(given.parameters, alpha=-0.1)
            version = client.exchange(Push(0, 0, seq, version, 1, 0, False), given, seen).version
        received = [one.status()["bytes"]["received"] for one in client.clients]
        end = first.clone()
        stack.enter_context(server.client()).pull(end)
    near = 1e-6 if spec is None else 0.02
    assert float((end.parameters - expected).abs().max()) < near
    assert max(received) < 4 * (88 + 3000 if spec is None else 88 + 760)
