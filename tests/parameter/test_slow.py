"""Slow workers: rounds of a quorum, and how far ahead of the slowest the others may go."""

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, slow, wire
from elephas_torch.parameter.state import State


@pytest.fixture
def make(vectors, settings):
    def state(mode, workers, optimizer=None, size=2, statistics=(), clock=None, **more):
        initial = vectors([0.0] * size, statistics, [0] * len(statistics))
        how = settings(mode, initial, optimizer, workers=workers, **more)
        made = State(how, initial, clock or (lambda: 0.0))
        for number in range(workers):
            made.join(number, 0, 10, {})
        return made

    return state


def send(state, worker, seq, base, parameters, *, samples=1, epoch=0, last=False, more=((), ())):
    update = Vectors(
        torch.as_tensor(parameters, dtype=torch.float32).clone(),
        torch.tensor(more[0], dtype=torch.float32),
        torch.tensor(more[1], dtype=torch.int64),
    )
    return state.push(Push(worker, 0, seq, base, samples, epoch, last), update)


def weights(state):
    return state.weights.vectors.parameters.tolist()


def test_settings_travel(vectors, settings):
    sizes = vectors([0.0])
    for how in (
        settings("synchronous", sizes, quorum=0.9),
        settings("hogwild", sizes, staleness_bound=0),
    ):
        assert wire.settings_from_json(wire.settings_to_json(how)) == how


# Quorum


@pytest.mark.parametrize(
    ("quorum", "count", "expected"),
    [(1, 7, 7), (0.7, 10, 7), (0.9, 10, 9), (0.5, 3, 2), (0.01, 4, 1)],
)
def test_how_many_are_enough(quorum, count, expected):
    assert slow.needed(quorum, count) == expected


def test_a_round_closes_without_the_slowest_whose_update_comes_later_and_smaller(make):
    state = make("synchronous", 3, quorum=0.6, statistics=(9.0,))
    first = send(state, 0, 0, 0, [2.0, 0.0], more=((2.0,), (1,)))
    assert not first.done()
    assert send(state, 1, 0, 0, [0.0, 4.0], more=((4.0,), (2,))).done()
    assert first.result(0).reply.version == 1 and weights(state) == [-1.0, -2.0]
    late = send(state, 2, 0, 0, [8.0, 8.0], samples=3, more=((1.0,), (7,)))
    assert not late.done()  # it is answered with the round that takes it in
    assert send(state, 0, 1, 1, [4.0, 4.0], more=((6.0,), (3,))).done()
    # (3 * 8 / 2 + 4) / (3 + 1) = 4; statistics (3 / 2 * 1 + 6) / (3 / 2 + 1) = 3
    assert late.result(0).reply.version == 2 and weights(state) == [-5.0, -6.0]
    assert state.weights.vectors.state.tolist() == [3.0]
    assert state.weights.vectors.counters.tolist() == [7]
    assert state.status()["staleness"] == {"0": 3, "1": 1}


@pytest.mark.parametrize("staleness", ["scale", None])
def test_a_quorum_of_one_worker_is_asynchronous_to_the_bit(make, staleness):
    torch.manual_seed(0)
    rule = optimizers.Adam(0.01)
    both = [
        make("synchronous", 3, rule, 20, quorum=0.1, staleness=staleness),
        make("asynchronous", 3, rule, 20, staleness=staleness),
    ]
    versions, seqs = [0, 0, 0], [0, 0, 0]
    for worker in torch.randint(3, (40,)).tolist():
        update = torch.randn(20)
        for state in both:
            reply = send(state, worker, seqs[worker], versions[worker], update).result(0).reply
        versions[worker], seqs[worker] = reply.version, seqs[worker] + 1
        assert bytes(both[0].pull().body) == bytes(both[1].pull().body)


@pytest.mark.parametrize("staleness", ["scale", None])
def test_rounds_with_late_updates_equal_one_process(make, staleness):
    """Four workers, of whom another one is late in each round, and comes in the next."""
    torch.manual_seed(1)
    rows, goal = torch.randn(4 * 24, 5), torch.randn(4 * 24)

    def gradient(w, worker, seq):
        part = slice(24 * worker + 4 * (seq % 6), 24 * worker + 4 * (seq % 6) + 4)
        w = w.detach().clone().requires_grad_()
        loss = ((rows[part] @ w).tanh() - goal[part]).square().mean()
        return torch.autograd.grad(loss, w)[0]

    state = make(
        "synchronous", 4, optimizers.SGD(0.1, momentum=0.9), 5, quorum=0.7, staleness=staleness
    )
    alone, rule = torch.zeros(5), optimizers.SGD(0.1, momentum=0.9)
    has = {worker: (0, alone.clone()) for worker in range(4)}
    seqs, waiting = [0] * 4, []
    for version in range(30):
        late = version % 4
        # Those that waited have pushed already; the late one of this round pushes after it.
        there = [worker for worker in range(4) if worker != late and worker not in waiting]
        found = {w: gradient(has[w][1], w, seqs[w]) for w in [*there, *waiting, late]}
        total, mean = 0.0, torch.zeros(5)
        for worker in there + waiting:
            missed = version - has[worker][0]
            mean += 4 * found[worker] / (missed + 1 if staleness else 1)
            total += 4
        rule.step(alone, mean / total)
        for worker in there:
            assert state.weights.version == version
            send(state, worker, seqs[worker], has[worker][0], found[worker], samples=4)
        assert state.weights.version == version + 1
        for worker in there + waiting:
            seqs[worker], has[worker] = seqs[worker] + 1, (version + 1, alone.clone())
        send(state, late, seqs[late], has[late][0], found[late], samples=4)
        waiting = [late]
    torch.testing.assert_close(state.weights.vectors.parameters, alone, rtol=1e-6, atol=1e-7)
    assert state.status()["staleness"] == {"0": 61, "1": 29}


def test_the_end_of_an_epoch_does_not_wait_for_the_slowest(make):
    state = make("synchronous", 3, quorum=0.6)
    first = send(state, 0, 0, 0, [1.0, 1.0], last=True)
    assert not first.done()
    assert send(state, 1, 0, 0, [1.0, 1.0], last=True).done() and first.done()
    for worker in (0, 1):
        answer = send(state, worker, 1, 1, [1.0, 1.0], epoch=1, last=True)
    assert answer.done() and state.updates.closed_epoch == -1
    assert not send(state, 2, 0, 0, [1.0, 1.0], last=True).done()  # alone, it is no quorum
    state.leave(0, 0)
    assert state.status()["missing"] == [1]
    state.leave(1, 0)
    assert state.status()["missing"] == [2]
    assert send(state, 2, 1, 3, [1.0, 1.0], epoch=1, last=True).done()
    epochs = [event["epoch"] for event in state.events.after(0) if event["kind"] == "epoch"]
    assert epochs == [0, 1] and state.status()["counts"]["pushes"] == 6


def test_the_first_round_waits_for_all_to_join(vectors, settings):
    initial = vectors([0.0])
    state = State(settings("synchronous", initial, workers=3, quorum=0.3), initial, lambda: 0.0)
    state.join(0, 0, 1, {})
    waiting = send(state, 0, 0, 0, [1.0])
    state.join(1, 0, 1, {})
    assert not waiting.done()
    state.join(2, 0, 1, {})
    assert waiting.done()


def test_a_quorum_that_never_comes_names_who_is_missing(make):
    now = [0.0]
    state = make("synchronous", 3, quorum=0.6, round_timeout=30, lease=1e9, clock=lambda: now[0])
    waiting = send(state, 1, 0, 0, [1.0, 1.0])
    now[0] = 31.0
    state.tick()
    with pytest.raises(WaitTimeout, match=r"30 s for the round to close; missing: worker 0, 2\."):
        waiting.result(0)


@pytest.mark.parametrize("quorum", [0, -0.5, 1.1, "half", True, None, float("nan")])
def test_a_quorum_is_a_share(vectors, settings, quorum):
    with pytest.raises(ValueError, match=r"above 0, up to 1.*Received: quorum="):
        settings("synchronous", vectors([0.0]), quorum=quorum)


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_quorum_is_for_synchronous_mode(vectors, settings, mode):
    with pytest.raises(ValueError, match="quorum` is for mode='synchronous'"):
        settings(mode, vectors([0.0]), quorum=0.9)


# A bound of staleness


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
@pytest.mark.parametrize("bound", [0, 2])
def test_nobody_is_further_ahead_than_the_bound(make, mode, bound):
    state = make(mode, 2, staleness=None, staleness_bound=bound)
    for seq in range(bound):
        assert send(state, 0, seq, 0, [1.0, 0.0]).done()
    waiting = send(state, 0, bound, 0, [1.0, 0.0])
    assert not waiting.done() and weights(state)[0] == -bound - 1  # it counts at once
    assert state.status()["missing"] == [1] and state.status()["workers"]["0"]["waiting"]
    again = send(state, 0, bound, 0, [1.0, 0.0])
    assert send(state, 1, 0, 0, [0.0, 1.0]).done()
    for future in (waiting, again):  # with the weights of then
        assert future.result(0).reply.version == bound + 2 == state.weights.version
    assert state.status()["missing"] == []


@pytest.mark.parametrize("how", ["leaves", "fails", "expires", "never joined", "has no rows"])
def test_who_is_not_there_is_not_waited_for(vectors, settings, how):
    now, initial = [0.0], vectors([0.0, 0.0])
    more = {"workers": 2, "staleness_bound": 0, "lease": 10}
    state = State(settings("asynchronous", initial, **more), initial, lambda: now[0])
    state.join(0, 0, 10, {})
    if how != "never joined":
        state.join(1, 0, 0 if how == "has no rows" else 10, {})
    waiting = send(state, 0, 0, 0, [1.0, 1.0])
    assert waiting.done() == (how in ("never joined", "has no rows"))
    if how == "leaves":
        state.leave(1, 0)
    elif how == "fails":
        state.fail(1, 0, {})
    elif how == "expires":
        now[0] = 11.0
        state.tick()
    assert waiting.done()


def test_who_comes_late_counts_from_the_slowest(make):
    now = [0.0]
    state = make("asynchronous", 2, staleness_bound=1, lease=10, clock=lambda: now[0])
    now[0] = 11.0
    state.beat(0, 0, None)
    state.tick()  # worker 1 is given up
    for seq in range(5):
        assert send(state, 0, seq, 0, [1.0, 1.0]).done()
    state.join(2, 0, 10, {})  # a third, for which there was no slot
    assert send(state, 0, 5, 0, [1.0, 1.0]).done()
    assert not send(state, 0, 6, 0, [1.0, 1.0]).done()
    late = send(state, 1, 0, 0, [1.0, 1.0])  # it is back, and waited for no longer than another
    assert late.done() and state.ledger.workers[0].pending is not None
    assert send(state, 2, 0, 0, [1.0, 1.0]).done() and state.ledger.workers[0].pending is None


def test_a_new_attempt_waits_as_the_lost_one_did(make):
    state = make("asynchronous", 2, (optimizers.SGD(1.0)), staleness_bound=0, staleness=None)
    lost = send(state, 0, 0, 0, [1.0, 0.0])
    assert state.join(0, 1, 10, {})[:3] == (0, 0, 0) and lost.exception(0)
    update = Vectors(torch.ones(2), torch.zeros(0), torch.zeros(0).long())
    again = state.push(Push(0, 1, 0, 1, 1, 0, False), update)
    assert not again.done() and weights(state) == [-1.0, 0.0]
    send(state, 1, 0, 0, [0.0, 1.0])
    assert again.done() and weights(state) == [-1.0, -1.0]


def test_a_wait_for_the_slowest_names_it(make):
    now = [0.0]
    state = make("hogwild", 3, staleness_bound=0, round_timeout=30, lease=1e9, clock=lambda: now[0])
    send(state, 1, 0, 0, [1.0, 1.0])
    waiting = send(state, 0, 0, 0, [1.0, 1.0])
    now[0] = 31.0
    state.tick()
    with pytest.raises(WaitTimeout, match=r"\(staleness_bound=0\); too far behind: worker 2\."):
        waiting.result(0)


def test_stop_answers_who_is_ahead(make):
    state = make("asynchronous", 2, staleness_bound=0)
    waiting = send(state, 0, 0, 0, [1.0, 1.0])
    state.control(stop=True)
    assert waiting.result(0).reply.stop


def test_workers_do_not_step_by_themselves_under_a_bound(make):
    assert make("hogwild", 2).weights.board is not None
    assert make("hogwild", 2, staleness_bound=3).weights.board is None


@pytest.mark.parametrize("bound", [-1, 0.5, "2", True])
def test_a_bound_is_a_whole_number(vectors, settings, bound):
    with pytest.raises(ValueError, match=r"whole number, 0 or more.*Received: staleness_bound="):
        settings("asynchronous", vectors([0.0]), staleness_bound=bound)


def test_a_bound_is_not_for_synchronous_mode(vectors, settings):
    with pytest.raises(ValueError, match="is for modes 'asynchronous' and 'hogwild'"):
        settings("synchronous", vectors([0.0]), staleness_bound=3)
