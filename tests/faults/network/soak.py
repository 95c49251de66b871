"""Trains on digits while workers are killed, one every so many seconds. Run as a script.

Arguments: how long; how often; the mode. Prints what came of it, as JSON, behind the same of twenty
epochs without kills.
"""

import json
import os
import random
import sys
import threading
import time
from unittest import mock

import numpy as np
import torch
from faulty_fits import context, left, things
from footprint import resident
from sklearn.datasets import load_digits

from elephas_torch.errors import ElephasError
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.layers import Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter.shards import ShardedServer
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

TIMES = 8  # each row so often, for epochs of about a second


def arrays():
    x, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), np.eye(10, dtype="float32")[labels[order]]
    return x[:1440], y[:1440], x[1440:], y[1440:]


class Until(Callback):
    """Ends the training when its time is over, but not before it has learned."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.monotonic() + seconds

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() > self.end and epoch >= 19:
            self.model.stop_training = True


class Killer:
    """Kills a worker now and then, and looks how much memory driver and server take."""

    def __init__(self, every):
        self.every, self.kills, self.sizes = every, 0, []
        self._server, self._over = None, threading.Event()
        self._chance = random.Random(0)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        plain, me = ShardedServer.start, self

        def started(server):
            me._server = plain(server)
            me._thread.start()
            return me._server

        self._patch = mock.patch.object(ShardedServer, "start", started)
        self._patch.start()
        return self

    def __exit__(self, *_):
        self._patch.stop()
        self._over.set()
        self._thread.join()

    def _run(self):
        due = time.monotonic() + self.every
        while not self._over.wait(1.0):
            pid = self._server.servers[0].pid
            self.sizes.append((resident("self"), resident(pid)))
            if time.monotonic() > due:
                due += self.every
                try:
                    with self._server.client(timeout=10) as client:
                        workers = [*client.status()["workers"].values()]
                    alive = [one["pid"] for one in workers if one["alive"]]
                    os.kill(self._chance.choice(alive), 9)
                    self.kills += 1
                except (ElephasError, ProcessLookupError, IndexError) as error:
                    print(f"Nobody was killed: {error}", file=sys.stderr)


def fit(sc, seconds, mode):
    """The test data's accuracy, epochs, and what is left."""
    torch.manual_seed(0)
    model = Sequential(
        [Dense(64, activation="relu", input_dim=64), Dropout(0.1), Dense(10, activation="softmax")]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    x, y, x_test, y_test = arrays()
    rdd = to_simple_rdd(sc, np.tile(x, (TIMES, 1)), np.tile(y, (TIMES, 1)), 2)
    before = things()
    spark_model = SparkModel(model, mode=mode, frequency="batch", num_workers=2, seed=1)
    history = spark_model.fit(rdd, epochs=10**6, verbose=0, callbacks=[Until(seconds)])
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    return {"accuracy": accuracy, "epochs": len(history.epoch), "left": left(before)}


def main(answers, seconds, every, mode):
    torch.set_num_threads(1)
    sc = context("local[2,1000000]")
    undisturbed = fit(sc, 0.0, mode)
    with Killer(float(every)) as killer:
        found = fit(sc, float(seconds), mode)
    found |= {"kills": killer.kills, "sizes": killer.sizes}
    print(json.dumps([undisturbed, found]), file=answers, flush=True)
    sc.stop()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        main(answers, *sys.argv[1:])
