"""What a driver knows of its cluster."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyspark
import pytest

from elephas_torch import SparkModel, cluster
from elephas_torch.errors import WorkerError
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark
ROOT = Path(__file__).parent.parent


def test_slots_of_a_local_session(spark_context):
    assert cluster.slots(spark_context) == 4


class Growing:
    """A Spark context whose executors come one after the other."""

    master, startTime = "spark://somewhere:7077", None

    def __init__(self, *slots, conf=()):
        self._slots, self._conf = list(slots), dict(conf)
        self.startTime = int(time.time() * 1000)
        self._jsc = self.resourceProfileManager = self.defaultResourceProfile = self.sc = self

    def __call__(self):
        return self

    def maxNumConcurrentTasks(self, profile):
        return self._slots.pop(0) if len(self._slots) > 1 else self._slots[0]


def test_slots_that_are_on_their_way_are_waited_for(monkeypatch):
    monkeypatch.setattr(cluster, "START_SECONDS", 1.5)
    monkeypatch.setattr(cluster, "STILL_SECONDS", 0.3)
    assert cluster.slots(Growing(0, 1, 1, 2, 4), 2) == 2
    assert cluster.slots(Growing(*[1] * 8, 2), 2) == 1, "no more come for a while"
    assert cluster.slots(Growing(*[1] * 8, 2), 2, exactly=True) == 2
    began = time.monotonic()
    assert cluster.slots(Growing(1), 2, exactly=True) == 1
    assert 1 < time.monotonic() - began < 10
    dynamic = {
        "spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.maxExecutors": "3",
        "spark.executor.cores": "4", "spark.task.cpus": "2",
    }  # fmt: skip
    assert cluster.slots(Growing(0, conf=dynamic), 5) == 5
    assert cluster.slots(Growing(0, conf=dynamic), 9) == 6


def test_they_are_waited_for_as_long_as_spark_itself_would(spark_context):
    conf = spark_context._conf
    assert cluster._start_seconds(spark_context) == 30
    try:
        for text, seconds in (("1500ms", 1.5), ("2min", 120), ("7", 0.007)):
            conf.set(cluster._START, text)
            assert cluster._start_seconds(spark_context) == seconds
    finally:
        conf._jconf.remove(cluster._START)
    assert cluster._start_seconds(spark_context) == 30


def test_the_server_of_a_local_session_is_on_loopback(spark_context):
    assert cluster.is_local(spark_context)
    assert cluster.server_host(spark_context) == "127.0.0.1"
    assert cluster.server_host(spark_context, "10.1.2.3") == "10.1.2.3"
    assert cluster.server_port(spark_context, 0) == 0
    assert cluster.server_port(spark_context, 4000) == 4000


def test_a_task_knows_its_cores(spark_context):
    assert cluster.task_cpus() == 1
    found = spark_context.parallelize([0], 1).map(lambda _: cluster.task_cpus()).collect()
    assert found == [1]


def test_executors_of_another_python(spark_context, monkeypatch, tmp_path):
    """One without its packages: -S leaves them out."""
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    model = Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), np.float32)
    rdd = to_simple_rdd(spark_context, x, x[:, 0])
    monkeypatch.setattr(spark_context, "pythonExec", str(bare))
    with pytest.raises(WorkerError, match=r"executors' Python has no module '\w+'\. PYSPARK_") as e:
        SparkModel(model).fit(rdd, verbose=0)
    assert sys.executable in str(e.value) and "Traceback" not in str(e.value)


def test_modules_of_ones_own_are_another_matter(monkeypatch):
    lines = "Traceback (most recent call last):\nModuleNotFoundError: No module named "
    mine = RuntimeError(f"Job aborted\n{lines}'my_layers'\n\tat org.apache.spark")
    assert cluster.python_error(mine) == f"{lines}'my_layers'"
    monkeypatch.delenv("PYSPARK_PYTHON")
    said = cluster.python_error(RuntimeError(f"{lines}'torch'"))
    assert "no module 'torch'. PYSPARK_PYTHON isn't set" in said


def test_settings_and_the_drivers_python():
    """In a session of its own, as settings are read when it starts."""
    script = """
        import sys
        from pyspark import SparkConf, SparkContext
        from elephas_torch import cluster
        conf = SparkConf().setMaster("local-cluster[1,3,1024]").setAppName("settings")
        conf.set("spark.task.cpus", "3").set("spark.ui.enabled", "false")
        conf.set("spark.elephas.host", "127.0.0.9").set("spark.elephas.port", "5555")
        sc = SparkContext(conf=conf)
        cluster.prepare_python(sc)
        sc.parallelize([0, 1], 2).count()  # an executor registers before the job ends
        assert cluster.server_host(sc) == "127.0.0.9", cluster.server_host(sc)
        assert cluster.server_port(sc, 0) == 5555
        assert sc.parallelize([0], 1).map(lambda _: sys.executable).first() == sys.executable
        assert sc.parallelize([0], 1).map(lambda _: cluster.task_cpus()).first() == 3
        print("slots", cluster.slots(sc))
        sc.stop()
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYSPARK")}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    # local-cluster keeps its workers' files beside Spark itself
    shutil.rmtree(Path(pyspark.__file__).parent / "work", ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == 1


def test_a_jvm_that_is_gone_is_told():
    said = cluster.python_error(ConnectionRefusedError(111, "Connection refused"))
    assert said.startswith("Spark's JVM has ended") and "Connection refused" in said
