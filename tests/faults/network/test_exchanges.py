"""Workers and a server with a bad network between them: each update counts once."""

import contextlib
import random
import socket
import threading
import time
from collections import Counter

import faulty_network as network
import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push, ServerProcess, Settings
from elephas_torch.parameter.connection import notice_loss
from elephas_torch.parameter.guard import Limits

WORKERS = 4
MODES = ("synchronous", "asynchronous", "hogwild")
EVERYTHING = (*network.HARMLESS, *network.CUTS)


def made(mode, length, rule, **more):
    initial = Vectors(torch.zeros(length), torch.zeros(2), torch.zeros(1, dtype=torch.int64))
    settings = Settings(
        mode, initial.sizes, optimizers.serialize(rule), workers=WORKERS, staleness=None, **more
    )
    return settings, initial


class Training:
    """What a worker does, without a model: `epochs` times `batches` pushes, heartbeats and
    reports; sometimes it is lost, and another attempt goes on."""

    def __init__(self, server, url, epochs, batches, update, seed, losses):
        self.server, self.url, self.update = server, url, update
        self.epochs, self.batches = epochs, batches
        self.seed, self.losses = seed, losses
        self.attempts = Counter()
        self._lost = []

    def client(self):
        gone = self.server.limits.gone_seconds
        return Client(self.url, self.server.token, timeout=60, patience=30.0, gone_timeout=gone)

    def __call__(self, worker, initial):
        chance = random.Random(f"{self.seed} {worker}")
        client, into = self.client(), initial.clone()
        joined, version = self.join(client, worker, into)
        seq, epoch, batch = joined[:3]
        while epoch < self.epochs:
            last = batch == self.batches - 1
            push = Push(worker, self.attempts[worker], seq, version, 1, epoch, last)
            if chance.random() < self.losses:
                self.lose(client, push, into)
                self.attempts[worker] += 1
                client = self.client()
                joined, version = self.join(client, worker, into)
                seq, epoch, batch = joined[:3]
                continue
            version = client.exchange(push, self.update(worker, seq), into).version
            seq, batch = seq + 1, batch + 1
            if chance.random() < 0.1:
                client.beat(worker, push.attempt, {"batch": batch})
            if last:
                client.report(worker, push.attempt, epoch, {"epoch": epoch})
                epoch, batch = epoch + 1, 0
        client.leave(worker, self.attempts[worker])
        client.close()

    def join(self, client, worker, into):
        joined = client.join(worker, self.attempts[worker], samples=1)
        return joined, client.pull(into)

    def lose(self, client, push, into):
        """Its last push is on the way, and nobody waits for the answer."""

        def send():
            with contextlib.closing(client), contextlib.suppress(Fenced):
                client.exchange(push, self.update(push.worker, push.seq), into.clone())

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        self._lost.append(thread)
        time.sleep(0.002)

    def run(self, initial):
        errors = []

        def work(worker):
            try:
                self(worker, initial)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in [*threads, *self._lost]:
            thread.join(200)
            assert not thread.is_alive(), "it hangs"
        if errors:
            raise errors[0]


def trained(given, epochs, batches, update, plan=None, seed=0, losses=0.0, limits=None):
    """The weights, the server's status, and the proxy (None: straight)."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ServerProcess(*given, limits=limits, keep=True))
        proxy, url = None, server.url
        if plan is not None:
            proxy = network.Proxy(server.address, plan)
            stack.callback(proxy.close)
            url = f"http://127.0.0.1:{proxy.port}"
        Training(server, url, epochs, batches, update, seed, losses).run(given[1])
        client = stack.enter_context(server.client())
        found = given[1].clone()
        client.pull(found)
        return found, client.status(), proxy


def check_account(status, epochs, batches):
    whole = epochs * batches
    assert status["counts"]["pushes"] == WORKERS * whole
    assert not status["failures"] and status["epoch"] == epochs
    for one in status["workers"].values():
        assert (one["seq"], one["epoch"], one["batch"]) == (whole, epochs, 0)
        assert one["state"] == "left" and not one["waiting"]


def counting(mode, whole):
    """Each update adds 1 to an element of its own: what isn't 1 in the end didn't count once."""
    mine = torch.eye(WORKERS * whole) * (-WORKERS if mode == "synchronous" else -1)

    def update(worker, seq):
        return Vectors(mine[worker * whole + seq], torch.ones(2), torch.tensor([seq]))

    return update


@pytest.mark.parametrize(
    ("epochs", "batches", "seeds"),
    [(2, 20, 1), pytest.param(5, 100, 3, marks=pytest.mark.slow)],
    ids=["quick", "long"],
)
@pytest.mark.parametrize("mode", MODES)
def test_each_update_counts_once(mode, epochs, batches, seeds, tried):
    whole = epochs * batches
    if seeds > 1:
        what = "with one of nine such faults, and workers that are lost"
        tried(f"{WORKERS} workers without a model, 15 % of all requests {what}", mode,
              "each update counted once", WORKERS * whole * seeds)  # fmt: skip
    given = made(mode, WORKERS * whole, optimizers.SGD(1.0))
    for seed in range(seeds):
        plan = network.Chance(seed, 0.15, EVERYTHING)
        found, status, proxy = trained(
            given, epochs, batches, counting(mode, whole), plan, seed, losses=0.03
        )
        odd = (found.parameters != 1).nonzero().flatten().tolist()
        assert not odd, [(one // whole, one % whole, float(found.parameters[one])) for one in odd]
        check_account(status, epochs, batches)
        assert len(proxy.tried) > 5 if whole < 100 else len(proxy.tried) == len(EVERYTHING)
        assert status["counts"]["duplicates"] > 0


@pytest.mark.parametrize(
    "compression", ["topk", *(pytest.param(one, marks=pytest.mark.slow) for one in (None, "int8"))]
)
def test_in_synchronous_mode_nothing_is_different(compression):
    """Not with an optimizer of many states, not where answers are differences to those before."""
    generator = torch.Generator().manual_seed(0)
    updates = torch.randn(WORKERS, 30, 3000, generator=generator)

    def update(worker, seq):
        return Vectors(updates[worker, seq], updates[worker, seq, :2], torch.tensor([seq]))

    given = made("synchronous", 3000, optimizers.Adam(0.1), compression=compression)
    expected, _, _ = trained(given, 3, 10, update)
    plan = network.Chance(compression, 0.2, EVERYTHING)
    found, status, proxy = trained(given, 3, 10, update, plan)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    check_account(status, 3, 10)
    assert sum(proxy.tried.values()) > 20


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_network_that_comes_back(forgotten):
    """Beyond the lease: workers are left out, and come back."""
    mode = "asynchronous"
    given = made(mode, WORKERS * 20, optimizers.SGD(1.0), lease=0.4)
    plan = network.Once({(1, 5): network.partition(1.0, forgotten)})
    found, status, proxy = trained(given, 2, 10, counting(mode, 20), plan)
    assert (found.parameters == 1).all() and proxy.tried
    check_account(status, 2, 10)


def may_vanish():
    with socket.socket() as one:
        try:
            one.setsockopt(socket.IPPROTO_TCP, network._TCP_REPAIR, 1)
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    "mode", ["synchronous", *(pytest.param(mode, marks=pytest.mark.slow) for mode in MODES[1:])]
)
def test_a_connection_that_is_gone_without_a_word(mode, tried):
    """Nobody waits for it for hours, as Linux would by itself."""
    if not may_vanish():
        pytest.skip("needs Linux, and the right to let connections vanish (CAP_NET_ADMIN)")
    tried("a connection that vanishes without a word", mode, "noticed, and sent again", 2)
    given = made(mode, WORKERS * 10, optimizers.SGD(1.0))
    plan = network.Once({(1, 3): network.vanished, (2, 9): network.vanished})
    limits = Limits(gone_seconds=3)
    found, status, proxy = trained(given, 1, 10, counting(mode, 10), plan, limits=limits)
    assert (found.parameters == 1).all() and proxy.tried == {"vanished": 2}
    check_account(status, 1, 10)


@pytest.mark.parametrize("seconds", [0.5, 140_000, 1e9])
def test_as_long_as_somebody_likes_to_wait(seconds):
    with socket.socket() as one:
        notice_loss(one, seconds)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            kept = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert kept == min(1000 * seconds, 2**31 - 1)


def test_a_push_that_comes_too_slowly_is_sent_again(tried):
    """A network that was down for longer than the server waits for a body is no refusal."""
    mode, limits = "synchronous", Limits(body_seconds=0.3)
    tried("a push that stalls for longer than the server waits", mode, "sent again", 2)
    given = made(mode, WORKERS * 10, optimizers.SGD(1.0))
    plan = network.Once({(1, 3): network.stalled, (2, 9): network.stalled})
    found, status, proxy = trained(given, 1, 10, counting(mode, 10), plan, limits=limits)
    assert (found.parameters == 1).all() and proxy.tried == {"stalled": 2}
    check_account(status, 1, 10)
