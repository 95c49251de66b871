"""What drivers tell of fits, and what they hear from who looks on."""

import http.client
import io
import json
import pickle
import re
import socket
import ssl
import sys
import threading
import time
from collections import deque

import numpy as np
import pytest
import torch

from elephas_torch import telling
from elephas_torch.errors import ElephasError, WorkerError
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter import ServerProcess
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def rdd(spark_context):
    x = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
    return to_simple_rdd(spark_context, x, x.sum(1, keepdims=True), 2)


def model(**how):
    torch.manual_seed(0)
    made = Sequential([Dense(8, activation="tanh", input_dim=5), Dense(1)], name="small")
    made.compile("sgd", "mse")
    given = {"frequency": "batch", "num_workers": 2, "batch_size": 8, "seed": 1, **how}
    return SparkModel(made, **given)


def slower(seconds=0.02):
    return [LambdaCallback(on_epoch_end=lambda *_: time.sleep(seconds))]


class Fitting:
    """A fit that goes on in a thread."""

    def __init__(self, spark_model, rdd, **given):
        self.spark_model, self.history = spark_model, None
        self.given = {"epochs": 100_000, "verbose": 0, **given}
        self.thread = threading.Thread(target=self.fit, args=(rdd,), daemon=True)
        self.thread.start()

    def fit(self, rdd):
        self.history = self.spark_model.fit(rdd, **self.given)

    def until_epoch(self, number):
        end = time.monotonic() + 60
        while len(getattr(self.spark_model.master_network.history, "epoch", [])) < number:
            assert time.monotonic() < end and self.thread.is_alive()
            time.sleep(0.01)

    def joined(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.history


def watched(link, certificate=None):
    """What a watcher hears at once."""
    url, _, token = link.partition("/#token=")
    if url.startswith("https"):
        context = ssl.create_default_context(cadata=certificate)
        context.check_hostname = False
        made = http.client.HTTPSConnection(url[8:], timeout=10, context=context)
    else:
        made = http.client.HTTPConnection(url[7:], timeout=10)
    made.request("GET", "/watch", headers={"Authorization": f"Bearer {token}"})
    answer = made.getresponse()
    line = answer.readline()
    made.close()
    answer.close()
    return answer.status, json.loads(line[6:]) if answer.status == 200 else None


def until_gone(link):
    """A server that is kept for the next fit takes a moment to leave its port."""
    host, port = re.match(r"https?://(.+):(\d+)/", link).groups()
    end = time.monotonic() + 10
    with pytest.raises(OSError):
        while time.monotonic() < end:
            socket.create_connection((host, int(port)), 5).close()
            time.sleep(0.02)


def test_a_history_has_the_whole_story(rdd):
    history = model(mode="synchronous").fit(rdd, epochs=3, validation_split=0.25, verbose=0)
    story = history.story
    assert story["state"] == "finished" and story["about"]["title"] == "small"
    assert [row["logs"] for row in story["epochs"]] == [
        {name: values[number] for name, values in history.history.items()} for number in range(3)
    ]
    assert all(row["rate"] == pytest.approx(0.01) for row in story["epochs"])
    assert [(row["worker"], row["state"], row["samples"]) for row in story["workers"]] == [
        (0, "left", 24), (1, "left", 24),
    ]  # fmt: skip
    assert story["moments"][-1][1] == 3 * 48 and story["moments"][-1][3] == 9
    assert {"join", "leave"} == {one["kind"] for one in story["log"]}
    assert (
        story["about"]["config"]["mode"] == "synchronous" and "dense" in story["about"]["summary"]
    )
    again = pickle.loads(pickle.dumps(history))
    assert json.loads(re.search(r'id="story">(.*?)</script>', again.to_html(), re.S)[1]) == story


def test_later_runs_have_the_earlier_ones_beside_them(rdd):
    spark_model = model()
    first = spark_model.fit(rdd, epochs=2, verbose=0)
    story = spark_model.fit(rdd, epochs=1, verbose=0).story
    earlier = story["about"]["earlier"][-1]
    assert earlier["title"] == "small" and earlier["began"] == first.story["about"]["began"]
    losses = [row["logs"]["loss"] for row in earlier["epochs"]]
    assert losses == pytest.approx(first.history["loss"], rel=1e-4)


@pytest.mark.parametrize("limit", [telling.ABOUT, 10**9], ids=["left out", "refused"])
def test_too_much_to_tell_fails_no_fit_and_loses_no_epoch(rdd, monkeypatch, limit):
    logs = {f"metric of the class {number}": 0.12345 for number in range(200)}
    rows = [{"epoch": n, "time": 1.0, "rate": 0.1, "logs": logs} for n in range(60)]
    runs = [{"title": f"run {number}", "began": 1.0, "epochs": rows} for number in range(10)]
    monkeypatch.setattr(telling, "_earlier", deque(runs, 10))
    monkeypatch.setattr(telling, "ABOUT", limit)
    story = model().fit(rdd, epochs=2, verbose=0).story
    assert story["about"]["title"] == "small" and len(story["epochs"]) == 2
    left = [one["title"] for one in story["about"]["earlier"]]
    assert left == ([] if limit == 10**9 else [f"run {n}" for n in range(10)][-len(left) :])
    assert bool(left) is (limit < 10**9)


class Terminal(io.StringIO):
    """A terminal where the link can't be written."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def isatty(self):
        return True

    def write(self, text):
        if "Watch it" in text:
            raise self.error
        return super().write(text)


def test_a_link_that_cannot_be_printed_fails_no_fit(rdd, monkeypatch):
    spark_model = model()
    monkeypatch.setattr(sys, "stdout", Terminal(BrokenPipeError()))
    assert len(spark_model.fit(rdd, epochs=1, verbose=2).epoch) == 1
    monkeypatch.setattr(sys, "stdout", Terminal(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        spark_model.fit(rdd, epochs=1, verbose=2)
    assert not spark_model.monitor().running


def ways():
    """In each mode both ways; half of them is for the long run."""
    modes = [{"mode": "synchronous"}, {"mode": "asynchronous"}, {"mode": "hogwild"},
             {"mode": "asynchronous", "frequency": "epoch"},
             {"mode": "asynchronous", "num_shards": 2}]  # fmt: skip
    for number, how in enumerate(modes):
        for now in (False, True):
            marks = [] if now is bool(number % 2) else [pytest.mark.slow]
            yield pytest.param(how, now, marks=marks, id=f"{how}, {'now' if now else 'later'}")


@pytest.mark.parametrize(("how", "now"), list(ways()))
def test_fits_are_stopped_well(rdd, how, now):
    fitting = Fitting(model(**how), rdd, validation_split=0.25)
    fitting.until_epoch(2)
    fitting.spark_model.monitor().stop(now)
    history = fitting.joined()
    assert 2 <= len(history.epoch) < 100_000 and history.story["state"] == "stopped"
    assert history.epoch == list(range(len(history.epoch)))
    assert {len(values) for values in history.history.values()} == {len(history.epoch)}
    assert history.story["epochs"][-1]["epoch"] == history.epoch[-1]
    assert all(map(np.all, map(np.isfinite, fitting.spark_model.master_network.get_weights())))
    assert [one["kind"] for one in history.story["log"]].count("stopping") == 1


def test_stopping_later_ends_with_a_whole_epoch_also_with_callbacks(rdd):
    seen = []
    hooks = [*slower(), LambdaCallback(on_train_end=lambda logs: seen.append(logs))]
    fitting = Fitting(model(mode="synchronous"), rdd, callbacks=hooks)
    fitting.until_epoch(3)
    fitting.spark_model.monitor().stop()
    history = fitting.joined()
    assert len(seen) == 1 and seen[0]["loss"] == history.history["loss"][-1]
    # Nothing of another epoch was done: 4 rounds each.
    assert history.story["version"] == 4 * len(history.epoch)


def test_all_reduce_is_stopped_where_it_waits_for_the_driver_alone(rdd):
    how = {"mode": "synchronous", "exchange": "allreduce"}
    spark_model = model(**how)
    history = spark_model.fit(rdd, epochs=2, verbose=0)
    assert history.story["about"]["stops"] == "none" and history.story["about"]["stops_why"]
    fitting = Fitting(model(**how), rdd, callbacks=slower())
    fitting.until_epoch(2)
    monitor = fitting.spark_model.monitor()
    with pytest.raises(ElephasError, match="exchange among themselves"):
        monitor.stop(now=True)
    monitor.stop()
    history = fitting.joined()
    assert history.story["state"] == "stopped" and history.story["about"]["stops"] == "after"


def test_before_a_fit_there_is_nothing_to_see(rdd):
    monitor = model().monitor()
    with pytest.raises(ElephasError, match="No fit has begun yet"):
        _ = monitor.url
    with pytest.raises(ElephasError, match="nothing to stop"):
        monitor.stop()
    with pytest.raises(ElephasError, match="nothing to save"):
        monitor.save("nowhere.html")
    assert repr(monitor) == "Monitor(no fit yet)" and "next fit" in monitor._repr_html_()
    with pytest.raises(ValueError, match="`keep`"):
        model().monitor(keep="yes")


def test_a_notebook_shows_the_live_page_and_then_the_finished_one(rdd, tmp_path):
    fitting = Fitting(model(), rdd)
    fitting.until_epoch(1)
    monitor = fitting.spark_model.monitor()
    assert repr(monitor) == "Monitor(running)"
    shown = monitor._repr_html_()
    assert f'<iframe title="The fit" src="{monitor.url}"' in shown
    monitor.stop(now=True)
    fitting.joined()
    shown = monitor._repr_html_()
    assert monitor.url not in shown and "srcdoc=" in shown and 'sandbox="allow-scripts"' in shown
    assert "<script" not in shown, "all of the page is within an attribute"
    assert monitor.save(tmp_path / "fit.html").read_text() == fitting.history.to_html()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_token_is_printed_in_terminals_alone(rdd, capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    links = []
    start = ServerProcess.start
    monkeypatch.setattr(
        ServerProcess, "start", lambda self: (start(self), links.append(self.link))[0]
    )
    model().fit(rdd, epochs=1, verbose=2)
    said = capsys.readouterr().out
    url, _, token = links[0].partition("#token=")
    assert (url in said) is (token in said) is terminal
    model().fit(rdd, epochs=1, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("how", [{}, {"ssl": True}, {"num_shards": 2}], ids=str)
def test_a_page_stays_when_asked_to(rdd, how):
    spark_model = model(**how)
    history = spark_model.fit(rdd, epochs=2, verbose=0)
    monitor = spark_model.monitor()
    until_gone(monitor.url)
    assert spark_model.monitor(keep=True) is monitor
    certificate = monitor._place[2] and monitor._place[2].own
    status, news = watched(monitor.url, certificate)
    assert status == 200 and news["state"] == "finished"
    assert news["epochs"]["rows"] == history.story["epochs"]
    assert watched(f"{monitor.url}x", certificate)[0] == 401
    before = monitor.url
    spark_model.fit(rdd, epochs=1, verbose=0)
    assert monitor.url != before and watched(
        monitor.url, monitor._place[2] and monitor._place[2].own
    )
    until_gone(before)
    monitor.close()
    until_gone(monitor.url)
    assert not [one for one in threading.enumerate() if one.name == "elephas-page"]


def test_a_page_that_stays_makes_room_for_the_next_fit_at_its_port(rdd):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spark_model = model(port=port)
    monitor = spark_model.monitor(keep=True)
    for epochs in (1, 2):
        spark_model.fit(rdd, epochs=epochs, verbose=0)
        assert f":{port}/" in monitor.url
        assert len(watched(monitor.url)[1]["epochs"]["rows"]) == epochs
    monitor.close()


def test_a_fit_that_fails_tells_so(rdd):
    spark_model = model()
    with pytest.raises(WorkerError, match="ZeroDivisionError"):
        spark_model.fit(rdd.map(lambda row: (row[0] / 1, 1 / 0)), epochs=1, verbose=0)
    story = spark_model.master_network.history.story
    assert story["state"] == "failed"
    assert "ZeroDivisionError" in next(o["text"] for o in story["log"] if o["kind"] == "failure")


def test_the_story_goes_on_where_a_server_fell(rdd, tmp_path, monkeypatch):
    servers = []
    start = ServerProcess.start
    monkeypatch.setattr(ServerProcess, "start", lambda self: (start(self), servers.append(self))[0])
    killed = []

    def kill(epoch, logs):
        if epoch == 2:
            killed.append(watched(servers[0].link)[1])
            servers[0].kill()

    spark_model = model(mode="synchronous")
    history = spark_model.fit(
        rdd, epochs=6, verbose=0, checkpoint_dir=tmp_path / "c",
        callbacks=[LambdaCallback(on_epoch_end=kill)],
    )  # fmt: skip
    story = history.story
    assert killed[0]["state"] == "running" and story["state"] == "finished"
    assert [row["epoch"] for row in story["epochs"]] == list(range(6))
    assert [one["kind"] for one in story["log"]].count("restarted") == 1
    assert story["moments"][-1][1] == 6 * 64
