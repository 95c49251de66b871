"""Updates between the ledger and the weights; what a whole server makes of them: test_state.py."""

import threading
from collections import Counter

import pytest

from elephas_torch.errors import Refused, ServerError
from elephas_torch.parameter import Push
from elephas_torch.parameter.events import EventLog
from elephas_torch.parameter.ledger import Ledger
from elephas_torch.parameter.orders import Orders
from elephas_torch.parameter.updates import Updates
from elephas_torch.parameter.weights import Weights


@pytest.fixture
def make(settings, vectors):
    def made(mode, **more):
        initial = vectors([0.0])
        given = settings(mode, initial, staleness=None, workers=2, **more)
        weights, events = Weights(given, initial), EventLog()
        ledger = Ledger(2, 60.0, lambda: 0.0, events, weights.board)
        for worker in range(2):
            ledger.join(worker, 0, 1, {})
        orders = Orders(weights, server_rate=True)
        return Updates(given, weights, ledger, events, orders, Counter(), threading.Lock())

    return made


def push(worker=0, seq=0, epoch=0, last=False, base=0):
    return Push(worker, 0, seq, base, 1, epoch, last)


def test_an_update_is_applied_once_and_both_answers_have_it(make, vectors):
    updates = make("asynchronous")
    for _ in range(2):
        answer = updates.push(push(), vectors([-1.0])).result(0)
        assert (answer.reply.version, float(updates.weights.vectors.parameters)) == (1, 1.0)
    assert updates.counts == {"pushes": 1, "duplicates": 1}
    assert updates.staleness == {0: 1}


def test_a_round_waits_for_all_and_an_epoch_is_told_once(make, vectors):
    updates = make("synchronous")
    first = updates.push(push(last=True), vectors([-1.0]))
    assert not first.done() and updates.weights.version == 0
    updates.push(push(1, last=True), vectors([-3.0])).result(0)
    assert first.result(0).reply.version == 1
    assert float(updates.weights.vectors.parameters) == 2.0
    assert updates.counts == {"pushes": 2, "rounds": 1} and updates.closed_epoch == 0
    updates.look()
    assert [(one["kind"], one["epoch"]) for one in updates.events.after(0)] == [("epoch", 0)]


def test_what_is_dropped_is_owed_an_answer_and_comes_to_nothing(make, vectors):
    updates = make("synchronous")
    first = updates.push(push(), vectors([-1.0]))
    updates.orders.stop = True
    assert updates.drop() == [first] and updates.drop() == []
    assert updates.push(push(1), vectors([-1.0])).result(0).reply.stop
    assert updates.weights.version == 0
    assert make("asynchronous").drop() == []


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_what_is_being_applied_at_a_stop_is_applied_and_answered(make, vectors, mode):
    updates = make(mode, staleness_bound=None if mode == "synchronous" else 0)
    if mode == "synchronous":
        updates.push(push(1), vectors([-1.0]))
    owed = []

    class Stopped:
        """Stops when the update has been let in and isn't applied yet."""

        def __enter__(self):
            updates.orders.stop = True
            owed.extend(updates.drop())

        def __exit__(self, *error):
            pass

    updates.whole = Stopped()
    reply = updates.push(push(), vectors([-1.0])).result(0).reply
    assert reply.version == 1 and reply.stop
    assert float(updates.weights.vectors.parameters) == 1.0
    assert owed == [] and not updates.ledger.pending()
    assert updates.counts["pushes"] == updates.ledger.workers[0].seq + updates.ledger.workers[1].seq


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_what_is_refused_is_not_begun(make, vectors, mode):
    updates = make(mode)
    for head, update, why in (
        (push(), [float("nan")], "finite"),
        (push(base=1), [1.0], "computed at version 1"),
        (push(seq=1), [1.0], "skips ahead"),
    ):
        with pytest.raises(Refused, match=why):
            updates.push(head, vectors(update))
    assert updates.counts == {"refused": 3}
    assert not updates.ledger.pending() and updates.weights.version == 0


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_where_a_step_fails_all_are_told_and_may_send_again(make, vectors, mode, monkeypatch):
    updates = make(mode)

    def fails(*_):
        raise RuntimeError("no memory")

    with monkeypatch.context() as broken:
        for step in ("step", "step_round"):
            broken.setattr(updates.weights, step, fails)
        answers = [updates.push(push(worker), vectors([-1.0])) for worker in range(2)]
        for answer in answers:
            with pytest.raises(ServerError, match="RuntimeError: no memory"):
                answer.result(0)
    assert not updates.ledger.pending()
    answers = [updates.push(push(worker), vectors([-1.0])) for worker in range(2)]
    assert all(answer.result(0).reply.version for answer in answers)
