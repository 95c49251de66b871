"""What a worker does after another attempt of it was lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from elephas_torch import optimizers, worker
from elephas_torch.errors import WorkerError
from elephas_torch.flat import Vectors
from elephas_torch.keras.optimizers import SGD
from elephas_torch.optimizers.schedules import ExponentialDecay
from elephas_torch.parameter import InMemoryClient, Settings
from elephas_torch.parameter.state import State
from elephas_torch.plan import Plan


@pytest.mark.parametrize(
    ("every", "initial", "epoch", "batch", "steps"),
    [
        (None, 0, 0, 0, 0),
        (None, 0, 2, 0, 8),
        (None, 3, 0, 0, 0),
        (None, 3, 5, 0, 8),
        (1, 0, 1, 3, 7),
        (2, 0, 1, 1, 6),
        (2, 0, 0, 2, 3),  # the last batch of an epoch is made again
    ],
)
def test_steps_that_were_done(every, initial, epoch, batch, steps):
    plan = Plan(
        every=every,
        gradients=False,
        epochs=9,
        initial_epoch=initial,
        batch_size=4,
        validation_split=0.0,
        shuffle=True,
        class_weight=None,
        seed=0,
    )
    joined = SimpleNamespace(epoch=epoch, batch=batch)
    assert worker.steps_done(plan, joined, rows=15) == steps


def test_a_schedule_goes_on_and_a_rate_s_optimizer_begins_anew():
    scheduled, plain = SGD(ExponentialDecay(1.0, 2, 0.5)), SGD(0.1)
    for optimizer in (scheduled, plain):
        worker.catch_up(optimizer, 4)
    assert scheduled.learning_rate == 0.25
    assert plain.iterations == 0


def test_a_replaced_attempt_waits_until_the_newer_one_is_done_or_lost(monkeypatch):
    """What it gives back first would do for Spark, which kills the newer one then."""
    monkeypatch.setattr(worker, "GIVE_WAY", 0.1)
    vectors = Vectors(torch.zeros(1), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(1.0))
    state = State(Settings("asynchronous", vectors.sizes, rule, lease=0.5), vectors)
    client = InMemoryClient(state)
    for attempt in (1, 2):
        client.join(0, attempt, samples=1)
    client.join(1, 1, samples=1)
    client.join(1, 2, samples=1, info={"tries": 0})
    with pytest.raises(WorkerError, match="was replaced"):
        worker._give_way(client, 1, 1)  # of a stage that is tried again
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(worker._give_way, client, 0, 1)
        with pytest.raises(TimeoutError):
            waits.result(0.3)
        client.leave(0, 2)
        assert waits.result(5) is None
        client.join(0, 3, samples=1)
        time.sleep(0.6)
        state.tick()
        with pytest.raises(WorkerError, match="replaced by one that is lost"):
            worker._give_way(client, 0, 2)
