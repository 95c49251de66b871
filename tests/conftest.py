"""One local Spark session for the whole run, and real data."""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ["KERAS_BACKEND"] = "torch"  # the oracle, before anything imports it
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYSPARK_PYTHON"] = sys.executable

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests look for what is left among temporary files; those of other processes aren't theirs.
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=os.environ["PYTEST_XDIST_WORKER"])
    tempfile.tempdir = None

import numpy as np
import pytest
import torch
from hypothesis import settings

# The same examples each time, so that a run says something of the code and not of its luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("exploring", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def spark_context():
    """A SparkContext with four slots. Fixtures and tests mustn't stop it."""
    from pyspark import SparkConf, SparkContext

    conf = SparkConf().setMaster("local[4]").setAppName("elephas_torch tests")
    conf.set("spark.ui.enabled", "false")
    conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    # starts a quarter faster; tests are too short to gain from the JVM's second compiler
    conf.set("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    # Spark ends Python workers that fail, and those that idle; the next has PyTorch at once
    conf.set("spark.python.daemon.module", "warm_daemon")
    conf.set("spark.executorEnv.PYTHONPATH", str(ROOT / "tests"))
    context = SparkContext(conf=conf)
    context.setLogLevel("ERROR")
    yield context
    context.stop()


@pytest.fixture(scope="session")
def spark(spark_context):
    """A SparkSession on that context."""
    from pyspark.sql import SparkSession

    return SparkSession(spark_context)


@pytest.fixture
def job_group(spark_context):
    """Sets a job group, as a notebook's cell does, and takes it away after the test: a later fit
    on this thread would have it."""
    yield spark_context.setJobGroup
    for name in ("spark.jobGroup.id", "spark.job.description"):
        spark_context.setLocalProperty(name, None)


@pytest.fixture
def tried(record_property):
    """tried(fault, how, outcome, times=1): what a table of docs/reliability.md says of this test,
    if it passes; scripts/faults.py makes them. `times` may be a text."""

    def note(fault, how, outcome, times=1):
        record_property("tried", json.dumps([fault, how, times, outcome]))

    return note


class Mnist(NamedTuple):
    """Images float32 in 0..1 of shape (rows, 784); `labels` int64; `y` one-hot float32."""

    x_train: np.ndarray
    y_train: np.ndarray
    labels_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels_test: np.ndarray


@pytest.fixture(scope="session")
def mnist_folder():
    """Where MNIST's own files are: $ELEPHAS_TORCH_MNIST, or shared data beside the checkout;
    None where there are none."""
    named = os.environ.get("ELEPHAS_TORCH_MNIST")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "mnist"
    return folder if (folder / "t10k-images-idx3-ubyte.gz").is_file() else None


def read_idx(path, header):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


@pytest.fixture(scope="session")
def mnist(mnist_folder):
    """MNIST's 10,000 test images: the first 8,000 to train with, the last 2,000 to test with."""
    if mnist_folder is None:
        pytest.skip(
            "needs t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST in the folder "
            "that ELEPHAS_TORCH_MNIST names"
        )
    images = read_idx(mnist_folder / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    labels = read_idx(mnist_folder / "t10k-labels-idx1-ubyte.gz", 8).astype(np.int64)
    x, y = images.astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]
    train, test = slice(0, 8000), slice(8000, 10000)
    return Mnist(x[train], y[train], labels[train], x[test], y[test], labels[test])


def pytest_make_parametrize_id(val, argname):
    """The same name in each process: archives have the time in them that they were made at."""
    return argname if isinstance(val, bytes) else None
