"""Workers on the server's machine, whose updates lie in memory that both have."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, Refused, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, shared
from elephas_torch.parameter.process import ServerProcess
from elephas_torch.parameter.shared import Region
from elephas_torch.parameter.state import State

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="this system has no memfd, by which memory is shared"
)
SIZE = 50


def random(size=SIZE, state=0):
    counters = torch.arange(3 if state else 0)
    return Vectors(torch.randn(size), torch.rand(state), counters)


def zeros(like):
    return Vectors(*(torch.zeros_like(one) for one in like))


@pytest.fixture
def joined(local_server, settings):
    """joined(mode, initial, ...) -> the server, a client that joined as worker 0, and its link"""

    def join(mode, initial, optimizer=None, **more):
        server = local_server(State(settings(mode, initial, optimizer, **more), initial))
        client = server.client(timeout=20)
        client.join(0, 0, samples=4)
        return server, client, client.share(0, 0, initial.sizes)

    return join


RULES = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.01),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", [0, 4])
@pytest.mark.parametrize("mode", ["asynchronous", "synchronous", "hogwild"])
def test_the_same_bits_as_over_http(joined, local_server, settings, mode, state, rule):
    torch.manual_seed(0)
    initial = random(state=state)
    _server, client, link = joined(mode, initial, RULES[rule]())
    other = local_server(State(settings(mode, initial, RULES[rule]()), initial)).client()
    other.join(0, 0, samples=4)
    mine, theirs = zeros(initial), zeros(initial)
    assert link.name == "memory" and link.pull(mine) == other.pull(theirs) == 0
    for seq in range(6):
        push, update = Push(0, 0, seq, seq, 4, 0, seq == 5), random(state=state)
        sent = update
        if link.update is not None and seq % 2:  # computed where the server reads it
            sent = link.update
            sent.copy_(update)
        if seq < 4:
            reply = link.exchange(push, sent, mine)
        else:
            reply, mine_now = link.borrow(push, sent, mine)
            mine.parameters.copy_(mine_now)
        assert reply == other.exchange(push, update, theirs)
        assert all(a.equal(b) for a, b in zip(mine, theirs, strict=True))
    told, asked = client.status(), other.status()
    for key in ("version", "staleness", "counts", "epoch"):
        assert {**told, "counts": told["counts"]["pushes"]}[key] == (
            {**asked, "counts": asked["counts"]["pushes"]}[key]
        )
    assert [told["workers"]["0"]["link"], asked["workers"]["0"]["link"]] == ["memory", "http"]
    assert told["workers"]["0"]["seq"] == 6
    assert (link.parameters is not None) == (mode == "hogwild" and rule == "sgd" and not state)


def test_what_was_borrowed_stays_until_the_next_push(joined, vectors):
    server, _client, link = joined("asynchronous", vectors([0.0] * SIZE), workers=2)
    other = server.client()
    other.join(1, 0, samples=4)
    other_link = other.share(1, 0, (SIZE, 0, 0))
    into, one = vectors([0.0] * SIZE), vectors([1.0] * SIZE)
    _reply, borrowed = link.borrow(Push(0, 0, 0, 0, 4, 0, False), one, into)
    for seq in range(5):
        _, theirs = other_link.borrow(Push(1, 0, seq, seq + 1, 4, 0, False), one, into)
        assert theirs.tolist() == [-2.0 - seq] * SIZE
    assert borrowed.tolist() == [-1.0] * SIZE and into.parameters.tolist() == [0.0] * SIZE
    # So the number of buffers doesn't grow with that of updates.
    assert len(server.state.weights.pool._regions) <= 5


@pytest.mark.parametrize("together", [False, True])
def test_hogwild_workers_step_by_themselves_and_are_counted(
    local_server, settings, vectors, together
):
    """Two processes add to one vector, each 0 to the other's elements. One after the other nothing
    is lost; together such a 0, without a lock, may undo an addition that comes in its midst, as
    hogwild puts up with, and all are counted."""
    code = """
import sys, torch
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push
url, token, worker = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Client(url, token)
client.join(worker, 0, samples=4)
link = client.share(worker, 0, (20, 0, 0))
empty = torch.zeros(0)
into = Vectors(link.parameters, empty, empty.long())
update = torch.zeros(20)
update[10 * worker : 10 * worker + 10] = -1
version = link.pull(into)
for seq in range(500):
    push = Push(worker, 0, seq, version, 4, 0, seq == 499)
    version = link.exchange(push, Vectors(update, empty, empty.long()), into).version
client.leave(worker, 0)
"""
    initial = vectors([0.0] * 20)
    made = settings("hogwild", initial, workers=2, staleness=None)
    server = local_server(State(made, initial))
    client = server.client()
    arguments = [server.url, "a token of these tests"]
    running = []
    for worker in (0, 1):
        running.append(subprocess.Popen([sys.executable, "-c", code, *arguments, str(worker)]))
        if not together:
            running[-1].wait(60)
    assert [one.wait(60) for one in running] == [0, 0]
    into = vectors([0.0] * 20)
    assert client.pull(into) == 1000
    assert into.parameters.min() >= (400 if together else 500) and into.parameters.max() <= 500
    status = client.status()
    assert status["counts"]["pushes"] == 1000 and sum(status["staleness"].values()) == 1000
    assert status["workers"]["1"]["epoch"] == 1


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_newer_attempt_fences_and_goes_on(joined, vectors, mode):
    server, _client, link = joined(mode, vectors([0.0, 0.0]))
    into, one = vectors([0.0, 0.0]), vectors([1.0, 1.0])
    for seq in range(3):
        link.exchange(Push(0, 0, seq, seq, 4, seq // 2, seq == 1), one, into)
    newer = server.client()
    assert newer.join(0, 1, samples=4)[:4] == (3, 1, 1, 3)
    for _ in range(2):
        with pytest.raises(Fenced, match="must stop"):
            link.exchange(Push(0, 0, 3, 3, 4, 1, False), one, into)
        newer_link = newer.share(0, 1, (2, 0, 0))
    newer_link.exchange(Push(0, 1, 3, 3, 4, 1, False), one, into)
    # What was applied already is answered and not applied again.
    newer_link.exchange(Push(0, 1, 3, 3, 4, 1, False), one, into)
    assert into.parameters.tolist() == [-4.0, -4.0] and newer.status()["version"] == 4


def test_stop_and_rate_reach_those_who_step_by_themselves(joined, vectors):
    _server, client, link = joined("hogwild", vectors([0.0]), server_rate=True)
    into, one = vectors([0.0]), vectors([1.0])
    assert link.exchange(Push(0, 0, 0, 0, 4, 0, False), one, into)[1:] == (False, None)
    client.control(learning_rate=0.5)
    assert link.exchange(Push(0, 0, 1, 1, 4, 0, False), one, into)[1:] == (False, 0.5)
    assert into.parameters.tolist() == [-1.5]
    client.control(stop=True)
    assert link.exchange(Push(0, 0, 2, 2, 4, 0, False), one, into).stop
    assert into.parameters.tolist() == [-1.5]


def test_stale_updates_are_divided(joined, vectors):
    server, client, _link = joined("hogwild", vectors([0.0]), workers=2)
    client.exchange(Push(0, 0, 0, 0, 4, 0, False), vectors([1.0]), vectors([0.0]))
    other = server.client()
    other.join(1, 0, samples=4)
    into = vectors([0.0])
    other.share(1, 0, (1, 0, 0)).exchange(Push(1, 0, 0, 0, 4, 0, False), vectors([1.0]), into)
    assert into.parameters.tolist() == [-1.5] and client.status()["staleness"] == {"0": 1, "1": 1}


def test_others_share_nothing(local_server, settings, vectors, monkeypatch):
    initial = vectors([0.0])
    server = local_server(State(settings("asynchronous", initial), initial))
    client = server.client()
    client.join(0, 0, samples=1)
    with pytest.raises(Refused, match="hasn't joined"):
        client.share(1, 0, initial.sizes)
    with pytest.raises(Refused, match="no shared memory here"):
        client._announce(Push(0, 0, 0, 0, 1, 0, False), initial.sizes, initial)
    monkeypatch.setattr(shared, "machine", lambda: "another one")
    assert client.share(0, 0, initial.sizes) is None
    assert client.status()["workers"]["0"]["link"] == "http"


@pytest.mark.parametrize("mode", ["hogwild", "asynchronous"])
def test_memory_that_cannot_be_opened_is_given_back(
    local_server, settings, vectors, monkeypatch, mode
):
    initial = vectors([0.0])
    server = local_server(State(settings(mode, initial), initial))
    client, into = server.client(), zeros(initial)
    client.join(0, 0, samples=1)
    monkeypatch.setattr(Region, "open", lambda *_: None)  # as of another user's process
    assert client.share(0, 0, initial.sizes) is None
    for seq in range(3):
        client.beat(0, 0)
        push = Push(0, 0, seq, client.pull(into), 1, 0, False)
        assert client.exchange(push, vectors([1.0]), into).version == seq + 1
    status = client.status()
    assert status["version"] == status["counts"]["pushes"] == 3
    assert status["workers"]["0"]["link"] == "http" and status["workers"]["0"]["seq"] == 3


def test_six_parameters_are_not_taken_for_a_place(joined):
    # Whose vectors have as many bytes as what says where others lie.
    initial, update = random(6), random(6)
    into = zeros(initial)
    _, client, link = joined("asynchronous", initial)
    client.control(stop=True)
    push = Push(0, 0, 0, 0, 1, 0, False)
    known = zeros(into)
    client.pull(known)
    assert link.exchange(push, update, into).stop
    assert into.parameters.equal(known.parameters)


def test_a_push_sent_again_is_answered_with_the_version_as_it_is(joined):
    initial, update = random(), random()
    into = zeros(initial)
    _, _, link = joined("hogwild", initial)
    push = Push(0, 0, 0, 0, 1, 0, False)
    assert [link.exchange(push, update, into).version for _ in range(2)] == [1, 1]
    assert link.exchange(push._replace(seq=1, base_version=1), update, into).version == 2


def test_what_is_no_region_of_ours_is_not_opened():
    region = Region.create(100)
    found = Region.open(os.getpid(), region.descriptor, 100, region.nonce)
    region.tensor.fill_(7)
    assert found.tensor.tolist() == [7] * 100
    assert Region.open(os.getpid(), region.descriptor, 100, b"\0" * 16) is None
    assert Region.open(os.getpid(), region.descriptor, 99, region.nonce) is None
    reading, writing = os.pipe()
    assert Region.open(os.getpid(), reading, 100, region.nonce) is None
    assert Region.open(2**22 + 1, 0, 100, region.nonce) is None
    os.close(reading)
    os.close(writing)
    region.close()
    assert Region.open(os.getpid(), region.descriptor, 100, region.nonce) is None
    assert found.tensor.tolist() == [7] * 100


def test_nothing_is_left_when_the_server_is_killed(settings, vectors):
    before = set(os.listdir("/dev/shm"))
    initial = vectors([0.0] * 1000)
    with ServerProcess(settings("asynchronous", initial), initial) as server:
        client = server.client(timeout=20)
        client.join(0, 0, samples=1)
        link = client.share(0, 0, initial.sizes)
        into = vectors([0.0] * 1000)
        link.exchange(Push(0, 0, 0, 0, 1, 0, False), vectors([1.0] * 1000), into)
        assert set(os.listdir("/dev/shm")) <= before
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match=r"cut the connection|Can't reach"):
            link.exchange(Push(0, 0, 1, 1, 1, 0, False), vectors([1.0] * 1000), into)
    assert set(os.listdir("/dev/shm")) <= before


def test_a_board_without_memory_is_none(settings, vectors, monkeypatch):
    """Then hogwild goes on over HTTP."""

    def create(*arguments):
        raise OSError

    monkeypatch.setattr(Region, "create", create)
    initial = vectors([0.0])
    state = State(settings("hogwild", initial), initial)
    assert state.weights.board is None
    state.join(0, 0, 1, {})
    assert state.share(0, 0, shared.machine()) == {}
