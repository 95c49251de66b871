"""A vector that several servers hold, a piece each."""

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Refused, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push
from elephas_torch.parameter.shards import (
    ShardedClient,
    ShardedServer,
    check,
    connect,
    pieces,
)
from elephas_torch.parameter.state import State


@pytest.mark.parametrize(("length", "number"), [(10, 1), (10, 3), (2, 4), (0, 2), (7, 7)])
def test_pieces_cover_a_vector_once(length, number):
    cuts = pieces(length, number)
    sizes = [cut.stop - cut.start for cut in cuts]
    assert len(cuts) == number and max(sizes) - min(sizes) <= 1
    assert torch.cat([torch.arange(length)[cut] for cut in cuts]).tolist() == list(range(length))


@pytest.fixture
def sharded(local_server, settings):
    """sharded(mode, initial, number, ...) -> the states of the servers, and what makes clients"""

    def start(mode, initial, number, optimizer=None, **more):
        states = []
        for one, cut in enumerate(pieces(len(initial.parameters), number)):
            rest = slice(None) if one == 0 else slice(0)
            part = Vectors(initial.parameters[cut], initial.state[rest], initial.counters[rest])
            states.append(State(settings(mode, part, optimizer, **more), part))
        servers = [local_server(state) for state in states]
        return states, lambda: ShardedClient([server.client(timeout=20) for server in servers])

    return start


RULES = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, clipvalue=0.5),
    "adam": lambda: optimizers.Adam(0.01),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("mode", ["asynchronous", "hogwild", "synchronous"])
def test_the_same_bits_as_one_server(sharded, local_server, settings, together, mode, rule):
    torch.manual_seed(0)
    initial = Vectors(torch.randn(11), torch.rand(3), torch.arange(2))
    _, clients = sharded(mode, initial, 3, RULES[rule](), workers=2)
    server = local_server(State(settings(mode, initial, RULES[rule](), workers=2), initial))
    updates = [[torch.randn(11) for _ in range(4)] for _ in range(2)]

    def train(client, worker):
        into = Vectors(*(torch.zeros_like(one) for one in initial))
        assert client.join(worker, 0, samples=4)[:3] == (0, 0, 0)
        version, seen = client.pull(into), []
        for seq in range(4):
            push = Push(worker, 0, seq, version, 4 + worker, 0, seq == 3)
            update = Vectors(updates[worker][seq], torch.rand(3) * 0 + worker, torch.arange(2) + 1)
            version = client.exchange(push, update, into).version
            seen.append(into.clone())
        client.leave(worker, 0)
        return seen

    def run(client):
        if mode == "synchronous":
            return together(*(lambda w=w: train(client(), w) for w in (0, 1)))
        client().join(1, 0, samples=4)
        return [train(client(), 0), train(client(), 1)]

    for one, other in zip(run(clients), run(server.client), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert all(a.equal(b) for a, b in zip(mine, theirs, strict=True))


def test_a_worker_lost_between_two_servers_counts_once_in_each(sharded, vectors):
    states, clients = sharded("asynchronous", vectors([0.0] * 4), 2)
    client, into, one = clients(), vectors([0.0] * 4), vectors([1.0] * 4)
    client.join(0, 0, samples=4)
    client.exchange(Push(0, 0, 0, client.pull(into), 4, 0, False), one, into)
    half = vectors([1.0] * 2)
    client.clients[1].exchange(Push(0, 0, 1, 1, 4, 0, True), half, half.clone())  # and is lost
    newer = clients()
    assert newer.join(0, 1, samples=4)[:3] == (1, 0, 1)
    version = newer.pull(into)
    newer.exchange(Push(0, 1, 1, version, 4, 0, True), one, into)
    assert into.parameters.tolist() == [-2.0] * 4
    assert [state.weights.version for state in states] == [2, 2]
    assert newer.join(0, 2, samples=4)[:3] == (2, 1, 0)


def test_nothing_is_applied_where_one_piece_is_bad(sharded, vectors):
    states, clients = sharded("asynchronous", vectors([0.0] * 4), 2)
    client, into = clients(), vectors([0.0] * 4)
    client.join(0, 0, samples=4)
    client.pull(into)
    bad = vectors([1.0, 1.0, 1.0, float("nan")])
    with pytest.raises(Refused, match="non-finite"):
        client.exchange(Push(0, 0, 0, 0, 4, 0, False), bad, into)
    assert [state.weights.version for state in states] == [0, 0]


def test_the_first_server_knows_all_that_isn_t_numbers(sharded, vectors, together):
    states, clients = sharded("synchronous", vectors([0.0] * 4), 2, server_rate=True)
    client = clients()
    assert client.health()["state"] == "ready" and client.share(0, 0, (4, 0, 0)) is None
    client.join(0, 0, samples=4)
    client.beat(0, 0, {"batch": 3})
    client.report(0, 0, 0, {"loss": 1.0})
    client.control(learning_rate=0.25)
    assert client.status()["shards"] == 2
    assert [one["kind"] for one in client.events()] == ["join", "report"]
    assert [state.weights.optimizer.learning_rate for state in states] == [0.25, 0.25]
    client.fail(0, 0, {"message": "lost"})
    assert [state.ledger.workers[0].state for state in states] == ["failed", "failed"]
    client.control(stop=True)
    assert all(state.reply().stop for state in states)
    client.close()


def test_rules_that_need_the_weights_whole_are_refused(settings, vectors):
    initial = vectors([0.0] * 4)
    for rule, why in [
        (optimizers.SGD(0.1, clipnorm=1.0), "clipnorm needs"),
        (optimizers.Adam(0.1, global_clipnorm=1.0), "global_clipnorm needs"),
        (optimizers.Lamb(0.1), "Lamb needs"),
    ]:
        with pytest.raises(ValueError, match=f"{why} them whole.*num_shards=1"):
            check(settings("asynchronous", initial, rule), 2)
    check(settings("asynchronous", initial, optimizers.Adam(0.1, clipvalue=1.0)), 2)


def test_processes_and_their_ends(settings, vectors):
    initial = vectors([1.0, 2.0, 3.0], [4.0], [5])
    server = ShardedServer(settings("asynchronous", initial), initial, 2).start()
    try:
        with connect(server.addresses, 60) as client:
            client.join(0, 0, samples=1)
            into = vectors([0.0] * 3, [0.0], [0])
            client.pull(into)
            assert all(a.equal(b) for a, b in zip(into, initial, strict=True))
            server.check()
            server.servers[1].stop()
            with pytest.raises(ServerError):
                client.pull(into)
            with pytest.raises(ServerError, match="ended with exit code"):
                server.check(grace=2)
    finally:
        server.stop()


def test_a_worker_that_overlaps_may_be_further_behind_than_a_server_has_versions(sharded, vectors):
    """The others' updates reach servers one after the other."""
    states, clients = sharded("asynchronous", vectors([0.0] * 4), 2, workers=2)
    client, other, into = clients(), clients(), vectors([0.0] * 4)
    client.join(0, 0, samples=4)
    other.join(1, 0, samples=4)
    first = client.pull(into)
    for seq in range(3):
        half = vectors([0.0] * 2)
        other.clients[0].exchange(Push(1, 0, seq, 0, 4, 0, False), half, half.clone())
    client.exchange(Push(0, 0, 0, first, 4, 0, False), vectors([1.0] * 4), into)
    reply = client.exchange(Push(0, 0, 1, first + 1, 4, 0, False), vectors([1.0] * 4), into)
    assert reply.version == 5 and [state.weights.version for state in states] == [5, 2]
    assert into.parameters.tolist() == [-0.5, -0.5, -1.5, -1.5]
    assert [dict(state.updates.staleness) for state in states] == [
        {0: 1, 1: 1, 2: 1, 3: 2},
        {0: 1, 1: 1},
    ]
