"""Fits that nobody works for. What becomes of one on a cluster is in tests/faults."""

import threading
import time

import pytest

from elephas_torch import idle
from elephas_torch.classic import Classic
from elephas_torch.connect import Connect
from elephas_torch.errors import WaitTimeout
from elephas_torch.idle import Idle

pytestmark = pytest.mark.spark


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(idle, "PAUSE", 0.05)
    monkeypatch.setattr(idle, "LEAST", 0.1)


def watched(found, seconds, active=0, came=0):
    """What comes of looking for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (error := found.ended(active, came)) is not None:
            return error
        time.sleep(0.02)
    return None


def test_nobody_comes(spark_context, caplog):
    began = time.monotonic()
    error = watched(Idle(Classic(spark_context), 2, 0.6, 60.0), 20)
    assert isinstance(error, WaitTimeout)
    assert 0.6 < time.monotonic() - began < 5
    assert str(error).startswith("No task has run for 0.6 s, and none of 2 workers has come: Spark")
    assert "Raise `join_timeout`" in str(error)
    said = [one for one in caplog.messages if "waiting for executors, for 0.6 s at most" in one]
    assert len(said) == 1


def test_all_are_lost(spark_context):
    error = watched(Idle(Classic(spark_context), 2, 0.3, 60.0), 20, came=2)
    assert "No task has run for 0.3 s, and all workers were lost" in str(error)


def test_some_came_and_left(spark_context):
    error = watched(Idle(Classic(spark_context), 3, 0.3, 60.0), 20, came=1)
    assert "No task has run for 0.3 s, and 1 of 3 workers came, of which none is left" in str(error)


def test_spark_gets_time_to_tell_of_tasks(spark_context, monkeypatch):
    monkeypatch.setattr(idle, "LEAST", 1.0)
    assert watched(Idle(Classic(spark_context), 2, 0.1, 0.1), 0.5) is None


def test_somebody_trains(spark_context):
    assert watched(Idle(Classic(spark_context), 2, 0.2, 60.0), 1, active=1) is None


def test_tasks_of_any_job_are_waited_for(spark_context):
    """An earlier stage of the rows, say, or another job of the application."""
    cluster = Classic(spark_context)
    assert cluster.running() == 0

    def run():  # many of them: Spark tells of tasks late where nothing else happens
        spark_context.parallelize(range(200), 200).map(lambda _: time.sleep(0.1)).count()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not cluster.running():
            time.sleep(0.02)
        found = Idle(cluster, 2, 1.5, 60.0)
        assert watched(found, 3) is None
    finally:
        thread.join()
    assert watched(found, 20) is not None  # from the end of that job on


class Silent(Connect):
    """A Spark that can't tell whether tasks run, as Spark Connect."""

    def __init__(self):
        self.asked = 0

    def running(self):
        self.asked += 1
        return super().running()


def test_where_spark_cannot_tell_the_longer_limit_holds():
    cluster = Silent()
    found = Idle(cluster, 2, 0.2, 0.8)
    assert watched(found, 0.5) is None
    assert "No task has run for 0.8 s" in str(watched(found, 20))
    assert cluster.asked


def test_a_spark_that_was_stopped_ends_the_job_itself(spark_context):
    class Stopped(Classic):
        def running(self):
            raise AttributeError("'NoneType' object has no attribute 'sc'")

    assert watched(Idle(Stopped(spark_context), 2, 0.1, 60.0), 0.5) is None
