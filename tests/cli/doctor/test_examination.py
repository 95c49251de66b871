"""The doctor on a real Spark session: a healthy one, and broken ones."""

import json
import subprocess
import sys
import time

import pytest

from elephas_torch.cli.doctor import examine
from elephas_torch.cli.doctor.examination import within
from elephas_torch.errors import WaitTimeout

pytestmark = pytest.mark.spark


def wrong(report):
    return [(one.check, one.found) for one in report.findings if one.level == "fail"]


@pytest.fixture
def executors_path(spark_context, monkeypatch, tmp_path):
    """A folder that executors' Python looks into first, as by spark.executorEnv.PYTHONPATH."""
    path = f"{tmp_path}:{spark_context.environment['PYTHONPATH']}"
    monkeypatch.setitem(spark_context.environment, "PYTHONPATH", path)
    return tmp_path


def test_a_healthy_session(spark):
    said = []
    report = examine(spark, workers=2, seconds=0.5, say=said.append)
    assert wrong(report) == []
    checks = [one.check for one in report.findings]
    assert checks == [
        "session", "slots", "executors", "python", "packages", "server", "network", "threads",
        "memory", "gpus", "arrow", "folder", "training",
    ]  # fmt: skip
    assert said[-1] == "training for 0.5 seconds"
    facts = json.loads(report.to_json())["facts"]
    assert facts["spark"]["slots"] == len(facts["executors"]) == 4
    assert all(one["server"]["rate"] > 0 for one in facts["executors"])
    assert facts["training"]["workers"] == 2
    assert facts["training"]["seconds"] > 0.5


def test_torch_missing_and_another_version(spark, executors_path):
    """Without torch executors still tell all the rest."""
    missing = "raise ModuleNotFoundError(\"No module named 'torch'\")"
    (executors_path / "torch.py").write_text(missing)
    (executors_path / "numpy.py").write_text("__version__ = '1.26.4'")
    report = examine(spark, seconds=10)
    host = report.facts["executors"][0]["host"]
    found = [text for check, text in wrong(report) if check == "packages"]
    why = "ModuleNotFoundError: No module named 'torch'"
    assert f"executors on {host} can't import torch: {why}" in found
    own = report.facts["driver"]["versions"]["numpy"]
    assert f"numpy is {own} on the driver, 1.26.4 on {host}" in found
    assert report.facts["executors"][0]["server"]["trouble"] is None
    assert report.facts["executors"][0]["server"]["latency"] > 0
    assert "training" not in report.facts


def test_an_address_that_is_not_the_drivers_and_too_few_slots(spark, monkeypatch):
    before = spark.sparkContext._conf.get
    monkeypatch.setattr(
        spark.sparkContext._conf, "get",
        lambda name, *rest: "192.0.2.77" if name == "spark.elephas.host" else before(name, *rest),
    )  # fmt: skip
    report = examine(spark, workers=5)
    slots, server = wrong(report)
    assert slots == ("slots", "4 slots for 5 workers")
    assert server[0] == "server"
    (finding,) = [one for one in report.findings if one.check == "server"]
    assert "spark.elephas.host is '192.0.2.77'" in finding.advice
    assert report.facts["executors"][0]["server"] is None


def test_a_job_that_never_ends_is_cancelled(spark_context):
    started = time.monotonic()
    slow = spark_context.parallelize([0], 1).map(lambda _: time.sleep(60))
    with pytest.raises(WaitTimeout, match="Waited 1 s for nothing, in vain"):
        within(spark_context, slow.collect, 1.0, "nothing")
    while spark_context.statusTracker().getActiveJobsIds():
        assert time.monotonic() - started < 20
        time.sleep(0.1)


def test_what_a_job_raises_comes_through(spark_context):
    with pytest.raises(ZeroDivisionError):
        within(spark_context, lambda: 1 / 0, 10, "nothing")


@pytest.mark.slow
def test_without_a_master_the_command_ends(tmp_path):
    line = [
        sys.executable, "-m", "elephas_torch", "doctor", "--json", "--timeout", "4",
        "--master", "spark://127.0.0.1:9",
    ]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "fail"
    (finding,) = report["findings"]
    assert finding["check"] == "session"
    assert "Spark gave no session: there was none within 4 s" in finding["found"]
