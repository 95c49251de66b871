"""The doctor on a cluster of its own, by `spark-submit`, and on broken ones."""

import json
import zipfile
from pathlib import Path

import pytest

from elephas_torch._version import __version__

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "elephas_torch" / "cli" / "submit.py"
PORT = 47613


def examined(cluster, *args, conf=None, script=SCRIPT):
    """The exit code, what is wrong, and the report."""
    process = cluster.begin(script, "doctor", "--json", *args, conf=conf)
    code, said = cluster.end(process, 180)
    start, end = said.index('\n{\n  "format"'), said.rindex("\n}") + 2
    report = json.loads(said[start:end])
    cluster.assert_nothing_left()
    bad = [one for one in report["findings"] if one["level"] == "fail"]
    return code, bad, report


def test_healthy(plain_cluster):
    plain_cluster.need(2)
    code, bad, report = examined(plain_cluster, "--workers", "2", "--seconds", "3")
    assert (code, bad) == (0, [])
    facts = report["facts"]
    assert facts["spark"]["slots"] == 2
    assert len({one["process"] for one in facts["executors"]}) == 2
    assert facts["training"]["workers"] == 2
    assert facts["training"]["epochs"] > 1
    # the package came as a zip, to both sides
    assert "elephas_torch.zip" in facts["executors"][0]["package"]["place"]
    assert all(one["server"]["rate"] > 0 for one in facts["executors"])


def test_too_few_slots(plain_cluster):
    plain_cluster.need(2)
    code, bad, _ = examined(plain_cluster, "--workers", "3")
    assert code == 1
    assert [(one["check"], one["found"]) for one in bad] == [("slots", "2 slots for 3 workers")]


def test_no_slot_at_all(plain_cluster):
    plain_cluster.need(2)
    code, bad, _ = examined(plain_cluster, conf={"spark.executor.memory": "64g"})
    assert code == 1
    (finding,) = bad
    assert (finding["check"], finding["found"]) == ("slots", "no slot: no executor has come")
    assert "spark.executor.memory=64g" in finding["advice"]


def test_an_older_package_is_sent(plain_cluster, tmp_path, monkeypatch):
    """As by a zip that nobody has made anew."""
    plain_cluster.need(2)
    old = tmp_path / "old.zip"
    with zipfile.ZipFile(old, "w") as file:
        file.writestr("elephas_torch/__init__.py", "__version__ = '0.0.1'\n")
    monkeypatch.setattr(plain_cluster, "_package", old)
    script = tmp_path / "doctor.py"
    script.write_text(f"import sys\nsys.path.insert(1, {str(ROOT)!r})\n{SCRIPT.read_text()}")
    code, bad, _ = examined(plain_cluster, script=script)
    assert code == 1
    (finding,) = bad
    assert finding["check"] == "packages"
    assert f"elephas_torch is {__version__} on the driver, 0.0.1 on" in finding["found"]
    assert "old.zip" in finding["found"]


def test_the_address_is_wrong(network_cluster):
    network_cluster.need(2)
    code, bad, _ = examined(network_cluster, conf={"spark.elephas.host": "127.0.0.1"})
    assert code == 1
    (finding,) = bad
    assert finding["check"] == "network"
    assert "can't reach http://127.0.0.1:" in finding["found"]
    assert "the connection is refused" in finding["found"]
    assert "Spark.elephas.host is '127.0.0.1': set it to an address" in finding["advice"]
    assert network_cluster.host in finding["advice"]  # what executors reach


def test_the_port_is_blocked(network_cluster):
    network_cluster.need(2)
    network_cluster.network.blocked = {PORT}
    try:
        code, bad, _ = examined(network_cluster, conf={"spark.elephas.port": PORT})
    finally:
        network_cluster.network.free()
    assert code == 1
    (finding,) = bad
    assert finding["check"] == "network"
    assert f"can't reach http://10.200.0.1:{PORT}: no answer" in finding["found"]
    assert f"let port {PORT} of the driver through" in finding["advice"]
