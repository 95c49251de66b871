"""What Prometheus reads: that it is well formed, right, and to be had with a token of its own."""

import urllib.error
import urllib.request

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, ServerProcess, Settings
from elephas_torch.parameter.metrics import exposition
from elephas_torch.parameter.state import State

SCRAPER = "only-for-prometheus"


@pytest.fixture
def parsed():
    """parsed(text) -> {(sample, its labels): value}, after prometheus_client has checked it"""
    parser = pytest.importorskip(
        "prometheus_client.parser",
        reason="prometheus_client isn't here: pip install prometheus-client",
    )

    def read(text):
        families = list(parser.text_string_to_metric_families(text))
        assert all(one.documentation for one in families)
        for family in families:
            kinds = {"counter": "_total", "gauge": "", "histogram": ("_bucket", "_sum", "_count")}
            assert all(one.name.endswith(kinds[family.type]) for one in family.samples)
        samples = [one for family in families for one in family.samples]
        found = {(one.name, *sorted(one.labels.items())): one.value for one in samples}
        assert len(found) == len(samples)
        return {
            (name.removeprefix("elephas_torch_"), *rest): v for (name, *rest), v in found.items()
        }

    return read


@pytest.fixture
def state(vectors, settings):
    initial = vectors([1.0, 2.0])
    return State(settings("asynchronous", initial, workers=2), initial)


def worked(state, vectors):
    """Two workers of 10 and 30 rows: a push each, of which the second missed a version."""
    for worker, samples in ((0, 10), (1, 30)):
        state.join(worker, 5, samples, {"tries": worker})
    for worker in (0, 1):
        state.push(Push(worker, 5, 0, 0, 4, 0, False), vectors([1.0, 1.0])).result(5)
    state.beat(1, 5, {"epoch": 0, "batch": 2, "rows": 8})


def test_figures_are_those_of_the_state(state, vectors, parsed):
    worked(state, vectors)
    found = parsed(exposition(state.status(), 1.25))
    assert found["run_info", ("mode", "asynchronous"), ("protocol", "1")] == 1
    assert found["cpu_seconds_total",] == 1.25 and found["versions_total",] == 2
    assert found["requests_total", ("outcome", "pushes")] == 2
    buckets = [found["staleness_versions_bucket", ("le", le)] for le in ("0", "1", "64", "+Inf")]
    assert buckets == [1, 2, 2, 2]
    assert (found["staleness_versions_sum",], found["staleness_versions_count",]) == (1, 2)
    assert found["workers_expected",] == found["workers", ("state", "active")] == 2
    one = ("worker", "1")
    assert found["worker_rows_total", one] == 8 and found["worker_rows_total", ("worker", "0")] == 0
    assert (found["worker_epoch", one], found["worker_batch", one]) == (0, 2)
    assert (found["worker_alive", one], found["worker_waiting", one]) == (1, 0)
    assert (found["worker_updates_total", one], found["worker_retries", one]) == (1, 1)
    assert 0 <= found["worker_last_seen_seconds", one] < 5
    assert ("loss", ("part", "train")) not in found and ("learning_rate",) not in found


def test_rows_are_exact_at_ends_of_epochs_and_never_fall(state, vectors, parsed):
    worked(state, vectors)
    seen = []

    def look():
        seen.append(parsed(exposition(state.status(), 0))["worker_rows_total", ("worker", "1")])

    look()
    state.report(1, 5, 0, {"train": {}})
    look()
    state.beat(1, 5, {"epoch": 0, "batch": 8, "rows": 30})  # a late one
    look()
    state.beat(1, 5, {"epoch": 1, "batch": 1, "rows": 34})
    look()
    state.join(1, 6, 30, {})  # the next attempt begins from 0
    look()
    state.report(1, 6, 0, {})
    state.beat(1, 6, {"epoch": 1, "batch": 2, "rows": 8})
    look()
    assert seen == [8, 30, 30, 34, 34, 42]


def test_rows_count_from_the_first_epoch_of_this_fit(state, vectors, parsed):
    worked(state, vectors)
    state.report(0, 5, 50, {"train": {}})
    found = parsed(exposition(state.status(), 0))
    assert found["worker_rows_total", ("worker", "0")] == 10


def test_the_loss_is_of_all_rows(state, vectors, parsed):
    worked(state, vectors)
    state.report(0, 5, 0, {"train": {"loss": 10.0, "rows": 10}, "val": {"loss": 4.0, "rows": 2}})
    state.report(1, 5, 0, {"train": {"loss": 60.0, "rows": 30}})
    state.report(0, 5, 1, {})  # as one says who isn't sure whether it was heard
    found = parsed(exposition(state.status(), 0))
    assert found["loss", ("part", "train")] == 70 / 40
    assert found["loss", ("part", "val")] == 2.0


@pytest.mark.parametrize(
    "summary", [{"train": 3}, {"train": {"loss": "x", "rows": 1}}, {"train": {"loss": 1.0}}]
)
def test_reports_of_other_kinds_have_no_loss(state, vectors, parsed, summary):
    worked(state, vectors)
    state.report(0, 5, 0, summary)
    found = parsed(exposition(state.status(), 0))
    assert ("loss", ("part", "train")) not in found
    assert ("worker_epoch", ("worker", "0")) not in found


def test_what_was_begun_again_is_counted(state, vectors, parsed, settings):
    worked(state, vectors)
    snapshot = state.snapshot()
    initial = vectors([0.0, 0.0])
    again = State(settings("asynchronous", initial, workers=2), initial)
    again.restore(snapshot)
    found = parsed(exposition(again.status(), 0))
    assert (found["restores_total",], found["snapshots_total",]) == (1, 1)
    assert found["workers", ("state", "away")] == 2 and found["versions_total",] == 2


def test_odd_labels_and_numbers_are_escaped(state, vectors, parsed):
    status = state.status()
    status["bytes"] = {'a"b\\c\nd': 1}
    status["learning_rate"], status["uptime"] = float("nan"), float("inf")
    found = parsed(exposition(status, 0))
    assert found["bytes_total", ("direction", 'a"b\\c\nd')] == 1
    assert found["learning_rate",] != found["learning_rate",]
    assert found["uptime_seconds",] == float("inf")


def ask(url, path, token, method="GET", data=None):
    request = urllib.request.Request(url + path, data, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def server(**how):
    initial = Vectors(torch.zeros(3), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.1))
    return ServerProcess(Settings("asynchronous", initial.sizes, rule), initial, **how)


def test_the_token_of_metrics_reads_metrics_and_does_nothing_else(parsed):
    with server(metrics_token=SCRAPER) as running:
        status, text = ask(running.url, "/metrics", SCRAPER)
        assert status == 200 and parsed(text)["versions_total",] == 0
        assert ask(running.url, "/metrics", running.token)[0] == 200
        for method, path in [
            ("GET", "/status"), ("GET", "/parameters"), ("GET", "/events"), ("GET", "/docs"),
            ("GET", "/checkpoint"), ("GET", "/openapi.json"), ("POST", "/control"),
            ("POST", "/update"), ("POST", "/metrics"), ("HEAD", "/metrics"), ("GET", "/metrics/"),
        ]:  # fmt: skip
            data = b"{}" if method == "POST" else None
            assert ask(running.url, path, SCRAPER, method, data)[0] == 401, (method, path)
        for other in (SCRAPER[:-1], SCRAPER + "x", "", "another token, as long"):
            assert ask(running.url, "/metrics", other)[0] == 401


def test_without_a_token_of_metrics_none_does():
    with server() as running:
        for token in ("None", "", "null"):
            assert ask(running.url, "/metrics", token)[0] == 401


@pytest.mark.parametrize("token", ["short", "with spaces in it all", "nötig nötig nötig", "x" * 15])
def test_a_token_that_is_none_is_refused_and_not_shown(token):
    with pytest.raises(ValueError, match="`metrics_token` must have 16") as caught:
        server(metrics_token=token)
    assert token not in str(caught.value)
