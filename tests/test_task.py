"""What an attempt of a worker does that another one has taken over from."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from elephas_torch import optimizers, task
from elephas_torch.errors import WorkerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import InMemoryClient, Push, Settings
from elephas_torch.parameter.state import State


def test_a_replaced_attempt_waits_until_the_newer_one_is_done_or_lost(monkeypatch):
    """What it gives back first would do for Spark, which kills the newer one then."""
    monkeypatch.setattr(task, "GIVE_WAY", 0.1)
    vectors = Vectors(torch.zeros(1), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(1.0))
    state = State(Settings("asynchronous", vectors.sizes, rule, lease=0.5), vectors)
    client = InMemoryClient(state)
    for attempt in (1, 2):
        client.join(0, attempt, samples=1)
    client.join(1, 1, samples=1)
    client.join(1, 2, samples=1, info={"tries": 0})
    with pytest.raises(WorkerError, match="was replaced"):
        task._give_way(client, 1, 1, 60.0)  # of a stage that is tried again
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(task._give_way, client, 0, 1, 60.0)
        with pytest.raises(TimeoutError):
            waits.result(0.3)
        client.leave(0, 2)
        assert waits.result(5) is None
        client.join(0, 3, samples=1)
        time.sleep(0.6)
        state.tick()
        with pytest.raises(WorkerError, match="replaced by one that is lost"):
            task._give_way(client, 0, 2, 60.0)


def test_it_does_not_wait_for_ever_for_one_that_waits_for_others(monkeypatch):
    monkeypatch.setattr(task, "GIVE_WAY", 0.1)
    vectors = Vectors(torch.zeros(1), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(1.0))
    given = Settings("synchronous", vectors.sizes, rule, workers=2, lease=0.1)
    state = State(given, vectors)
    client = InMemoryClient(state)
    for worker, attempt in ((1, 1), (0, 1), (0, 2)):
        client.join(worker, attempt, samples=1)
    state.push(Push(0, 2, 0, 0, 1, 0, False), vectors)  # the other one never pushes
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(task._give_way, client, 0, 1, 1.0)
        time.sleep(0.5)
        state.tick()
        assert not waits.done() and state.ledger.workers[0].state == "active"
        with pytest.raises(WorkerError, match="silent for 1 s"):
            waits.result(10)
