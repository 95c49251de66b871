"""The parameter server with plain PyTorch loops: no Spark, no Keras-style model.

Two processes train one network on halves of scikit-learn's digits. Each computes the gradients
of its own batches; the server, a process of its own, averages them and steps with Adam.

    python examples/parameter_server_alone.py
    python examples/parameter_server_alone.py asynchronous
"""

import multiprocessing
import sys
import time

import torch
from sklearn.datasets import load_digits
from torch import nn

from elephas_torch import optimizers
from elephas_torch.flat import Flat
from elephas_torch.parameter import Client, Push, ServerProcess, Settings

WORKERS, EPOCHS, BATCH = 2, 20, 32


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Linear(64, 10))


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 rows in an order of their own: 64 features from 0 to 1, and the digit."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    features = torch.tensor(data.data / 16.0, dtype=torch.float32)
    return features[order], torch.tensor(data.target)[order]


def work(worker: int, url: str, token: str) -> None:
    """Trains on this worker's rows: after each batch, a push and the fresh weights."""
    torch.set_num_threads(1)
    features, labels = (part[:1500][worker::WORKERS] for part in digits())
    module = network()
    flat = Flat(module)
    with Client(url, token) as client:
        client.health()
        attempt = 0
        seq = client.join(worker, attempt, samples=len(labels)).seq
        version = client.pull(flat.vectors)
        for epoch in range(EPOCHS):
            batches = torch.randperm(len(labels)).split(BATCH)
            for number, rows in enumerate(batches):
                flat.zero_gradients()
                nn.functional.cross_entropy(module(features[rows]), labels[rows]).backward()
                last = number == len(batches) - 1
                push = Push(worker, attempt, seq, version, len(rows), epoch, last)
                update = flat.vectors._replace(parameters=flat.gradients)
                version = client.exchange(push, update, flat.vectors).version
                seq += 1
        client.leave(worker, attempt)


def main(mode: str = "synchronous") -> float:
    """Trains, prints and returns the accuracy on the 297 rows that no worker saw."""
    started = time.time()
    module = network()
    flat = Flat(module)
    rule = optimizers.Adam(0.005)
    settings = Settings(mode, flat.vectors.sizes, optimizers.serialize(rule), workers=WORKERS)
    with ServerProcess(settings, flat.vectors) as server:
        spawn = multiprocessing.get_context("spawn")
        workers = [
            spawn.Process(target=work, args=(worker, server.url, server.token))
            for worker in range(WORKERS)
        ]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        with server.client() as client:
            client.pull(flat.vectors)
            status = client.status()
    features, labels = (part[1500:] for part in digits())
    accuracy = (module.eval()(features).argmax(1) == labels).float().mean().item()
    print(
        f"{mode}: accuracy {accuracy:.3f} after {status['counts']['pushes']} pushes in "
        f"{status['version']} versions, {time.time() - started:.1f} s"
    )
    return accuracy


if __name__ == "__main__":
    main(*sys.argv[1:])
