"""A program for `spark-submit`: trainings that wait at one place until a fault was done to them,
and then the same training undisturbed.

Its one argument is a folder, where it finds them as 0.json, 1.json, …, until there is "quit":
    folder: for what it tells: "driver", its process id; "here", that of the worker that waits until
        there is "go"; "result.json".
    at: the worker that waits, and the step that it waits at; null: none does.
    model: "net", or "count": a weight a row, in which one is added up for each time that the row is
        trained on.
    pace: seconds that each batch takes. rows, epochs, mode, frequency, options (`SparkModel`'s),
    fit (`fit`'s): of the training. fits: how many at once. shuffle: rows come from a shuffle.
    again: whether it is done once more, undisturbed. slots: that are waited for before.
"""

import itertools
import json
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from pyspark import SparkContext, TaskContext

import elephas_torch
from elephas_torch import cluster
from elephas_torch.keras.layers import Dense, Dropout, Layer
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

BATCH = 4


class Place(Layer):
    """Where a worker waits, at one of its steps, the first time that one comes there."""

    def __init__(self, folder=None, at=None, pace=0.0, **kwargs):
        super().__init__(**kwargs)
        self.folder, self.at, self.pace, self.steps = folder, at, pace, 0

    def call(self, inputs):
        task = TaskContext.get()
        if task is not None and torch.is_grad_enabled():
            time.sleep(self.pace)
            self.steps += 1
            if self.at == [task.partitionId(), self.steps]:
                self.wait(Path(self.folder))
        return inputs

    def wait(self, folder):
        try:
            os.mkdir(folder / "claimed")
        except FileExistsError:
            return
        tell(folder / "here", os.getpid())
        end = time.monotonic() + 60
        while not (folder / "go").exists() and time.monotonic() < end:
            time.sleep(0.02)


def tell(path, what):
    """Writes a file that is whole when it is there."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(what))
    beside.rename(path)


def counted(y_true, y_pred):
    return -y_pred[:, 0]


def data(model, rows):
    random = np.random.default_rng(0)
    if model == "count":
        return BATCH * np.eye(rows, dtype="float32"), np.zeros((rows, 1), "float32")
    x = random.standard_normal((rows, 5)).astype("float32")
    return x, np.eye(3, dtype="float32")[(x @ random.standard_normal((5, 3))).argmax(1)]


def network(model, rows, place):
    torch.manual_seed(0)
    if model == "count":
        zeros = Dense(1, use_bias=False, kernel_initializer="zeros")
        made = Sequential([Place(*place, input_shape=(rows,)), zeros])
        made.compile(loss=counted, optimizer=SGD(1.0))
        return made
    layers = [Dense(8, input_dim=5, activation="relu"), Place(*place), Dropout(0.2)]
    made = Sequential([*layers, Dense(3, activation="softmax")])
    made.compile(loss="categorical_crossentropy", optimizer=SGD(0.05, momentum=0.5))
    return made


def train(sc, rdd, told, model, **fit):
    options = {"seed": 1, "num_workers": 2, "batch_size": BATCH, **told["options"]}
    spark_model = SparkModel(sc, model, mode=told["mode"], frequency=told["frequency"], **options)
    history = spark_model.fit(rdd, epochs=told["epochs"], verbose=0, **fit)
    weights = np.concatenate([one.ravel() for one in model.get_weights()])
    return {"weights": weights.tolist(), "loss": history.history["loss"], "epochs": history.epoch}


def rows_of(sc, told):
    x, y = data(told["model"], told["rows"])
    if not told["shuffle"]:
        return to_simple_rdd(sc, x, y, 2)
    numbered = sc.parallelize(list(zip(range(len(x)), zip(x, y, strict=True), strict=True)), 2)
    return numbered.partitionBy(2, lambda number: number % 2).values()


def done(sc, told):
    folder = Path(told["folder"])
    tell(folder / "driver", os.getpid())
    end = time.monotonic() + 30
    while cluster.slots(sc, told["slots"]) < told["slots"] and time.monotonic() < end:
        time.sleep(0.1)
    rdd = rows_of(sc, told)
    place = (told["folder"], told["at"], told["pace"])
    # Threads would share the random numbers that weights begin with.
    models = [network(told["model"], told["rows"], place) for _ in range(told["fits"])]
    with ThreadPoolExecutor(told["fits"]) as pool:
        fits = [pool.submit(train, sc, rdd, told, one, **told["fit"]) for one in models]
        found = [one.result() for one in fits]
    result = {"found": found, "package": elephas_torch.__file__}
    if told["again"]:
        undisturbed = network(told["model"], told["rows"], (None, None, 0.0))
        result["expected"] = train(sc, rdd, told, undisturbed)
    return result


def main(inbox):
    sc = SparkContext(appName="faults")
    for number in itertools.count():
        asked = inbox / f"{number}.json"
        while not asked.exists():
            if (inbox / "quit").exists():
                sc.stop()
                return
            time.sleep(0.05)
        told = json.loads(asked.read_text())
        try:
            result = done(sc, told)
        except Exception:
            result = {"error": traceback.format_exc()}
        tell(Path(told["folder"]) / "result.json", result)
        sc._jsc.startTime()  # raises where the JVM is gone


if __name__ == "__main__":
    main(Path(sys.argv[1]))
