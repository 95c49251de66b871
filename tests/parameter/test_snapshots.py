"""A server's state as bytes, and servers that begin from it."""

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, ModelFileError, Restarted, Unreachable
from elephas_torch.parameter import Push, ServerProcess
from elephas_torch.parameter.snapshots import FORMAT, Snapshot, notes
from elephas_torch.parameter.state import State

MODES = ("synchronous", "asynchronous", "hogwild")


def made(vectors, seed=0):
    random = torch.Generator().manual_seed(seed)
    numbers = torch.randn(5, generator=random).tolist()
    return vectors(numbers, numbers[:2], [seed])


def push(state, update, worker=0, attempt=0, last=True):
    """A worker's next push; the future of its answer."""
    record = state.ledger.workers[worker]
    head = Push(worker, attempt, record.seq, state.weights.version, 3, record.epoch, last)
    return state.push(head, update.clone())


def restored(settings, initial, snapshot):
    state = State(settings, initial)
    state.restore(Snapshot.read(snapshot.packed()))
    return state


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_nobody_waits_while_a_snapshot_copies_the_weights(settings, vectors, mode, monkeypatch):
    initial = made(vectors)
    state = State(settings(mode, initial, workers=1), initial)
    state.join(0, 0, 3, {})
    begun, go, copy = threading.Event(), threading.Event(), state.weights.remembered

    def slowly():
        begun.set()
        assert go.wait(20)
        return copy()

    monkeypatch.setattr(state.weights, "remembered", slowly)
    with ThreadPoolExecutor(2) as pool:
        snapshot = pool.submit(state.snapshot)
        try:
            assert begun.wait(10)
            asked = pool.submit(lambda: (state.beat(0, 0, {}), state.status()))
            assert asked.result(10)[1]["workers"]["0"]["alive"]
            assert not snapshot.done()
        finally:
            go.set()
        assert same(snapshot.result(10).vectors, initial)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", [optimizers.SGD(0.1), optimizers.Adam(0.1)], ids=["SGD", "Adam"])
def test_a_server_goes_on_from_a_snapshot_as_the_one_before(settings, vectors, mode, rule):
    initial = made(vectors)
    given = settings(mode, initial, rule, workers=1)
    state = State(given, initial)
    state.join(0, 0, 3, {})
    for number in range(3):
        push(state, made(vectors, number + 1)).result(0)
    state.keep(0, 0, 3, b"what it has")
    state.control(learning_rate=0.05)
    found = state.snapshot()
    other = restored(given, initial, found)
    assert other.join(0, 0, 3, {}) == state.join(0, 0, 3, {})
    assert other.kept(0, 0) == (3, b"what it has")
    for one in (state, other):
        push(one, made(vectors, 9)).result(0)
    assert same(state.weights.vectors, other.weights.vectors)
    assert other.weights.version == state.weights.version == 4
    told = [one.status() for one in (state, other)]
    assert told[1]["counts"].pop("restores") == 1
    for name in ("version", "epoch", "counts", "learning_rate", "staleness", "optimizer"):
        assert told[0][name] == told[1][name], name


def test_a_snapshot_does_not_change_when_the_server_goes_on(settings, vectors):
    initial = made(vectors)
    state = State(settings("asynchronous", initial, optimizers.Adam(0.1)), initial)
    state.join(0, 0, 3, {})
    push(state, made(vectors, 1)).result(0)
    found = state.snapshot()
    before = found.packed()
    push(state, made(vectors, 2)).result(0)
    assert found.packed() == before


def test_who_has_not_joined_since_is_told_to(settings, vectors):
    initial = made(vectors)
    given = settings("synchronous", initial, workers=2)
    state = State(given, initial)
    for worker in range(2):
        state.join(worker, 7, 3, {})
    [one.result(0) for one in [push(state, made(vectors, w), w, 7) for w in range(2)]]
    other = restored(given, initial, state.snapshot())
    for call in (
        lambda: other.beat(0, 7, None),
        lambda: other.report(0, 7, 0, {}),
        lambda: push(other, made(vectors), 0, 7),
        lambda: other.keep(0, 7, 1, b""),
        lambda: other.beat(5, 0, None),  # whom the snapshot doesn't know
    ):
        with pytest.raises(Restarted, match="must join again"):
            call()
    # Attempts of another Spark, to which a driver comes back, may have small numbers.
    assert other.join(0, 2, 3, {})[:3] == (1, 1, 0)
    with pytest.raises(Restarted, match="must join again"):
        push(other, made(vectors), 0, 7)
    assert other.join(0, 7, 3, {})[:3] == (1, 1, 0)
    with pytest.raises(Fenced):
        other.join(0, 2, 3, {})
    first = push(other, made(vectors), 0, 7)
    assert not first.done(), "a round waits for those who are still away"
    assert other.join(1, 8, 3, {})[:3] == (1, 1, 0)
    push(other, made(vectors), 1, 8).result(0)
    assert first.result(0).reply.version == 2


def test_who_waits_for_the_end_of_an_epoch_waits_again(settings, vectors):
    """Worker 0 has done its last batch of the epoch, worker 1 has one more: then the server
    falls. Worker 0's last push counts once, and it starts the next epoch with worker 1."""
    initial = made(vectors)
    given = settings("synchronous", initial, workers=2)
    state = State(given, initial)
    for worker in range(2):
        state.join(worker, 0, 3, {})
    waits = push(state, made(vectors, 1), 0)
    push(state, made(vectors, 2), 1, last=False).result(0)
    assert not waits.done()
    other = restored(given, initial, state.snapshot())
    assert other.join(0, 0, 3, {})[:3] == (0, 0, 0)
    again = other.push(Push(0, 0, 0, 0, 3, 0, True), made(vectors, 1))
    assert not again.done()
    assert other.join(1, 0, 3, {})[:3] == (1, 0, 1)
    assert not again.done()
    for one in (state, other):
        push(one, made(vectors, 3), 1)
    assert again.result(0).reply.version == waits.result(0).reply.version == 2
    assert same(state.weights.vectors, other.weights.vectors)
    assert other.status()["counts"]["pushes"] == 3


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        *((mode, {}) for mode in MODES),
        ("asynchronous", {"staleness_bound": 1}),
        ("synchronous", {"quorum": 0.5}),
    ],
)
@pytest.mark.parametrize("seed", range(20))
def test_every_update_counts_once_however_often_the_server_falls(
    settings, vectors, mode, options, seed
):
    """Each worker pushes 2 ** (a number of its own), once each: the sum tells who counted."""
    choice = random.Random(f"{mode} {seed}")
    workers, epochs, batches = 3, 2, 3
    initial = vectors([0.0], [], [])
    given = settings(mode, initial, staleness=None, workers=workers, **options)
    state, saved = State(given, initial), None
    epoch, batch = [0] * workers, [0] * workers
    waiting = {}

    def begin(worker):
        waiting.pop(worker, None)
        joined = state.join(worker, 0, 1, {})
        epoch[worker], batch[worker] = joined.epoch, joined.batch
        leave_if_done(worker)

    def leave_if_done(worker):
        if epoch[worker] == epochs:
            state.leave(worker, 0)

    def answered(worker):
        batch[worker] += 1
        if batch[worker] == batches:
            epoch[worker], batch[worker] = epoch[worker] + 1, 0
            leave_if_done(worker)

    def send(worker):
        seq = epoch[worker] * batches + batch[worker]
        mine = -(2.0 ** (worker * epochs * batches + seq))
        # A round is a mean: of three equal shares.
        update = vectors([mine * workers if mode == "synchronous" else mine], [], [])
        head = Push(worker, 0, seq, 0, 1, epoch[worker], batch[worker] == batches - 1)
        waiting[worker] = state.push(head, update)

    for worker in range(workers):
        begin(worker)
    saved = state.snapshot()
    for _ in range(2000):
        for worker in [w for w, future in waiting.items() if future.done()]:
            waiting.pop(worker)
            answered(worker)
        free = [w for w in range(workers) if w not in waiting and epoch[w] < epochs]
        if not free and not waiting:
            break
        what = choice.random()
        if what < 0.1:
            saved = state.snapshot()
        elif what < 0.15:
            state = restored(given, initial, saved)
            for worker in choice.sample(range(workers), workers):
                begin(worker)
        elif free:
            send(choice.choice(free))
    assert epoch == [epochs] * workers
    if "quorum" not in options:  # whose rounds are means of unequal numbers
        assert float(state.weights.vectors.parameters) == 2.0 ** (workers * epochs * batches) - 1
    assert all(one.seq == epochs * batches for one in state.ledger.workers.values())
    assert state.status()["counts"]["pushes"] == workers * epochs * batches


def test_a_milestone_is_where_all_have_done_an_epoch(settings, vectors):
    initial = made(vectors)
    state = State(settings("asynchronous", initial, workers=2, checkpoint_every=2), initial)
    for worker in range(2):
        state.join(worker, 0, 3, {})
    for epoch, worker, reached in [
        (0, 0, None), (0, 1, None), (1, 0, None), (2, 0, None), (1, 1, 1), (3, 0, 1), (2, 1, 1),
        (3, 1, 3),
    ]:  # fmt: skip
        state.report(worker, 0, epoch, {"epoch": epoch}).result(0)
        assert (state.milestone and state.milestone.epoch) == reached
    told = [one["epoch"] for one in state.events.after(0) if one["kind"] == "milestone"]
    assert told == [1, 3]


def test_a_worker_may_leave_only_so_much(settings, vectors, monkeypatch):
    initial = made(vectors)
    state = State(settings("asynchronous", initial, workers=2), initial)
    monkeypatch.setattr("elephas_torch.parameter.kept.MOST", 10)
    for worker in range(2):
        state.join(worker, 0, 3, {})
    assert state.keep(0, 0, 1, b"123456")
    assert not state.keep(1, 0, 1, b"12345")
    assert state.kept(1, 0) == (-1, b"")
    assert state.keep(0, 0, 2, b"1234567890"), "its own is replaced"


def test_who_is_lost_gets_back_what_it_left_for_the_epoch_it_goes_on_in(settings, vectors):
    """A worker leaves it before the last push of an epoch, which may or may not be applied."""
    initial = made(vectors)
    given = settings("synchronous", initial, workers=2)
    state = State(given, initial)
    for worker in range(2):
        state.join(worker, 0, 3, {})
    assert state.keep(0, 0, 1, b"after the first")
    first = [push(state, made(vectors, 1), worker) for worker in range(2)]
    assert first[0].result(0) and state.kept(0, 0) == (1, b"after the first")
    assert state.keep(0, 0, 2, b"after the second")
    assert state.kept(0, 0) == (1, b"after the first"), "its push hasn't come"
    push(state, made(vectors, 2), 0)
    assert state.kept(0, 0) == (1, b"after the first"), "its round is open"
    assert restored(given, initial, state.snapshot())._kept.left == {0: [(1, b"after the first")]}
    push(state, made(vectors, 2), 1).result(0)
    assert state.join(0, 1, 3, {}).epoch == 2
    assert state.kept(0, 1) == (2, b"after the second")
    state.report(0, 1, 1, {})
    assert state._kept.left == {0: [(2, b"after the second")]}


def test_damaged_bytes_are_told(settings, vectors):
    initial = made(vectors)
    state = State(settings("asynchronous", initial), initial)
    packed = state.snapshot().packed()
    assert notes(packed)["version"] == 0
    for bad in (b"", b"nothing of the kind", packed[:40], packed[:-1]):
        with pytest.raises(ModelFileError, match="damaged"):
            Snapshot.read(bad)
    known, unknown = (f'\\"format\\": {number}'.encode() for number in (FORMAT, FORMAT + 1))
    newer = packed.replace(known, unknown)
    assert newer != packed
    with pytest.raises(ModelFileError, match="format"):
        Snapshot.read(newer)
    other = made(vectors)._replace(state=torch.zeros(0))
    with pytest.raises(ValueError, match="lengths"):
        State(settings("asynchronous", other), other).restore(Snapshot.read(packed))


def test_a_server_that_was_killed_is_there_again(settings, vectors):
    initial = made(vectors)
    given = settings("synchronous", initial, optimizers.Adam(0.1), checkpoint_every=1)
    with ServerProcess(given, initial) as server, server.client() as client:
        client.join(0, 0, samples=3)
        into = initial.clone()
        client.exchange(Push(0, 0, 0, 0, 3, 0, True), made(vectors, 1), into)
        assert client.keep(0, 0, 1, b"mine")
        assert client.checkpoint() == b""
        client.report(0, 0, 0, {"loss": 1.0})
        packed = client.checkpoint()
        assert notes(packed)["epoch"] == 0 and same(Snapshot.read(packed).vectors, into)
        pid, url = server.pid, server.url
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unreachable):
            client.exchange(Push(0, 0, 1, 1, 3, 1, True), made(vectors, 2), initial.clone())
        server.restart(packed)
        assert server.url == url and server.pid != pid
        client.patience = 30.0
        with pytest.raises(Restarted):
            client.exchange(Push(0, 0, 1, 1, 3, 1, True), made(vectors, 2), initial.clone())
        assert client.join(0, 0, samples=3)[:4] == (1, 1, 0, 1)
        assert client.kept(0, 0) == (1, b"mine")
        back = initial.clone()
        assert client.pull(back) == 1 and same(back, into)
        assert not client.keep(0, 0, 1, bytes(2 << 20)), "it is too long"


def test_patience_has_an_end(settings, vectors):
    initial = made(vectors)
    with ServerProcess(settings("asynchronous", initial), initial) as server:
        client = server.client()
        client.patience = 0.3
    with pytest.raises(Unreachable, match=r"was tried for 0\.3 s"):
        client.status()
