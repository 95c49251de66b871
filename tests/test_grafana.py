"""The dashboard for Grafana asks for what a real fit's servers say to Prometheus."""

import json
import os
import re
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from elephas_torch import arguments
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter.process import listen
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

DASHBOARD = Path(__file__).parent.parent / "docs" / "grafana.json"
TOKEN = "a-token-for-prometheus"


def expressions(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


class Scraper(Callback):
    """Asks as Prometheus does, until workers have said how far they are."""

    def __init__(self, port):
        super().__init__()
        self.port, self.text = port, ""

    def on_epoch_end(self, epoch, logs=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        end = time.monotonic() + 20
        while "worker_batch{" not in self.text and time.monotonic() < end:
            time.sleep(0.1)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
                self.text = answer.read().decode()


def network():
    model = Sequential([Dense(1, input_dim=3)])
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def token_file(spark_context, tmp_path):
    """Puts what it is given into spark.elephas.metrics_token_file."""
    name = "spark.elephas.metrics_token_file"

    def put(content):
        path = tmp_path / "metrics-token"
        path.write_bytes(content)
        spark_context._conf.set(name, str(path))
        return path

    yield put
    spark_context._conf.set(name, "")


@pytest.fixture(scope="module")
def rdd(spark_context):
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    return to_simple_rdd(spark_context, x, x.sum(1, keepdims=True), 2)


@pytest.mark.spark
def test_the_dashboard_asks_for_metrics_of_a_real_fit(rdd, token_file):
    parser = pytest.importorskip(
        "prometheus_client.parser",
        reason="prometheus_client isn't here: pip install prometheus-client",
    )
    token_file(TOKEN.encode() + b"\n")
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    scraper = Scraper(port)
    spark_model = SparkModel(
        network(), mode="synchronous", frequency="batch", num_workers=2, batch_size=5, port=port,
        lease=2,
    )  # fmt: skip
    history = spark_model.fit(
        rdd, epochs=2, verbose=0, callbacks=scraper, validation_split=0.25
    ).history
    families = parser.text_string_to_metric_families(scraper.text)
    samples = [sample for family in families for sample in family.samples]
    exposed = {sample.name for sample in samples}
    # Only callbacks set this one; the dashboard takes the other where it isn't there.
    exposed.add("elephas_torch_learning_rate")
    dashboard = json.loads(DASHBOARD.read_text())
    asked = set(re.findall(r"elephas_torch_\w+", " ".join(expressions(dashboard))))
    assert asked - exposed == set()
    found = {(one.name, *one.labels.values()): one.value for one in samples}
    assert found["elephas_torch_loss", "train"] == pytest.approx(history["loss"][0])
    assert found["elephas_torch_loss", "val"] == pytest.approx(history["val_loss"][0])
    assert found["elephas_torch_worker_rows_total", "0"] == 15
    assert found["elephas_torch_workers", "active"] == 2


@pytest.mark.spark
def test_a_token_file_that_can_t_be_used_is_an_error_before_a_job_starts(rdd, token_file):
    model = SparkModel(network(), num_workers=2)
    for content in (b"short", b"", b"two words in this file", b"\xff" * 20):
        token_file(content)
        with pytest.raises(ValueError, match=r"spark\.elephas\.metrics_token_file must name"):
            model.fit(rdd, verbose=0)
    token_file(b"").unlink()
    with pytest.raises(FileNotFoundError, match="metrics_token_file can't be read"):
        model.fit(rdd, verbose=0)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's modes of files")
def test_a_token_file_that_others_may_read_is_warned_of_once(tmp_path, caplog):
    path = tmp_path / "the token"
    path.write_text("0123456789abcdef\n")
    path.chmod(0o600)
    assert arguments.metrics_token(str(path)) == "0123456789abcdef"
    assert not caplog.records
    other = tmp_path / "other"
    other.write_text("0123456789abcdef\n")
    for mode in (0o640, 0o604):
        other.chmod(mode)
        arguments.metrics_token(str(other))
    (said,) = caplog.messages
    assert said == (
        f"Others than you may read the token in {other} (spark.elephas.metrics_token_file): "
        f"chmod 600 {other}"
    )


def test_the_dashboard_is_whole():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 36 and dashboard["title"] and dashboard["uid"]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels})
    assert len(panels) == len({panel["id"] for panel in panels})
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        cells |= own
        assert panel["datasource"]["uid"] == "${datasource}"
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert {one for one in used if not one.startswith("__")} == variables


def test_expressions_are_balanced_and_choose_by_job():
    for one in expressions(json.loads(DASHBOARD.read_text())):
        assert all(one.count(a) == one.count(b) for a, b in ("()", "{}", "[]"))
        assert 'job=~"$job",instance=~"$instance"' in one
