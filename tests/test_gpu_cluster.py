"""GPUs that Spark assigns, on a standalone cluster whose workers say that they have some."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyspark
import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
#: What drivers begin with. `found` has a line for each task: its executor, addresses and device.
PROGRAM = """
    import os, sys, time
    from types import SimpleNamespace
    import numpy as np
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession
    from elephas_torch import SparkModel, cluster, device, frames, sources
    from elephas_torch.errors import WorkerError
    from elephas_torch.keras import Sequential, layers

    def context(**settings):
        conf = SparkConf().setMaster(sys.argv[1]).setAppName("gpus")
        fixed = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1",
                 "spark.executor.memory": "512m", "spark.executor.cores": "2",
                 "spark.cores.max": "4"}
        for name, value in {**fixed, **settings}.items():
            conf.set(name, value)
        sc = SparkContext(conf=conf)
        sc.setLogLevel("ERROR")
        return sc

    def task(number, rows):
        list(rows)
        time.sleep(2)  # so that all of them run at once
        there = device._assigned()
        gpus = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2)
        taken = device.Choice("auto", number, there, None, gpus).made()
        yield {"on": os.getppid(), "addresses": there, "device": str(taken.where)}

    def found(source, together=False):
        by_executor = {}
        for one in source.results(task, together):
            by_executor.setdefault(one["on"], []).append((one["addresses"], one["device"]))
        return sorted(sorted(each, key=str) for each in by_executor.values())

    def rdd(sc):
        return sc.parallelize([(np.zeros(3, "f4"), np.zeros(1, "f4"))] * 8, 4)
"""


class Cluster:
    """A master and two workers, each with two cores and made-up GPUs."""

    def __init__(self, folder):
        self.folder, self._daemons = folder, []
        script = folder / "discover.sh"
        script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1"]}\'\n')
        script.chmod(0o755)
        options = (
            f"-Dspark.worker.resource.gpu.amount=2 "
            f"-Dspark.worker.resource.gpu.discoveryScript={script}"
        )
        here = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        self.master = self._begin("master.Master", here, "", r"master at (spark://\S+)")
        for _ in range(2):
            given = [*here, "-c", "2", "-m", "1g", "-d", str(folder / "work"), self.master]
            self._begin("worker.Worker", given, options, r"(Successfully registered)")

    def _begin(self, name, arguments, options, told):
        log = self.folder / f"{name}-{len(self._daemons)}.log"
        spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
        line = [spark_class, f"org.apache.spark.deploy.{name}", *arguments]
        with log.open("w") as output:
            self._daemons.append(
                subprocess.Popen(
                    line, env=self._environment(SPARK_WORKER_OPTS=options), cwd=self.folder,
                    start_new_session=True, stdout=output, stderr=subprocess.STDOUT,
                    preexec_fn=_die_with_the_tests,
                )
            )  # fmt: skip
        end = time.monotonic() + 60
        while not (found := re.search(told, log.read_text())):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        return found[1]

    def _environment(self, **more):
        return {
            **os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(self.folder),
            "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": JVM, **more,
        }  # fmt: skip

    def run(self, program):
        """What a driver prints in its last line, as JSON."""
        file = self.folder / "program.py"
        file.write_text(textwrap.dedent(PROGRAM) + textwrap.dedent(program))
        done = subprocess.run(
            [sys.executable, file, self.master], env=self._environment(), text=True,
            capture_output=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def close(self):
        for daemon in self._daemons:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def _die_with_the_tests():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@pytest.fixture(scope="module")
def gpu_cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("gpus"))
    yield made
    made.close()


def test_each_task_takes_what_spark_assigns_it(gpu_cluster):
    found = gpu_cluster.run("""
        import json
        sc = context(**{"spark.executor.resource.gpu.amount": "2",
                        "spark.task.resource.gpu.amount": "1"})
        print(json.dumps(found(sources.of_rdd(rdd(sc), 4))))
    """)
    assert found == [[[["0"], "cuda:0"], [["1"], "cuda:1"]]] * 2


def test_scoring_takes_what_spark_assigns_it(gpu_cluster):
    found = gpu_cluster.run("""
        import json
        from elephas_torch import ElephasTransformer
        sc = context(**{"spark.executor.resource.gpu.amount": "2", "spark.task.maxFailures": "1",
                        "spark.task.resource.gpu.amount": "1"})
        model = Sequential([layers.Dense(1, input_dim=3)])
        model.compile("sgd", "mse")
        df = SparkSession(sc).createDataFrame([([0.0] * 3,)] * 8, "features array<float>")
        stage, told = ElephasTransformer(model=model), []
        for score in (lambda: SparkModel(model).predict(rdd(sc)),
                      lambda: stage.transform(df.coalesce(1)).collect()):
            try:
                score()
                told.append("scored")
            except Exception as error:
                told.append(str(error))
        on_cpu = SparkModel(model, device="cpu").predict(rdd(sc))
        print(json.dumps([told, len(on_cpu)]))
    """)
    told, rows = found
    assert rows == 8
    for one in told:
        assert one == "scored" or "Spark assigned the GPU" in one


def test_gpus_for_the_training_alone(gpu_cluster):
    found = gpu_cluster.run("""
        import json
        sc = context(**{"spark.executor.resource.gpu.amount": "1"})
        plain = found(sources.of_rdd(rdd(sc), 4))
        slots = [cluster.slots(sc, gpus=gpus) for gpus in (None, 1.0, 0.5)]
        shared = found(sources.of_rdd(rdd(sc), 4, gpus=0.5), True)
        model = Sequential([layers.Dense(1, input_dim=3)])
        model.compile("sgd", "mse")
        df = SparkSession(sc).createDataFrame([([0.0] * 3, 0.0)] * 8, "f array<float>, y float")
        columns = frames.Columns("f", "y")
        framed = found(frames.source(df, columns, model, 2, True, 1.0), True)
        trained = SparkModel(model, gpus_per_task=1, mode="synchronous", join_timeout=60)
        try:
            trained.fit(rdd(sc), verbose=0)
            told = "trained"
        except WorkerError as error:
            told = str(error)
        workers = sources.of_rdd(rdd(sc), None, gpus=1.0).workers
        print(json.dumps([slots, plain, shared, framed, told, workers]))
    """)
    slots, plain, shared, framed, told, workers = found
    assert slots == [4, 2, 4], found
    assert {addresses is None for each in plain for addresses, _ in each} == {True}
    # Each executor has one of its worker's two GPUs, and its two tasks share that.
    assert [len(each) for each in shared] == [2, 2]
    for each in shared:
        assert each[0] == each[1] and each[0][0] in (["0"], ["1"])
    assert [len(each) for each in framed] == [1, 1], framed
    assert workers == 2
    assert told == "trained" or "Spark assigned the GPU" in told
