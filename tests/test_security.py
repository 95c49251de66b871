"""TLS and tokens of whole fits on Spark."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter import ServerProcess, tls
from elephas_torch.spark_model import SparkModel, load_spark_model
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parent.parent


def network():
    torch.manual_seed(0)
    model = Sequential([Dense(8, activation="tanh", input_dim=5), Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.fixture(scope="module")
def rdd(spark_context):
    x = np.random.default_rng(0).standard_normal((32, 5)).astype(np.float32)
    return to_simple_rdd(spark_context, x, x.sum(1, keepdims=True), 2)


@pytest.fixture
def setting(spark_context):
    """setting(name, value) sets spark.elephas.<name> for a test"""
    names = []

    def put(name, value):
        names.append(f"spark.elephas.{name}")
        spark_context._conf.set(names[-1], value)

    yield put
    for name in names:
        spark_context._conf.set(name, "")


def trained(rdd, **how):
    spark_model = SparkModel(
        network(), mode="synchronous", frequency="batch", num_workers=2, batch_size=4, seed=1, **how
    )
    spark_model.fit(rdd, epochs=2, verbose=0)
    return np.concatenate([one.ravel() for one in spark_model.master_network.get_weights()])


@pytest.fixture
def files(tmp_path):
    own = tls.made(["driver"])
    (tmp_path / "certificate.pem").write_text(own.certificate)
    (tmp_path / "key.pem").write_text(own.key)
    return {"ssl_certfile": tmp_path / "certificate.pem", "ssl_keyfile": tmp_path / "key.pem"}


def test_https_gives_the_same_weights_as_http(rdd, files, setting, monkeypatch):
    plain = trained(rdd, shared_memory=False)
    urls = []
    start = ServerProcess.start
    monkeypatch.setattr(
        ServerProcess, "start", lambda self: (start(self), urls.append(self.url))[0]
    )
    assert np.array_equal(trained(rdd, shared_memory=False, ssl=True), plain)
    assert np.array_equal(trained(rdd, num_shards=2, ssl=True), plain)
    assert np.array_equal(trained(rdd, **files), plain)
    for name, path in files.items():
        setting(name, str(path))
    assert np.array_equal(trained(rdd), plain)
    assert len(urls) == 5 and all(url.startswith("https://127.0.0.1:") for url in urls)


def test_what_cannot_be_is_said_before_a_job_starts(
    rdd, spark_context, job_group, files, setting, tmp_path
):
    with pytest.raises(TypeError, match="`ssl` must be True or False"):
        SparkModel(network(), ssl="yes")
    with pytest.raises(OSError, match="`ssl_certfile` can't be read"):
        SparkModel(network(), ssl_certfile=tmp_path / "none.pem")
    (tmp_path / "other.pem").write_text(tls.made(["x"]).key)
    with pytest.raises(ValueError, match="key of another certificate"):
        SparkModel(network(), **{**files, "ssl_keyfile": tmp_path / "other.pem"})
    job_group("security", "no job may start")
    together = SparkModel(network(), mode="synchronous", exchange="allreduce", ssl=True)
    with pytest.raises(ValueError, match=r"allreduce.* without TLS"):
        together.fit(rdd)
    setting("ssl", "maybe")
    with pytest.raises(ValueError, match=r"spark\.elephas\.ssl must be true or false"):
        SparkModel(network()).fit(rdd)
    setting("ssl", "true")
    setting("ssl_certfile", str(tmp_path / "none.pem"))
    with pytest.raises(OSError, match="`ssl_certfile` can't be read"):
        SparkModel(network()).fit(rdd)
    assert list(spark_context.statusTracker().getJobIdsForGroup("security")) == []


def test_a_saved_model_keeps_that_tls_is_used_and_no_secret(files, tmp_path):
    spark_model = SparkModel(network(), **files)
    spark_model.save(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()
    assert b"PRIVATE" not in content and str(files["ssl_keyfile"]).encode() not in content
    assert load_spark_model(tmp_path / "m.keras").get_config()["ssl"] is True


SCRIPT = """
    import json, logging, subprocess, sys, time, urllib.request
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    import numpy as np
    from pyspark import SparkConf, SparkContext
    from elephas_torch.keras.layers import Dense
    from elephas_torch.keras.models import Sequential
    from elephas_torch.keras.callbacks import LambdaCallback
    from elephas_torch.parameter import process, tls
    from elephas_torch.spark_model import SparkModel
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    secrets, made = [], process.secrets.token_urlsafe
    process.secrets.token_urlsafe = lambda size: secrets.append(made(size)) or secrets[-1]
    conf = SparkConf().setMaster("local[2]").set("spark.eventLog.enabled", "true")
    conf.set("spark.eventLog.dir", "file:" + sys.argv[1]).set("spark.ui.port", "0")
    conf.set("spark.eventLog.compress", "false").set("spark.eventLog.rolling.enabled", "false")
    own = tls.made(["driver"])
    open("own.pem", "w").write(own.certificate + own.key)
    conf.set("spark.elephas.ssl_certfile", "own.pem")
    conf.set("spark.elephas.ssl_keyfile_password", "of the key")
    conf.set("spark.driver.host", "127.0.0.1")
    sc = SparkContext(conf=conf)
    sc.setLogLevel("DEBUG")
    secrets += [line for line in own.key.splitlines() if "-----" not in line]
    x = np.zeros((8, 3), np.float32)
    model = Sequential([Dense(1, input_dim=3)])
    model.compile("sgd", "mse")
    seen = []

    def page(path):
        text = urllib.request.urlopen(sc.uiWebUrl + path, timeout=20).read().decode()
        assert "of the key" not in text, "Spark hides what is called a password"
        return text

    def look(*_):
        seen.append(subprocess.run(["ps", "-ef", "ww"], capture_output=True, text=True).stdout)
        for path in ("/jobs/", "/stages/", "/environment/", "/executors/", "/storage/"):
            seen.append(page(path))
        for path in ("jobs", "stages", "environment", "executors"):
            seen.append(page("/api/v1/applications/" + sc.applicationId + "/" + path))

    hooks = LambdaCallback(on_epoch_end=look)
    rdd = to_simple_rdd(sc, x, x[:, :1], 2)
    for how in ({"ssl": True}, {"shared_memory": False}):
        spark_model = SparkModel(sc, model, mode="synchronous", num_workers=2, **how)
        spark_model.fit(rdd, epochs=1, verbose=2, callbacks=[hooks])
    failing = SparkModel(sc, model, num_workers=2)
    try:
        failing.fit(rdd.map(lambda row: 1 / 0), verbose=0)
    except Exception as error:
        seen.append(str(error))
    name = sc.applicationId
    sc.stop()
    seen = "".join(seen)
    assert "elephas_torch.parameter" in seen and name in seen
    assert len(secrets) == 9, len(secrets)
    assert not [one for one in secrets if one in seen], "seen"
    print(json.dumps(secrets), file=open(sys.argv[2], "w"))
"""


@pytest.mark.slow
def test_no_token_is_in_logs_pages_event_logs_or_command_lines(tmp_path):
    """At DEBUG, of Python and of Spark."""
    events = tmp_path / "events"
    events.mkdir()
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "script.py", str(events), "secrets.json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    logs = "".join(path.read_text() for path in events.rglob("*") if path.is_file())
    assert "SparkListenerJobEnd" in logs and "DEBUG" in done.stderr

    for secret in json.loads((tmp_path / "secrets.json").read_text()):
        assert secret not in logs + done.stdout + done.stderr
