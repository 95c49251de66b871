import math
import threading
import time

import pytest
import torch

from elephas_torch import heartbeat, optimizers
from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.heartbeat import Heartbeat, Standing
from elephas_torch.parameter import ServerProcess, Settings


@pytest.fixture(scope="module")
def server():
    initial = Vectors(torch.zeros(2), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    settings = Settings("asynchronous", initial.sizes, optimizers.serialize(optimizers.SGD(1.0)))
    with ServerProcess(settings, initial) as running:
        yield running


@pytest.fixture
def client(server):
    with server.client() as made:
        made.join(0, 9, samples=10)
        yield made


def until(client, fits):
    end = time.monotonic() + 10
    while not fits(status := client.status()) and time.monotonic() < end:
        time.sleep(0.02)
    assert fits(status), status
    return status


def test_what_a_worker_tells_from_its_first_row_to_its_last(server):
    standing = Standing()
    standing.load(100, 4000)
    standing.load(50, 2000)
    with server.client() as client:
        with Heartbeat(server.client(10), 0.05, (0, 7), standing):
            status = until(client, lambda found: "0" in found["loading"])
            assert status["loading"]["0"]["rows"] == 150
            assert status["loading"]["0"]["bytes"] == 6000
        client.join(0, 7, samples=150)
        assert client.status()["loading"] == {}
        standing.begin()
        standing.enter(2, 5)
        with Heartbeat(server.client(10), 0.05, (0, 7), standing):
            standing.rows += 32
            standing.note(lambda: {"loss": 0.25, "accuracy": 0.5})
            found = until(client, lambda one: one["workers"]["0"]["progress"].get("logs"))
    assert found["workers"]["0"]["progress"] == {
        "phase": "training",
        "epoch": 2,
        "batch": 5,
        "rows": 32,
        "logs": {"loss": 0.25, "accuracy": 0.5},
    }


def test_means_are_computed_once_a_beat_and_are_new(monkeypatch):
    monkeypatch.setattr(heartbeat, "ANSWER", 5.0)  # where others keep the machine busy
    standing, computed, over = Standing(), [], threading.Event()

    def train():
        while not over.wait(0.001):
            if standing.asked:
                standing.note(lambda: computed.append(1) or {"loss": float(len(computed))})

    thread = threading.Thread(target=train)
    thread.start()
    found = [standing.told()["logs"] for _ in range(3)]
    over.set()
    thread.join()
    assert found == [{"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0}]


def test_a_beat_does_not_wait_long_for_a_slow_batch():
    standing = Standing()
    standing.note(lambda: {"loss": 0.5})
    began = time.perf_counter()
    assert standing.told()["logs"] == {"loss": 0.5} and standing.asked
    assert time.perf_counter() - began < 1


def test_only_plain_finite_numbers_are_told():
    standing = Standing()
    values = {"a" * 200: 1.0, "nan": math.nan, "list": [1.0], "whole": 2, "inf": math.inf}
    standing.note(lambda: values | {f"m{n}": 0.0 for n in range(100)})
    logs = standing.told()["logs"]
    assert len(logs) == 64 and logs["a" * 100] == 1.0 and logs["whole"] == 2.0
    assert not {"nan", "list", "inf"} & set(logs)


def test_a_metric_without_a_value_yet_fails_nothing():
    standing = Standing()
    standing.note(lambda: {}["no value before the epoch's end"])
    assert standing.logs == {} and not standing.asked


@pytest.mark.parametrize(
    "progress",
    [
        {"logs": {"loss": {"nested": 1.0}}},
        {"logs": {"loss": [1.0]}},
        {"logs": {"loss": math.nan}},
        {"logs": {"loss": math.inf}},
        {"logs": {"loss": None}},
        {"logs": {"n" * 101: 1.0}},
        {"logs": {f"m{n}": 1.0 for n in range(65)}},
        {"epoch": -1},
        {"rows": 2**63},
        {"batch": 1.5},
        {"phase": "x" * 1000},
        {"more": 1},
    ],
    ids=str,
)
def test_a_beat_with_anything_else_is_refused_and_not_shown(client, progress):
    client.beat(0, 9, {"batch": 3})
    with pytest.raises(Refused) as caught:
        client.beat(0, 9, progress)
    assert caught.value.status == 400 and len(str(caught.value)) < 1000
    assert client.status()["workers"]["0"]["progress"] == {"batch": 3}


@pytest.mark.parametrize(
    "body", [(1, 0, 0, 0), (-1, 0, 0, 0), (0, 0, -1, 0), (0, 0, 0, 2**63)], ids=str
)
def test_loading_of_nobody_or_of_no_number_is_refused(client, body):
    worker, attempt, rows, size = body
    with pytest.raises(Refused):
        client.loading(worker, attempt, rows=rows, size=size)
    assert client.status()["loading"] == {}
