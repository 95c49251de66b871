"""Stages and arrays on a session of Spark Connect, in a process of its own: no other session may
be there."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("grpc", reason="needs pyspark[connect]")
pytestmark = [pytest.mark.spark, pytest.mark.cluster]

PROGRAM = """
import os
from pathlib import Path

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

builder = SparkSession.builder.remote("local[1]")
builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
builder = builder.config("spark.driver.host", "127.0.0.1")
builder = builder.config("spark.sql.artifact.copyFromLocalToFs.allowDestLocal", "true")
spark = builder.getOrCreate()

from elephas_torch.keras.layers import Dense, Input
from elephas_torch.keras.models import Sequential
from elephas_torch import files
from elephas_torch.ml import ElephasRegressionModel
from elephas_torch.ml.adapter import df_to_simple_rdd, from_data_frame, to_data_frame

x, y = np.arange(12.0).reshape(4, 3), np.array([0.5, 1, 2, 3])
frame = to_data_frame(spark, x, y)
features, labels = from_data_frame(frame)
np.testing.assert_array_equal(features, x)
np.testing.assert_array_equal(labels, y)
try:
    df_to_simple_rdd(frame)
except ValueError as error:
    assert "Spark Connect has no RDDs" in str(error)
else:
    raise AssertionError("no error")

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse")
stage = ElephasRegressionModel(model=model)
path = "FOLDER/a stage"
assert isinstance(files.folder(spark, path), files.LocalFolder)
stage.save(path)
try:
    stage.save(path)
except FileExistsError as error:
    assert "overwrite()" in str(error)
else:
    raise AssertionError("no error")
stage.write().overwrite().save(path)
assert sorted(os.listdir("FOLDER")) == ["a stage"]
assert ElephasRegressionModel.load(path).uid == stage.uid
for _ in range(2):
    PipelineModel(stages=[stage]).write().overwrite().save("FOLDER/pipeline")
found = PipelineModel.load("FOLDER/pipeline").stages[0]
np.testing.assert_array_equal(found.model.predict(x), model.predict(x))

# What a server does that has other disks.
files._shared = lambda session, path: None
files.CHUNK = 100
remote = "FOLDER/remote"
assert isinstance(files.folder(spark, remote), files.RemoteFolder)
try:
    ElephasRegressionModel.load(remote)
except FileNotFoundError:
    pass
else:
    raise AssertionError("no error")
stage.save(remote)
Path(remote, "old").touch()
try:
    stage.save(remote)
except FileExistsError:
    pass
else:
    raise AssertionError("no error")
stage.write().overwrite().save(remote)
assert sorted(one for one in os.listdir(remote) if one[0] != ".") == [
    "metadata", "model.json", "weights.safetensors"
]
found = ElephasRegressionModel.load(remote)
np.testing.assert_array_equal(found.model.predict(x), model.predict(x))
for path, message in (("hdfs://there/stage", "without a scheme"), ("stage", "must be absolute")):
    try:
        files.RemoteFolder(spark, path).put({})
    except ValueError as error:
        assert message in str(error)
    else:
        raise AssertionError("no error")
spark.stop()
"""


def test_stages_and_arrays_on_connect(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("FOLDER", str(tmp_path))],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-5000:]
