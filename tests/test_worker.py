"""What a worker does after another attempt of it was lost."""

from types import SimpleNamespace

import pytest

from elephas_torch import worker
from elephas_torch.keras.optimizers import SGD
from elephas_torch.optimizers.schedules import ExponentialDecay
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
