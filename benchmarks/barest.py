"""The barest asynchronous exchange: the facade's gradients, plain sockets, and a vector that is
stepped with whatever comes. Nothing is named, checked by a token, or counted once.

What a parameter server over TCP can reach on this machine with workers on all of its cores.
"""

from __future__ import annotations

import functools
import multiprocessing
import select
import socket
import time
from typing import Any

import torch

from benchmarks import networks, rawtcp
from benchmarks.loops import WORKERS, Work
from elephas_torch import data, keras, store
from elephas_torch.keras.step import Step

#: Bytes of the headers that a request and its answer have over HTTP.
HEAD = 100


def fit(processes: Any, work: Work, workers: int = WORKERS) -> dict[str, float]:
    """Workers in processes that are there, and a server in one of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    network = networks.NETWORKS[work.network]
    server = spawn.Process(target=serve, args=(work.network, workers, theirs), daemon=True)
    server.start()
    try:
        began = time.perf_counter()
        jobs = [(work, ours.recv(), worker) for worker in range(workers)]
        seconds = processes.map(train, jobs, chunksize=1)
        whole = time.perf_counter() - began
        model = networks.by_keras(keras, network)
        learned = bytearray(ours.recv_bytes())
        Step(model).flat.parameters.copy_(torch.frombuffer(learned, dtype=torch.float32))
        predict = functools.partial(model.predict, verbose=0)
    finally:
        server.kill()
    accuracy = networks.accuracy(network, predict)
    return {"rate": work.rate(seconds), "whole": whole, "accuracy": accuracy}


def serve(network: str, workers: int, pipe: Any) -> None:
    """Steps with each gradient that comes, and answers with the weights; ends with its clients,
    and says the weights then."""
    torch.set_num_threads(1)
    weights = Step(networks.by_keras(keras, networks.NETWORKS[network])).flat.parameters
    fresh, got = torch.empty_like(weights), torch.empty(HEAD // 4 + len(weights))
    rate = networks.NETWORKS[network].rate
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(workers):
            pipe.send(listener.getsockname()[1])
        clients = {one.fileno(): one for one in (_accepted(listener) for _ in range(workers))}
    # Nobody starts before all are there, with the same weights.
    for client in clients.values():
        rawtcp.send(client, [_memory(weights)])
    waiting = select.epoll()
    for number in clients:
        waiting.register(number, select.EPOLLIN)
    while clients:
        for number, _ in waiting.poll():
            client = clients[number]
            if not client.recv(1, socket.MSG_PEEK):
                waiting.unregister(number)
                clients.pop(number).close()
                continue
            rawtcp.read_into(client, _memory(got))
            gradient = got[HEAD // 4 :]
            if not torch.isfinite(gradient.sum()):
                raise ValueError("non-finite gradients")
            torch.add(weights, gradient, alpha=-rate, out=fresh)
            weights, fresh = fresh, weights
            rawtcp.send(client, [memoryview(bytes(HEAD)), _memory(weights)])
    pipe.send_bytes(_memory(weights))


def train(job: tuple[Work, int, int]) -> list[float]:
    """One worker: the seconds of its epochs."""
    work, port, worker = job
    torch.set_num_threads(1)
    model = networks.by_keras(keras, networks.NETWORKS[work.network])
    rows = store.load(model, data.Blocks(), iter([work.data(worker)]), None)
    assert rows is not None
    step = Step(model)
    into, update = _memory(step.flat.parameters), _memory(step.flat.gradients)
    head, seconds = memoryview(bytes(HEAD)), []
    with rawtcp.no_delay(socket.create_connection(("127.0.0.1", port))) as connection:
        rawtcp.read_into(connection, into)
        model.train()
        answered = memoryview(bytearray(HEAD))
        for epoch in range(work.epochs):
            began = time.perf_counter()
            step.reset()
            for batch in rows.epoch(work.batch_size, True, (0, worker, epoch)):
                step.gradients(batch)
                rawtcp.send(connection, [head, update])
                rawtcp.read_into(connection, answered)
                rawtcp.read_into(connection, into)
            seconds.append(time.perf_counter() - began)
    return seconds


def _accepted(listener: socket.socket) -> socket.socket:
    return rawtcp.no_delay(listener.accept()[0])


def _memory(vector: torch.Tensor) -> memoryview:
    return memoryview(vector.numpy()).cast("B")  # type: ignore[arg-type]
