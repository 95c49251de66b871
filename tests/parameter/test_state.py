import itertools
import random
import threading

import numpy as np
import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, Refused, ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, wire
from elephas_torch.parameter.state import State


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(vectors, settings, clock):
    def state(mode, parameters=(0.0, 0.0), optimizer=None, state=(), counters=(), **more):
        initial = vectors(parameters, state, counters)
        return State(settings(mode, initial, optimizer, **more), initial, clock)

    return state


def push(worker, seq, *, attempt=0, base=0, samples=1, epoch=0, last=False):
    return Push(worker, attempt, seq, base, samples, epoch, last)


def send(state, header, parameters, statistics=(), counts=()):
    update = Vectors(
        torch.tensor(parameters, dtype=torch.float32),
        torch.tensor(statistics, dtype=torch.float32),
        torch.tensor(counts, dtype=torch.int64),
    )
    return state.push(header, update)


def weights(state):
    return state.weights.vectors.parameters.tolist()


def numbers(answer):
    return np.frombuffer(answer.body, np.float32).tolist()


def join(state, *workers, attempt=0, samples=1):
    return [state.join(worker, attempt, samples, {}) for worker in workers]


# Synchronous rounds


def test_a_round_waits_for_all_and_steps_with_their_weighted_mean(make):
    state = make("synchronous", workers=3)
    join(state, 0, 1, 2)
    first = send(state, push(0, 0, samples=1), [1.0, 0.0])
    second = send(state, push(1, 0, samples=2), [1.0, 3.0])
    assert not first.done() and not second.done() and weights(state) == [0.0, 0.0]
    third = send(state, push(2, 0, samples=1), [3.0, 2.0])
    assert weights(state) == [-1.5, -2.0]
    for future in (first, second, third):
        assert future.result(0).reply == (1, False, None)
        assert numbers(future.result(0)) == [-1.5, -2.0]


@pytest.mark.parametrize(
    "optimizer",
    [lambda: optimizers.SGD(0.1, momentum=0.9), lambda: optimizers.Adam(0.01)],
    ids=["momentum", "adam"],
)
def test_rounds_equal_one_process_with_the_combined_batch(make, optimizer):
    torch.manual_seed(1)
    rows, goal = torch.randn(3 * 24, 5), torch.randn(3 * 24)

    def gradient(w, part):
        w = w.detach().clone().requires_grad_()
        loss = ((rows[part] @ w).tanh() - goal[part]).square().mean()
        return torch.autograd.grad(loss, w)[0]

    alone, rule = torch.zeros(5), optimizer()
    state = make("synchronous", [0.0] * 5, optimizer(), workers=3)
    join(state, 0, 1, 2)
    for seq in range(40):
        parts = [slice(24 * w + 4 * (seq % 6), 24 * w + 4 * (seq % 6) + 4) for w in range(3)]
        combined = torch.cat([torch.arange(72)[part] for part in parts])
        rule.step(alone, gradient(alone, combined))
        shared = state.weights.vectors.parameters.clone()
        for worker, part in enumerate(parts):
            send(state, push(worker, seq, samples=4), gradient(shared, part).tolist())
    assert state.weights.version == 40
    torch.testing.assert_close(state.weights.vectors.parameters, alone, rtol=1e-6, atol=1e-7)


def test_the_order_of_arrival_changes_no_bit(make):
    torch.manual_seed(2)
    updates = torch.randn(6, 5, 50).tolist()
    found = []
    for seed in range(4):
        state = make("synchronous", [0.0] * 50, optimizers.Adam(0.1), workers=5)
        join(state, *random.Random(seed).sample(range(5), 5))
        for seq, updates_of_round in enumerate(updates):
            for worker in random.Random(seed * 10 + seq).sample(range(5), 5):
                header = push(worker, seq, samples=worker + 1)
                send(state, header, updates_of_round[worker])
        found.append(bytes(state.pull().body))
    assert state.weights.version == 6
    assert len(set(found)) == 1


def test_nothing_closes_before_all_have_joined(make):
    state = make("synchronous", workers=3)
    join(state, 0, 1)
    waiting = [send(state, push(w, 0), [1.0, 1.0]) for w in (0, 1)]
    assert not any(future.done() for future in waiting)
    join(state, 2)
    assert not any(future.done() for future in waiting)
    waiting.append(send(state, push(2, 0), [4.0, 4.0]))
    assert all(future.done() for future in waiting) and weights(state) == [-2.0, -2.0]


def test_an_empty_partition_counts_as_joined_and_takes_no_part(make):
    state = make("synchronous", workers=2)
    join(state, 0)
    waiting = send(state, push(0, 0), [1.0, 2.0])
    join(state, 1, samples=0)
    assert waiting.result(0).reply.version == 1 and weights(state) == [-1.0, -2.0]
    with pytest.raises(Refused, match="no samples"):
        send(state, push(1, 0), [1.0, 1.0])


def test_too_few_joined_says_how_many_came(make, clock):
    state = make("synchronous", workers=4, join_timeout=20)
    join(state, 0, 2)
    waiting = send(state, push(2, 0), [1.0, 1.0])
    clock.now += 19
    state.tick()
    assert not waiting.done()
    clock.now += 2
    state.tick()
    with pytest.raises(WaitTimeout, match=r"Only 2 of 4 workers joined within 20 s.*0, 2.*slots"):
        waiting.result(0)


def test_a_worker_that_leaves_lets_the_round_close(make):
    state = make("synchronous", workers=3)
    join(state, 0, 1, 2)
    waiting = [send(state, push(w, 0), [2.0 * w, 2.0]) for w in (0, 1)]
    state.leave(2, 0)
    assert [future.result(0).reply.version for future in waiting] == [1, 1]
    assert weights(state) == [-1.0, -2.0]


def test_an_error_of_an_attempt_that_was_replaced_is_nobody_s(make):
    state = make("asynchronous")
    state.join(0, 2, 1, {})
    state.fail(0, 1, {"traceback": "boom"})
    assert not state.failures and "failure" not in [one["kind"] for one in state.events.after(0)]
    assert state.ledger.workers[0].state == "active"
    state.fail(0, 3, {"traceback": "boom"})  # before it could join
    assert [one["attempt"] for one in state.failures] == [3]


def test_a_worker_that_fails_lets_the_round_close(make):
    state = make("synchronous", workers=2)
    join(state, 0, 1)
    waiting = send(state, push(0, 0), [1.0, 1.0])
    state.fail(1, 0, {"traceback": "boom"})
    assert waiting.result(0).reply.version == 1
    assert state.status()["failures"] == [
        {"worker": 1, "attempt": 0, "error": {"traceback": "boom"}}
    ]


def test_what_was_contributed_counts_though_its_worker_left(make):
    state = make("synchronous", workers=2)
    join(state, 0, 1)
    send(state, push(0, 0), [2.0, 2.0])
    state.leave(0, 0)
    send(state, push(1, 0), [4.0, 4.0])
    assert weights(state) == [-3.0, -3.0]


def test_a_silent_worker_expires_and_the_round_closes(make, clock):
    state = make("synchronous", workers=2, lease=10)
    join(state, 0, 1)
    waiting = send(state, push(0, 0), [1.0, 1.0])
    clock.now += 9
    state.tick()
    assert not waiting.done()
    clock.now += 2
    state.tick()
    assert waiting.result(0).reply.version == 1
    assert [e["worker"] for e in state.events.after(0) if e["kind"] == "expired"] == [1]


def test_a_beat_renews_the_lease(make, clock):
    state = make("synchronous", workers=2, lease=10)
    join(state, 0, 1)
    waiting = send(state, push(0, 0), [1.0, 1.0])
    for _ in range(5):
        clock.now += 9
        state.beat(1, 0, {"batch": 1})
        state.tick()
    assert not waiting.done()
    assert state.status()["workers"]["1"]["progress"] == {"batch": 1}


def test_who_waits_does_not_expire(make, clock):
    state = make("synchronous", workers=2, lease=10)
    join(state, 0, 1)
    send(state, push(0, 0), [1.0, 1.0])
    clock.now += 100
    state.beat(1, 0, None)
    state.tick()
    assert state.ledger.workers[0].state == "active"
    send(state, push(1, 0), [1.0, 1.0])
    state.tick()
    assert state.ledger.workers[0].state == "active"


def test_an_expired_worker_that_comes_back_takes_part_again(make, clock):
    state = make("synchronous", workers=2, lease=10)
    join(state, 0, 1)
    clock.now += 11
    state.beat(0, 0, None)
    state.tick()
    assert send(state, push(0, 0), [1.0, 1.0]).done()
    late = send(state, push(1, 0), [3.0, 3.0])
    assert not late.done()
    assert send(state, push(0, 1), [1.0, 1.0]).done() and late.done()
    assert weights(state) == [-3.0, -3.0]
    kinds = [e["kind"] for e in state.events.after(0) if e.get("worker") == 1]
    assert kinds == ["join", "expired", "returned"]


def test_uneven_workers_sit_out_and_start_the_next_epoch_together(make):
    state = make("synchronous", (0.0,), workers=2)
    join(state, 0, 1)
    short = send(state, push(0, 0, last=True), [1.0])
    send(state, push(1, 0), [3.0])
    assert weights(state) == [-2.0] and not short.done()
    assert send(state, push(1, 1), [5.0]).done()
    assert weights(state) == [-7.0] and not short.done()
    end = send(state, push(1, 2, last=True), [1.0])
    assert numbers(end.result(0)) == numbers(short.result(0)) == [-8.0]
    assert short.result(0).reply.version == 3
    waiting = send(state, push(0, 1, epoch=1), [1.0])
    assert not waiting.done()
    send(state, push(1, 3, epoch=1), [1.0])
    assert waiting.done() and weights(state) == [-9.0]
    assert [e["epoch"] for e in state.events.after(0) if e["kind"] == "epoch"] == [0]


def test_the_epoch_closes_when_the_one_that_is_behind_leaves(make):
    state = make("synchronous", (0.0,), workers=2)
    join(state, 0, 1)
    short = send(state, push(0, 0, last=True), [1.0])
    send(state, push(1, 0), [1.0])
    assert not short.done()
    state.leave(1, 0)
    assert short.result(0).reply.version == 1


def test_an_epoch_started_later_is_told_once(make):
    state = make("synchronous", (0.0,))
    join(state, 0)
    for epoch in (5, 6):
        assert send(state, push(0, epoch - 5, epoch=epoch, last=True), [1.0]).done()
    assert [e["epoch"] for e in state.events.after(0) if e["kind"] == "epoch"] == [5, 6]


def test_a_round_that_takes_too_long_names_who_is_missing(make, clock):
    state = make("synchronous", workers=3, round_timeout=30, lease=1000)
    join(state, 0, 1, 2)
    waiting = send(state, push(1, 0), [1.0, 1.0])
    clock.now += 31
    state.tick()
    with pytest.raises(WaitTimeout, match=r"30 s for the round to close; missing: worker 0, 2\."):
        waiting.result(0)


def test_an_epoch_that_takes_too_long_names_who_is_missing(make, clock):
    state = make("synchronous", workers=2, round_timeout=30, lease=1000)
    join(state, 0, 1)
    waiting = send(state, push(0, 0, last=True), [1.0, 1.0])
    send(state, push(1, 0), [1.0, 1.0])
    clock.now += 31
    state.tick()
    with pytest.raises(WaitTimeout, match=r"for epoch 0 to close; missing: worker 1\."):
        waiting.result(0)


def test_after_a_timeout_the_same_push_waits_again_and_counts_once(make, clock):
    state = make("synchronous", workers=2, round_timeout=30, lease=1000)
    join(state, 0, 1)
    send(state, push(0, 0), [1.0, 1.0])
    clock.now += 31
    state.tick()
    again = send(state, push(0, 0), [1.0, 1.0])
    assert not again.done()
    send(state, push(1, 0), [3.0, 3.0])
    assert again.done() and weights(state) == [-2.0, -2.0]


# Asynchronous and hogwild


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_updates_are_divided_by_staleness_plus_one(make, mode):
    state = make(mode, (0.0,), workers=2)
    join(state, 0, 1)
    for seq, (base, expected) in enumerate([(0, -12.0), (0, -18.0), (0, -22.0), (3, -34.0)]):
        answer = send(state, push(0, seq, base=base), [12.0]).result(0)
        assert numbers(answer) == [pytest.approx(expected)] and answer.reply.version == seq + 1
    assert state.status()["staleness"] == {"0": 2, "1": 1, "2": 1}


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_without_staleness_updates_enter_as_they_are(make, mode):
    state = make(mode, (0.0,), staleness=None)
    join(state, 0)
    for seq in range(3):
        send(state, push(0, seq, base=0), [12.0])
    assert weights(state) == [-36.0] and state.status()["staleness"] == {"0": 1, "1": 1, "2": 1}


def test_one_asynchronous_worker_equals_plain_training_bit_by_bit(make):
    torch.manual_seed(3)
    alone, rule = torch.zeros(20), optimizers.Adam(0.05)
    state = make("asynchronous", [0.0] * 20, optimizers.Adam(0.05))
    join(state, 0)
    for seq in range(30):
        update = torch.randn(20)
        send(state, push(0, seq, base=seq, samples=7), update.tolist())
        rule.step(alone, update)
    assert state.weights.vectors.parameters.equal(alone)


def _pushes_at_once(state, workers, each, length):
    start = threading.Barrier(workers)

    def work(worker):
        join(state, worker)
        start.wait()
        for seq in range(each):
            update = Vectors(torch.ones(length), torch.zeros(0), torch.zeros(0).long())
            state.push(push(worker, seq, base=state.weights.version), update).result(10)

    threads = [threading.Thread(target=work, args=(w,)) for w in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_concurrent_asynchronous_pushes_lose_nothing(make):
    state = make("asynchronous", [0.0] * 300_000, staleness=None, workers=4)
    _pushes_at_once(state, 4, 25, 300_000)
    assert state.weights.version == 100
    assert state.weights.vectors.parameters.eq(-100.0).all()


def test_concurrent_hogwild_adds_lose_few(make):
    state = make("hogwild", [0.0] * 300_000, staleness=None, workers=4)
    _pushes_at_once(state, 4, 25, 300_000)
    assert state.weights.version == 100 == sum(w.seq for w in state.ledger.workers.values())
    mean = -state.weights.vectors.parameters.mean().item()
    assert 90.0 <= mean <= 100.0


def test_an_answer_does_not_change_when_the_weights_do(make):
    state = make("asynchronous", (0.0,), staleness=None)
    join(state, 0)
    answers = [send(state, push(0, seq), [1.0]).result(0) for seq in range(10)]
    assert [numbers(answer)[0] for answer in answers] == [-1.0 - k for k in range(10)]


# Moving statistics and counters


def test_a_round_averages_statistics_and_raises_counters(make):
    state = make("synchronous", (0.0,), state=(9.0, 9.0), counters=(1, 1), workers=2)
    join(state, 0, 1)
    send(state, push(0, 0, samples=1), [0.0], [0.0, 4.0], [5, 2])
    send(state, push(1, 0, samples=3), [0.0], [4.0, 0.0], [3, 4])
    assert state.weights.vectors.state.tolist() == [3.0, 1.0]
    assert state.weights.vectors.counters.tolist() == [5, 4]


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_statistics_are_the_mean_of_each_workers_latest(make, mode):
    state = make(mode, (0.0,), state=(9.0,), counters=(0,), workers=2)
    join(state, 0, 1)
    found = []
    for worker, seq, samples, statistic in [(0, 0, 1, 2.0), (1, 0, 3, 6.0), (0, 1, 1, 10.0)]:
        header = push(worker, seq, samples=samples)
        send(state, header, [0.0], [statistic], [seq])
        found.append(state.weights.vectors.state.item())
    assert found == [2.0, 5.0, 7.0] and state.weights.vectors.counters.item() == 1


# The ledger


@pytest.mark.parametrize("mode", wire.MODES)
def test_a_push_that_was_applied_is_answered_and_not_applied_again(make, mode):
    state = make(mode, (0.0,))
    join(state, 0)
    for _ in range(3):
        answer = send(state, push(0, 0), [1.0]).result(0)
        assert numbers(answer) == [-1.0] and answer.reply.version == 1
    assert send(state, push(0, 1), [1.0]).result(0).reply.version == 2
    assert numbers(send(state, push(0, 0), [1.0]).result(0)) == [
        -2.0 + 0.5 * (mode != "synchronous")
    ]
    assert state.status()["counts"]["duplicates"] == 3


def test_a_duplicate_of_a_waiting_push_waits_too(make):
    state = make("synchronous", (0.0,), workers=2)
    join(state, 0, 1)
    first = send(state, push(0, 0), [1.0])
    second = send(state, push(0, 0), [1.0])
    assert not second.done()
    send(state, push(1, 0), [3.0])
    assert numbers(first.result(0)) == numbers(second.result(0)) == [-2.0]


def test_a_duplicate_waits_while_the_first_is_applied(make):
    state = make("asynchronous", (0.0,))
    join(state, 0)
    inside, go_on = threading.Event(), threading.Event()

    class Slow(optimizers.SGD):
        def step(self, *arguments):
            inside.set()
            assert go_on.wait(10)
            super().step(*arguments)

    state.weights.optimizer = Slow(1.0)
    thread = threading.Thread(target=send, args=(state, push(0, 0), [1.0]))
    thread.start()
    assert inside.wait(10)
    duplicate = send(state, push(0, 0), [1.0])
    assert not duplicate.done()
    go_on.set()
    thread.join()
    assert numbers(duplicate.result(5)) == [-1.0] and weights(state) == [-1.0]


@pytest.mark.parametrize("mode", wire.MODES)
def test_gaps_and_strangers_are_refused(make, mode):
    state = make(mode, (0.0,))
    with pytest.raises(Refused, match="hasn't joined"):
        send(state, push(0, 0), [1.0])
    join(state, 0)
    with pytest.raises(Refused, match=r"skips ahead.*seq=0.*seq=1"):
        send(state, push(0, 1), [1.0])
    with pytest.raises(Refused, match="hasn't joined"):
        send(state, push(0, 0, attempt=1), [1.0])
    with pytest.raises(Refused, match="version 5; the server is at 0"):
        send(state, push(0, 0, base=5), [1.0])
    state.leave(0, 0)
    with pytest.raises(Refused, match="has left"):
        send(state, push(0, 0), [1.0])
    assert weights(state) == [0.0] and state.weights.version == 0


@pytest.mark.parametrize("mode", wire.MODES)
def test_a_non_finite_update_is_refused_and_may_be_sent_again(make, mode):
    state = make(mode, (0.0,), state=(1.0,))
    join(state, 0)
    for parameters, statistics in [([float("nan")], [1.0]), ([1.0], [float("inf")])]:
        with pytest.raises(Refused, match="non-finite"):
            send(state, push(0, 0), parameters, statistics)
    assert send(state, push(0, 0), [1.0], [2.0]).result(0).reply.version == 1
    assert weights(state) == [-1.0] and state.weights.vectors.state.tolist() == [2.0]


@pytest.mark.parametrize("mode", wire.MODES)
def test_a_newer_attempt_goes_on_where_the_lost_one_was(make, mode):
    state = make(mode, (0.0,))
    assert join(state, 0)[0] == (0, 0, 0, 0, False, None)
    for seq in range(5):
        send(state, push(0, seq, base=seq, epoch=seq // 3, last=seq == 2), [1.0])
    assert join(state, 0, attempt=1)[0] == (5, 1, 2, 5, False, None)
    with pytest.raises(Fenced):
        send(state, push(0, 5, base=5, epoch=1), [1.0])
    with pytest.raises(Fenced):
        state.beat(0, 0, None)
    with pytest.raises(Fenced):
        state.leave(0, 0)
    with pytest.raises(Fenced):
        join(state, 0)
    send(state, push(0, 5, base=5, attempt=1, epoch=1, last=True), [1.0])
    assert weights(state) == [-6.0]
    assert join(state, 0, attempt=2)[0][:3] == (6, 2, 0)


def test_a_newer_attempt_ends_the_waits_of_the_older_but_not_its_update(make):
    state = make("synchronous", (0.0,), workers=2)
    join(state, 0, 1)
    lost = send(state, push(0, 0), [1.0])
    assert join(state, 0, attempt=1)[0][:3] == (0, 0, 0)
    with pytest.raises(Fenced):
        lost.result(0)
    again = send(state, push(0, 0, attempt=1), [1.0])
    send(state, push(1, 0), [3.0])
    assert numbers(again.result(0)) == [-2.0]


def test_a_newer_attempt_waits_for_the_epoch_that_its_forerunner_finished(make):
    state = make("synchronous", (0.0,), workers=2)
    join(state, 0, 1)
    for seq in range(2):
        lost = send(state, push(0, seq, last=seq == 1), [1.0])
        send(state, push(1, seq), [1.0])
    joined = join(state, 0, attempt=1)[0]
    assert joined[:3] == (1, 0, 1)
    again = send(state, push(0, 1, attempt=1, last=True), [1.0])
    with pytest.raises(Fenced):
        lost.result(0)
    with pytest.raises(Refused, match=r"seq=2 before seq=1 was answered"):
        send(state, push(0, 2, attempt=1, epoch=1), [1.0])
    assert not again.done()
    send(state, push(1, 2, last=True), [1.0])
    assert again.done() and weights(state) == [-3.0]


def test_a_retry_in_an_older_epoch_catches_up(make, clock):
    state = make("synchronous", (0.0,), workers=2, lease=10)
    join(state, 0, 1)
    for worker in (0, 1):
        send(state, push(worker, 0), [1.0])
    clock.now += 11
    state.beat(1, 0, None)
    state.tick()
    assert send(state, push(1, 1, last=True), [1.0]).done()
    assert join(state, 0, attempt=1)[0][:3] == (1, 0, 1)
    ahead = send(state, push(1, 2, epoch=1), [1.0])
    behind = send(state, push(0, 1, attempt=1, last=True), [1.0])
    assert ahead.done() and behind.done()
    ahead = send(state, push(1, 3, epoch=1, last=True), [1.0])
    behind = send(state, push(0, 2, attempt=1, epoch=1), [1.0])
    assert behind.done() and not ahead.done()
    assert send(state, push(0, 3, attempt=1, epoch=1, last=True), [1.0]).done()
    assert ahead.done() and state.updates.closed_epoch == 1


def test_every_history_applies_each_update_once(make):
    """Two workers of three pushes, each maybe sent twice, in every order of arrival."""
    for order in set(itertools.permutations([0, 0, 0, 1, 1, 1])):
        state = make("asynchronous", (0.0,), staleness=None, workers=2)
        join(state, 0, 1)
        done = [0, 0]
        for worker in order:
            for _ in range(2):
                send(state, push(worker, done[worker]), [float(worker + 1)])
            done[worker] += 1
        assert weights(state) == [-9.0] and state.weights.version == 6


# Stop, rate, gate, errors


def test_stop_answers_all_waits_and_freezes_the_weights(make):
    state = make("synchronous", (0.0,), workers=2, gated=True)
    join(state, 0, 1)
    waiting = send(state, push(0, 0), [1.0])
    gated = state.report(1, 0, 0, {})
    state.control(stop=True)
    assert waiting.result(0).reply == (0, True, None) and gated.result(0).stop
    assert send(state, push(1, 0), [1.0]).result(0).reply.stop
    assert weights(state) == [0.0] and state.beat(0, 0, None).stop


def test_a_rate_is_passed_on_and_set_only_where_it_is_the_servers(make):
    for server_rate, expected in [(False, 1.0), (True, 0.25)]:
        state = make("asynchronous", (0.0,), server_rate=server_rate)
        join(state, 0)
        state.control(learning_rate=0.25)
        answer = send(state, push(0, 0), [1.0]).result(0)
        assert answer.reply.learning_rate == 0.25 and numbers(answer) == [-expected]
    with pytest.raises(Refused, match="learning_rate=-1"):
        state.control(learning_rate=-1.0)


def test_gated_reports_wait_for_their_release(make, clock):
    state = make("synchronous", workers=2, gated=True, lease=10, round_timeout=60)
    join(state, 0, 1)
    first, later = state.report(0, 0, 0, {"loss": 1}), state.report(1, 0, 1, {})
    clock.now += 30
    state.tick()
    assert state.ledger.workers[0].state == "active"
    state.control(release_epoch=0)
    assert first.done() and not later.done()
    assert state.report(1, 0, 0, {}).done()
    clock.now += 31
    state.tick()
    with pytest.raises(WaitTimeout, match="release epoch 1"):
        later.result(0)


def test_a_report_counts_once(make):
    state = make("asynchronous")
    join(state, 0)
    for _ in range(3):
        state.report(0, 0, 0, {"loss": 0.5})
    reports = [e for e in state.events.after(0) if e["kind"] == "report"]
    assert [(e["worker"], e["epoch"], e["summary"]) for e in reports] == [(0, 0, {"loss": 0.5})]


@pytest.mark.parametrize("mode", wire.MODES)
def test_an_optimizer_that_raises_is_an_error_and_the_next_push_works(make, mode):
    state = make(mode, (0.0,))
    join(state, 0)
    rule = state.weights.optimizer

    class Broken(optimizers.SGD):
        def step(self, parameters, *_):
            if mode != "hogwild":
                parameters.fill_(7.0)
            raise ArithmeticError("no")

    state.weights.optimizer = Broken()
    with pytest.raises(ServerError, match="ArithmeticError: no"):
        send(state, push(0, 0), [1.0]).result(0)
    state.weights.optimizer = rule
    answer = send(state, push(0, 0), [1.0]).result(0)
    assert answer.reply.version == 1 and numbers(answer) == [-1.0]


def test_clipping_by_weight_uses_the_weights_lengths(make):
    rule = optimizers.SGD(1.0, clipnorm=1.0)
    state = make("synchronous", (0.0, 0.0, 0.0), rule, weight_sizes=[2, 1])
    join(state, 0)
    send(state, push(0, 0), [3.0, 4.0, 0.5])
    assert weights(state) == pytest.approx([-0.6, -0.8, -0.5])


def test_initial_vectors_are_copied(vectors, settings):
    initial = vectors([1.0])
    state = State(settings("asynchronous", initial), initial)
    initial.parameters.zero_()
    assert weights(state) == [1.0]


def test_events_are_numbered_and_only_the_last_are_kept(make):
    state = make("asynchronous")
    for epoch in range(10_005):
        state.events.add("epoch", epoch=epoch)
    assert [e["number"] for e in state.events.after(10_003)] == [10_004, 10_005]
    state.events.add("epoch", epoch=10_005)
    assert state.events.after(0)[0]["number"] == 7 and state.events.after(99_999) == []
    waiting = state.events.wait(10_006)
    assert not waiting.done()
    state.events.add("leave", worker=1)
    assert [e["kind"] for e in waiting.result(0)] == ["leave"]


@pytest.mark.parametrize("mode", wire.MODES)
def test_an_answer_never_changes_and_its_memory_is_used_again_when_it_is_gone(make, mode):
    state = make(mode, (0.0,))
    join(state, 0)
    kept = [state.pull()]
    for seq in range(5):
        kept.append(send(state, push(0, seq, base=seq), [1.0]).result(0))
    assert [numbers(one) for one in kept] == [[0.0], [-1.0], [-2.0], [-3.0], [-4.0], [-5.0]]
    with pytest.raises(TypeError, match="read-only"):
        kept[0].body[0] = 1
    kept.clear()
    for seq in range(5, 100):
        send(state, push(0, seq, base=seq), [1.0]).result(0)
    pool = state.weights.pool
    assert len(pool._lent) == 1 and len(pool._spare) <= 6
    assert numbers(state.pull()) == [-100.0]


# Constraints, running means, schedules


@pytest.mark.parametrize("mode", wire.MODES)
@pytest.mark.parametrize("rule", [optimizers.SGD(1.0), optimizers.SGD(1.0, momentum=0.5)])
def test_weights_are_projected_after_each_step(make, mode, rule):
    specs = [{"kind": "UnitNorm", "config": {"axis": 0}, "offset": 1, "shape": [2, 1]}]
    state = make(mode, [1.0, 1.0, 0.0], rule, constraints=specs)
    join(state, 0)
    send(state, push(0, 0), [1.0, -2.0, -4.0])
    assert weights(state) == pytest.approx([0.0, 0.6, 0.8])


@pytest.mark.parametrize("mode", wire.MODES)
def test_the_running_mean_is_put_in_when_training_ends(make, mode):
    rule = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    state = make(mode, [0.0, 0.0], rule)
    join(state, 0)
    for number in range(2):
        send(state, push(0, number, base=number), [-1.0, 0.0])
    assert weights(state) == [2, 0]
    state.control(finalize=True)
    assert weights(state) == [1.5, 0]
    assert numbers(state.pull()) == [1.5, 0]
    assert state.weights.version == 3


def test_without_a_running_mean_nothing_changes_at_the_end(make):
    state = make("synchronous")
    state.control(finalize=True)
    assert state.weights.version == 0


def test_a_rate_is_refused_where_a_schedule_decides(make):
    rate = optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    state = make("asynchronous", optimizer=optimizers.SGD(rate), server_rate=True)
    join(state, 0)
    with pytest.raises(Refused, match="LearningRateSchedule, which decides"):
        state.control(learning_rate=0.5)
    for number in range(2):
        send(state, push(0, number, base=number), [-1.0, 0.0])
    assert weights(state) == [1.5, 0]
    assert state.reply().learning_rate is None
