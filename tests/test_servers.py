"""A fit's server as its driver sees it; whole fits whose server falls are in test_recovery.py."""

import time

import pytest

from elephas_torch import optimizers, servers
from elephas_torch.classic import Classic
from elephas_torch.config import Config
from elephas_torch.errors import ServerError, Unreachable, WaitTimeout
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.options import Options
from elephas_torch.parameter.tls import Wanted
from elephas_torch.plan import Plan
from elephas_torch.stepping import step_of

pytestmark = pytest.mark.spark


def options(**settings):
    plan = Plan(None, False, 1, 0, 4, 0.0, True, None, 1, patience=5.0)
    return Options(Config(**settings), plan, optimizers.SGD(1.0), 1, Wanted(), None, None)


def started(spark_context, given):
    model = Sequential([Dense(1, input_dim=2)])
    model.compile(loss="mse", optimizer="sgd")
    flat = step_of(model).flat
    return servers.started(model, flat, given, Classic(spark_context), watched=False)


@pytest.mark.parametrize("shards", [1, 2])
def test_a_server_that_ends_is_noticed_and_told_of(spark_context, shards):
    with started(spark_context, options(num_shards=shards)) as server:
        server.await_start()
        server.check()
        server.shards.kill()
        with pytest.raises(Unreachable):
            for _ in range(100):
                time.sleep(0.05)
                server.check()
        with pytest.raises(ServerError, match=r"With fit\(checkpoint_dir=…\) it would have been"):
            server.give_up(Unreachable("It is gone."))


def test_a_silent_server_is_ended_and_told_of(spark_context):
    with started(spark_context, options()) as server:
        server.await_start()
        with pytest.raises(ServerError, match=r"process runs, but is silent\. 5 s\. With fit"):
            server.give_up(WaitTimeout("5 s."))
        assert not server.shards.alive


def test_a_server_that_does_not_begin_is_waited_for_no_longer_than_the_workers_are(spark_context):
    given = options(join_timeout=0.001)
    with started(spark_context, given) as server, pytest.raises(servers.FALLEN):
        server.await_start()
