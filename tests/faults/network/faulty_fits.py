"""Fits with a bad network between workers and server, and what is left of them.

Run as a script it is a driver that fits what it is told, line by line, on a Spark that runs lost
tasks again: the one that tests share doesn't.
"""

import base64
import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import faulty_network as network
import numpy as np
import torch

from elephas_torch.keras.layers import BatchNormalization, Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter.shards import Address, ShardedServer
from elephas_torch.run import Run
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

WORKERS, ROWS, SIZE, EPOCHS = 2, 320, 16, 4
BATCHES = ROWS // WORKERS // SIZE


@dataclass
class Case:
    """A fit.

    Attributes:
        once: (worker, seq, fault) of faults that happen to one push each.
        chance: seed, share, and "harmless" or "all"; None: nothing by chance.
        cut_bytes: with TLS: connections are cut after so many bytes.
        part: with TLS: seconds of a partition, in the middle.
        folder: for checkpoints.
    """

    mode: str = "synchronous"
    frequency: str | int = "batch"
    optimizer: str = "adam"
    once: list = field(default_factory=list)
    chance: list | None = None
    cut_bytes: int = 0
    part: float = 0.0
    folder: str | None = None
    straight: bool = False
    options: dict = field(default_factory=dict)

    @property
    def pushes(self):
        every = {"batch": 1, "epoch": BATCHES}.get(self.frequency, self.frequency)
        return WORKERS * EPOCHS * -(-BATCHES // every)

    def plan(self):
        if self.once:
            return network.Once({(w, seq): fault(name) for w, seq, name in self.once})
        if self.chance is not None:
            seed, share, what = self.chance
            faults = {"harmless": network.HARMLESS, "cuts": network.CUTS}
            both = (*network.HARMLESS, *network.CUTS)
            return network.Chance(seed, share, faults.get(what, both))
        return network.Nothing()


def fault(name):
    """A fault by its name; "partition 3", "partition 3 forgotten"."""
    first, *more = name.split()
    if first == "partition":
        return network.partition(float(more[0]), "forgotten" in more)
    return getattr(network, name)


def arrays():
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, 4)).astype(np.float32)
    return x, (x @ random.standard_normal((4, 3))).astype(np.float32)


def model(optimizer):
    torch.manual_seed(0)
    made = Sequential(
        [Dense(8, input_dim=4, activation="relu"), Dropout(0.1), BatchNormalization(), Dense(3)]
    )
    made.compile(loss="mse", optimizer=optimizer)
    return made


@contextlib.contextmanager
def between(case):
    """Workers are told the addresses of proxies; gives these, which come with the server."""
    proxies, plan = {}, case.plan()

    def one(server):
        if server.address not in proxies:
            kill = lambda: os.kill(server.pid, 9)  # noqa: E731
            if server.certificate is None:
                made = network.Proxy(server.address, plan, kill)
            else:
                made = network.Wire(server.address, kill, case.cut_bytes, 20, 30_000, case.part)
            proxies[server.address] = made
        scheme = server.url.partition(":")[0]
        url = f"{scheme}://127.0.0.1:{proxies[server.address].port}"
        return Address(url, server.token, server.certificate)

    addresses = property(lambda self: tuple(one(server) for server in self.servers))
    with contextlib.ExitStack() as stack:
        if not case.straight:
            stack.enter_context(mock.patch.object(ShardedServer, "addresses", addresses))
        yield proxies
        for made in proxies.values():
            made.close()


@contextlib.contextmanager
def statuses():
    """What servers say of themselves when all is done."""
    found, plain = [], Run._take_weights

    def taken(self, client):
        found.append(client.status())
        plain(self, client)

    with mock.patch.object(Run, "_take_weights", taken):
        yield found


def fit(sc, case):
    """What came of it, JSON-able."""
    before, said = things(), io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger("elephas_torch").addHandler(handler)
    spark_model = SparkModel(
        model(case.optimizer), mode=case.mode, frequency=case.frequency, num_workers=WORKERS,
        batch_size=SIZE, seed=1, shared_memory=False, **case.options,
    )  # fmt: skip
    x, y = arrays()
    rdd = to_simple_rdd(sc, x, y, WORKERS)
    began = time.monotonic()
    try:
        with between(case) as proxies, statuses() as told:
            history = spark_model.fit(rdd, epochs=EPOCHS, verbose=0, checkpoint_dir=case.folder)
    finally:
        logging.getLogger("elephas_torch").removeHandler(handler)
    trained = spark_model.master_network
    weights = np.concatenate([one.ravel() for one in trained.get_weights()])
    return {
        "weights": base64.b64encode(weights.tobytes()).decode(),
        "loss": float(trained.evaluate(x, y, verbose=0)),
        "history": history.history["loss"],
        "status": told[-1],
        "tried": {name: n for one in proxies.values() for name, n in one.tried.items()},
        "said": said.getvalue(),
        "seconds": time.monotonic() - began,
        "left": left(before),
    }


def things():
    """Names of what fits may leave on disk and in memory."""
    found = {name for name in os.listdir(tempfile.gettempdir()) if "elephas" in name}
    return found | {f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if "elephas" in name}


def left(before):
    """What is left of a fit: files, processes that listen, threads. One server may wait for the
    next fit."""
    end = time.monotonic() + 5
    while True:
        found = sorted(things() - before)
        found += [f"server {pid} listens" for pid in servers() if listens(pid)]
        found += [one.name for one in threading.enumerate() if "elephas" in one.name]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def servers():
    """Process ids of the parameter servers that this process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().split(b"\0")
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            if b"elephas_torch.parameter" in command and parent == os.getpid():
                found.append(int(path.parent.name))
    return found


def listens(pid):
    """Whether a process has a socket that listens."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[3] == "0A"}
    with contextlib.suppress(OSError):
        return any(os.readlink(one) in listening for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


def context(master):
    """A SparkContext that runs lost tasks again."""
    from pyspark import SparkConf, SparkContext

    conf = SparkConf().setMaster(master).setAppName("faults")
    conf.set("spark.ui.enabled", "false").set("spark.python.daemon.module", "warm_daemon")
    conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    conf.set("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    conf.set("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"])
    made = SparkContext(conf=conf)
    made.setLogLevel("OFF")
    return made


def main(answers):
    torch.set_num_threads(1)
    sc = context(sys.argv[1])
    for line in sys.stdin:
        try:
            told = fit(sc, Case(**json.loads(line)))
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), file=answers, flush=True)
    sc.stop()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what others print isn't an answer
        main(answers)
