"""Spark Connect, in a process of its own: one process has either a SparkContext or none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grpc_status", reason="needs pyspark[connect]")

ROOT = Path(__file__).parent.parent

SCRIPT = """
import json, os, sys
from pyspark.sql import SparkSession, functions as F
from pyspark.ml.functions import array_to_vector

spark = SparkSession.builder.remote("local[2]").getOrCreate()

from elephas_torch import ElephasEstimator, ElephasTransformer, SparkModel, connect
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.utils import set_random_seed
from elephas_torch.utils.rdd_utils import to_simple_rdd

set_random_seed(0)
waves = F.transform(F.sequence(F.lit(1), F.lit(5)), lambda i: F.sin(i * F.col("id")))
frame = spark.range(600).select(waves.alias("waves"))
frame = frame.withColumn("label", (F.col("waves")[0] > 0).cast("double"))
frame = frame.withColumn("features", array_to_vector("waves"))


def network():
    model = Sequential([Dense(16, activation="relu", input_dim=5), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def said(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


found = {"slots": connect.Connect(spark).slots()}
losses = []
for connect.CLOSURE_BYTES in (2**25, 10):  # within the task; as a file of the session
    set_random_seed(0)
    model = SparkModel(network(), mode="synchronous", frequency="batch", num_workers=2, seed=1)
    losses.append(model.fit(frame, epochs=2, verbose=0).history["loss"])
    found["evaluated"], found["predicted"] = model.evaluate(frame), model.predict(frame).shape
found["losses"] = losses
set_random_seed(0)
gang = SparkModel(
    network(), mode="synchronous", frequency="batch", exchange="allreduce", num_workers=2, seed=1
)
found["allreduce"] = gang.fit(frame, epochs=2, verbose=0).history["loss"]
found["driver"] = model.master_network.evaluate(
    *map(__import__("numpy").array, zip(*frame.select("waves", "label").collect())), verbose=0
)

estimator = ElephasEstimator(model=network(), epochs=2, verbose=0, numWorkers=2)
fitted = estimator.fit(frame)
scores = fitted.transform(frame)
found["columns"] = scores.columns
found["first"] = scores.select("probability").first()[0].toArray().tolist()
path = sys.argv[1] + "/fitted"
fitted.write().overwrite().save(path)
fitted.write().overwrite().save(path)
again = ElephasTransformer.load(path).transform(frame)
found["again"] = again.select("probability").first()[0].toArray().tolist()
found["there"] = said(lambda: fitted.save(path))
found["worker"] = said(lambda: model.fit(frame.withColumn("label", F.lit(7.5)), verbose=0))
found["rdd"] = said(lambda: frame.rdd)
x = __import__("numpy").ones((4, 5))
found["simple"] = said(lambda: to_simple_rdd(spark, x, x[:, 0]))
found["arrays"] = said(lambda: SparkModel(spark, network()).evaluate(x, x[:, 0]))
found["toobig"] = said(lambda: SparkModel(network(), mode="synchronous", num_workers=9).fit(frame))
print("FOUND", json.dumps(found))
spark.stop()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    script = tmp_path_factory.mktemp("connect") / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, script, str(script.parent)],
        capture_output=True, text=True, timeout=300, check=False, cwd=script.parent,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    lines = [line for line in ran.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, ran.stderr[-3000:]
    return json.loads(lines[0].removeprefix("FOUND "))


def test_slots_are_those_of_the_master(found):
    assert found["slots"] == 2


def test_fits_give_the_same_however_weights_travel(found):
    within, as_file = found["losses"]
    assert within == as_file
    assert within[1] < within[0]


def test_all_reduce_gives_the_same(found):
    assert found["allreduce"] == pytest.approx(found["losses"][0], rel=1e-6)


def test_evaluates_and_predicts(found):
    assert found["evaluated"] == pytest.approx(found["driver"], abs=1e-6)
    assert found["predicted"] == [600, 1]


def test_stages_train_score_and_travel(found):
    assert found["columns"] == [
        "waves", "label", "features", "prediction", "probability", "rawPrediction",
    ]  # fmt: skip
    assert found["first"] == found["again"]


def test_errors_say_what_is_wrong(found):
    assert "overwrite" in found["there"]
    assert found["worker"].startswith("DataError: Partition")
    assert "num_workers=2" in found["toobig"]
    for one in ("simple", "arrays"):
        assert found[one].startswith("ValueError: Spark Connect has no RDDs: to_data_frame(")
