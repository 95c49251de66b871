"""Exchanges that go on while the worker computes, against loops of the same mathematics."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

from elephas_torch import SparkModel, data, optimizers, store
from elephas_torch.errors import Diverged, Fenced, ServerError
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.heartbeat import Standing
from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.optimizers import SGD
from elephas_torch.overlap import Overlapping
from elephas_torch.parameter import ServerProcess, Settings
from elephas_torch.parameter.courier import Courier
from elephas_torch.plan import Plan
from elephas_torch.stepping import step_of
from elephas_torch.utils.rdd_utils import to_simple_rdd

RATE, SIZE, EPOCHS = 0.1, 4, 3


def network(norm=False):
    torch.manual_seed(1)
    middle = [layers.BatchNormalization()] if norm else []
    model = Sequential(
        [
            layers.Dense(6, activation="tanh", input_dim=5),
            *middle,
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(SGD(RATE), "categorical_crossentropy")
    return model


def rows(model, count=24, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, 5)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[random.integers(0, 3, count)]
    return store.load(model, data.Pairs(), zip(x, y, strict=True))


def plan(every, gradients):
    return Plan(
        every=every,
        gradients=gradients,
        epochs=EPOCHS,
        initial_epoch=0,
        batch_size=SIZE,
        validation_split=0.0,
        shuffle=False,
        class_weight=None,
        seed=0,
    )


@pytest.fixture
def served():
    """served(mode, model, optimizer, workers) -> a running server of its vectors"""
    servers = []

    def start(mode, model, optimizer, workers=1):
        vectors = step_of(model).flat.vectors
        rule = optimizers.serialize(optimizer)
        settings = Settings(mode, vectors.sizes, rule, workers=workers, join_timeout=30)
        server = ServerProcess(settings, Vectors(*vectors), keep=True)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


def trained(server, model, made, every, gradients, number=0, kind=Overlapping):
    """A worker's life: returns its weights after each epoch."""
    client, step, ends = server.client(30), step_of(model), []
    joined = client.join(number, 0, samples=len(made))
    exchange = kind(plan(every, gradients), step, client, (number, 0), joined, Standing())
    for epoch in range(EPOCHS):
        model.train()
        assert not exchange.epoch(made, epoch)
        ends.append(step.flat.parameters.clone())
    client.leave(number, 0)
    exchange.close()
    return ends


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_gradients_are_of_the_weights_before_the_last_update(served, mode):
    model, alone = network(), network()
    ends = trained(served(mode, network(), SGD(RATE)), model, rows(model), 1, True)
    step, batches = step_of(alone), list(rows(alone).epoch(SIZE))
    weights = step.flat.parameters
    for end in ends:
        before = weights.clone()
        for batch in batches:
            step.gradients(batch)
            # The answer to the last push is taken in now: it lacks this gradient.
            gradient, now = step.flat.gradients.clone(), before - 0.0
            weights.copy_(now)
            before = now - RATE * gradient
        weights.copy_(before)  # at the end of an epoch nothing is on its way
        torch.testing.assert_close(end, weights, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_worker_alone_that_averages_trains_as_without(served, every, norm):
    model, alone = network(norm), network(norm)
    server = served("asynchronous", network(norm), optimizers.SGD(1.0))
    ends = trained(server, model, rows(model), every, False)
    step, batches = step_of(alone), list(rows(alone).epoch(SIZE))
    for end in ends:
        alone.train()
        for batch in batches:
            step.train(batch)
        torch.testing.assert_close(end, step.flat.parameters, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(step_of(model).flat.state, step.flat.state, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gradients", [True, False])
def test_synchronous_workers_agree_at_the_end_of_each_epoch(served, gradients):
    models = [network(), network()]
    rule = SGD(RATE) if gradients else optimizers.SGD(1.0)
    server = served("synchronous", network(), rule, workers=2)
    ends = [None, None]

    def work(number):
        made = rows(models[number], seed=number)
        ends[number] = trained(server, models[number], made, 1, gradients, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one, other in zip(*ends, strict=True):
        assert one.equal(other)


def test_it_doesnt_wait_for_the_answer(served):
    """Two synchronous workers, one of them late: the other one computes on meanwhile."""
    model = network()
    server = served("synchronous", network(), SGD(RATE), workers=2)
    client, other = server.client(30), server.client(30)
    joined = client.join(0, 0, samples=24)
    other.join(1, 0, samples=24)
    standing = Standing()
    exchange = Overlapping(plan(1, True), step_of(model), client, (0, 0), joined, standing)
    thread = threading.Thread(target=exchange.epoch, args=(rows(model), 0), daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while standing.batch < 2 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    assert standing.batch == 2  # the first is on its way, the second waits for it
    client.twin().control(stop=True)
    thread.join(20)
    assert not thread.is_alive()
    exchange.close()


def test_errors_of_the_courier_reach_the_training_thread(served):
    model = network()
    server = served("asynchronous", network(), SGD(RATE))
    client = server.client(30)
    joined = client.join(0, 0, samples=24)
    exchange = Overlapping(plan(1, True), step_of(model), client, (0, 0), joined, Standing())
    server.client(30).join(0, 1, samples=24)
    with pytest.raises(Fenced):
        exchange.epoch(rows(model), 0)
    exchange.close()
    joined = client.join(0, 2, samples=24)
    exchange = Overlapping(plan(1, True), step_of(model), client, (0, 2), joined, Standing())
    step_of(model).flat.parameters[0] = float("nan")
    exchange.flat.parameters[0] = float("nan")
    with pytest.raises(Diverged):
        exchange.epoch(rows(model), 0)
    exchange.close()
    joined = client.join(0, 3, samples=24)
    exchange = Overlapping(plan(1, True), step_of(network()), client, (0, 3), joined, Standing())
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(ServerError):
        exchange.epoch(rows(model), 0)
    exchange.close()
    end = time.monotonic() + 10
    while server.alive:  # else it may be kept for the next test
        assert time.monotonic() < end
        time.sleep(0.02)


def test_hogwild_workers_that_step_by_themselves_overlap_nothing(served):
    model, other = network(), network()
    ends = trained(served("hogwild", network(), SGD(RATE)), model, rows(model), 1, True)
    server = served("hogwild", network(), SGD(RATE))
    expected = trained(server, other, rows(other), 1, True, kind=Exchange)
    assert all(a.equal(b) for a, b in zip(ends, expected, strict=True))


def test_a_courier_goes_on_after_an_error():
    courier = Courier()
    failed, done = courier.send(lambda: 1 / 0), courier.send(max, 1, 2)
    assert isinstance(failed.exception(5), ZeroDivisionError) and done.result(5) == 2
    courier.close()
    courier._thread.join(5)
    assert not courier._thread.is_alive()


@pytest.mark.spark
@pytest.mark.parametrize(("mode", "frequency"), [("synchronous", "batch"), ("asynchronous", 3)])
def test_a_fit_that_overlaps_learns(spark_context, mode, frequency):
    random = np.random.default_rng(0)
    x = random.standard_normal((600, 5)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[(x @ random.standard_normal((5, 3))).argmax(1)]
    model = network()
    model.compile(SGD(0.2), "categorical_crossentropy", metrics=["accuracy"])
    spark_model = SparkModel(
        model, mode=mode, frequency=frequency, num_workers=2, seed=0, overlap=True,
        shared_memory=frequency == "batch",
    )  # fmt: skip
    assert spark_model.get_config()["overlap"] is True
    history = spark_model.fit(
        to_simple_rdd(spark_context, x, y), epochs=8, batch_size=10, verbose=0
    )
    assert history.history["accuracy"][-1] > 0.9
    with pytest.raises(ValueError, match="`overlap` must be True or False"):
        SparkModel(model, overlap="yes")


@pytest.mark.spark
def test_shards_give_the_same_weights(spark_context):
    """Where the weights are cut between two servers."""
    random = np.random.default_rng(0)
    x = random.standard_normal((40, 5)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[random.integers(0, 3, 40)]
    ends = []
    for shards in (1, 2):
        model = network(norm=True)
        spark_model = SparkModel(
            model, mode="synchronous", frequency="batch", num_workers=2, seed=0, num_shards=shards
        )
        spark_model.fit(to_simple_rdd(spark_context, x, y), epochs=2, batch_size=5, verbose=0)
        ends.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))
    with pytest.raises(ValueError, match="`num_shards` must be a whole number, 1 or more"):
        SparkModel(network(), num_shards=0)
    clipped = network()
    clipped.compile(SGD(0.1, clipnorm=1.0), "categorical_crossentropy")
    with pytest.raises(ValueError, match="clipnorm needs them whole"):
        SparkModel(clipped, frequency="batch", num_shards=2).fit(
            to_simple_rdd(spark_context, x, y), verbose=0
        )
