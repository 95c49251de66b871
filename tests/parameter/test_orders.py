"""What the driver orders, and how workers are told."""

import pytest

from elephas_torch import optimizers
from elephas_torch.errors import Refused
from elephas_torch.parameter import Reply
from elephas_torch.parameter.orders import Orders
from elephas_torch.parameter.weights import Weights


@pytest.fixture
def made(settings, vectors):
    def make(mode="asynchronous", rule=None, server_rate=True):
        initial = vectors([1.0, 2.0])
        weights = Weights(settings(mode, initial, rule), initial)
        return weights, Orders(weights, server_rate)

    return make


def test_each_answer_begins_with_the_orders(made):
    weights, orders = made()
    assert orders.reply() == Reply(0, False, None)
    orders.stop = True
    orders.set_rate(0.5)
    assert orders.answer() == (Reply(0, True, 0.5), weights.snapshot()[1])
    assert orders.before(7, memoryview(b"x")) == (Reply(7, True, 0.5), b"x")


@pytest.mark.parametrize(("server_rate", "rate"), [(True, 0.5), (False, 1.0)])
def test_the_server_steps_with_the_rate_where_it_makes_the_steps(made, server_rate, rate):
    weights, orders = made(server_rate=server_rate)
    orders.set_rate(0.5)
    assert (orders.learning_rate, weights.optimizer.learning_rate) == (0.5, rate)


@pytest.mark.parametrize("rate", [-0.1, float("inf"), float("nan")])
def test_a_rate_that_is_none_changes_nothing(made, rate):
    weights, orders = made()
    with pytest.raises(Refused, match="a number of 0 or more"):
        orders.set_rate(rate)
    assert (orders.learning_rate, weights.optimizer.learning_rate) == (None, 1.0)


def test_where_a_schedule_decides_a_rate_is_refused(made):
    _, orders = made(rule=optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(Refused, match="LearningRateSchedule"):
        orders.set_rate(0.5)
    assert orders.learning_rate is None


def test_who_steps_by_itself_finds_them_on_the_board(made):
    weights, orders = made("hogwild")
    assert weights.board.reply(3) == Reply(3, False, None)
    orders.stop = True
    orders.set_rate(0.5)
    orders.tell()
    assert weights.board.reply(3) == Reply(3, True, 0.5)
