"""All-reduce among workers: the same weights as over the server, and no waits without an end."""

import itertools
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from elephas_torch import cluster, preflight, worker
from elephas_torch.allreduce import AllReduce
from elephas_torch.cluster import own_address
from elephas_torch.errors import Diverged, Fenced, WaitTimeout, WorkerError
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.gangs import Gangs
from elephas_torch.heartbeat import Standing
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.constraints import MaxNorm
from elephas_torch.keras.layers import BatchNormalization, Dense, Layer
from elephas_torch.keras.models import Sequential
from elephas_torch.meeting import opened
from elephas_torch.ml_model import ElephasEstimator
from elephas_torch.optimizers import SGD, Adagrad, Adam
from elephas_torch.parameter.in_memory import InMemoryClient
from elephas_torch.parameter.state import State
from elephas_torch.parameter.wire import Settings
from elephas_torch.plan import Gang, Plan
from elephas_torch.spark_model import SparkModel, load_spark_model
from elephas_torch.stepping import step_of
from elephas_torch.store import Held
from elephas_torch.team import Parted, Team
from elephas_torch.utils.rdd_utils import to_simple_rdd

ROOT = Path(__file__).parent.parent
COMM = "/proc/self/task/*/comm"


def network(optimizer, normalized=True):
    torch.manual_seed(0)
    middle = [BatchNormalization()] if normalized else []
    model = Sequential([
        Dense(8, activation="tanh", input_dim=5, kernel_constraint=MaxNorm(1.5)),
        *middle,
        Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def data(rows=96):
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 5)).astype(np.float32)
    return x, np.eye(3, dtype=np.float32)[(x @ random.standard_normal((5, 3))).argmax(1)]


def vector(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def plan(every=1, gradients=True, epochs=3, batch_size=8):
    return Plan(
        every=every, gradients=gradients, epochs=epochs, initial_epoch=0, batch_size=batch_size,
        validation_split=0.0, shuffle=True, class_weight=None, seed=3, shared_memory=False,
    )  # fmt: skip


class Local(InMemoryClient):
    url, update, parameters = "http://127.0.0.1:9", None, None


def settings(model, step, optimizer, workers, **changed):
    return Settings(
        mode="synchronous",
        sizes=step.flat.vectors.sizes,
        optimizer=preflight.for_server(optimizer, model, step.flat.names),
        weight_sizes=step.flat.sizes,
        workers=workers,
        constraints=preflight.constraint_specs(model),
        **changed,
    )


def trained(sizes, make, optimizer, planned, over):
    """Weights of each worker (threads here) and of the server in the end."""
    rows = [Held(Samples(x, y)) for x, y in parts(sizes)]
    models = [network(make()) for _ in sizes]
    steps = [step_of(model) for model in models]
    chosen = settings(models[0], steps[0], optimizer or models[0].optimizer, len(sizes))
    state = State(chosen, steps[0].flat.vectors)

    def run(number):
        client = Local(state)
        info = {"gang": 0}
        joined = client.join(number, 1, samples=len(rows[number]), info=info)
        given = (planned, steps[number], client, (number, 1), joined, Standing())
        exchange = AllReduce(Gang(chosen), *given) if over == "allreduce" else Exchange(*given)
        for epoch in range(planned.epochs):
            models[number].train()
            exchange.epoch(rows[number], epoch)
        exchange.conclude()
        exchange.close()
        client.leave(number, 1)

    with ThreadPoolExecutor(len(sizes)) as pool:
        list(pool.map(run, range(len(sizes))))
    if over == "server":
        state.control(finalize=True)
    final = Vectors(*(torch.zeros_like(one) for one in state.weights.vectors))
    Local(state).pull(final)
    found = [torch.cat([*map(torch.Tensor.float, step.flat.vectors)]).numpy() for step in steps]
    return found, torch.cat([*map(torch.Tensor.float, final)]).numpy()


def parts(sizes):
    x, y = data(sum(sizes))
    ends = np.cumsum((0, *sizes))
    pairs = itertools.pairwise(ends)
    return [(torch.tensor(x[i:j]), torch.tensor(y[i:j])) for i, j in pairs]


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("sizes", [(30, 66), (20, 45, 31), (40,)])
@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (lambda: SGD(0.05, momentum=0.9, clipnorm=1.0), None),
        (lambda: Adam(0.01, use_ema=True, ema_momentum=0.5), None),
        (lambda: SGD(0.05), Adagrad(0.1)),
    ],
)
def test_it_is_what_the_server_does(every, sizes, make, optimizer):
    planned = plan(every, gradients=every == 1)
    outer = optimizer or (None if every == 1 else SGD(1.0))
    workers, final = trained(sizes, make, outer, planned, "allreduce")
    _, expected = trained(sizes, make, outer, planned, "server")
    assert distance(final, expected) < 1e-6
    assert np.array_equal(final, workers[0])
    if every != 1 or not make().use_ema:  # only the first puts the running mean there
        assert all(np.array_equal(one, workers[0]) for one in workers)


def test_large_numbers_do_not_overflow():
    models = [network(SGD(1e-37), normalized=False) for _ in range(2)]
    steps = [step_of(model) for model in models]
    chosen = settings(models[0], steps[0], models[0].optimizer, 2)
    chosen.constraints.clear()
    state = State(chosen, steps[0].flat.vectors)
    before = steps[0].flat.parameters.clone()

    def run(number):
        client = Local(state)
        joined = client.join(number, 1, samples=2**20 + number, info={"gang": 0})
        given = (plan(), steps[number], client, (number, 1), joined, Standing())
        exchange = AllReduce(Gang(chosen), *given)
        exchange.update.fill_(1e37)
        exchange._round(2**20)
        exchange.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    for step in steps:
        torch.testing.assert_close(step.flat.parameters, before - 1)


# Waits


def teams(timeout=20.0):
    from datetime import timedelta

    store, port = opened("127.0.0.1", timedelta(seconds=5))
    other = torch.distributed.TCPStore(
        "127.0.0.1", port, None, False, timedelta(seconds=5), wait_for_workers=False
    )
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(
            lambda rank: Team([store, other][rank], rank, 2, "127.0.0.1", 5.0, timeout), range(2)
        )
        return list(made)


def test_a_team_adds_and_finds_the_largest():
    made = teams()
    vectors = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    counters = [torch.tensor([1, 9]), torch.tensor([2, 8])]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: made[n].add(vectors[n]), range(2)))
        list(pool.map(lambda n: made[n].largest(counters[n]), range(2)))
    assert [one.tolist() for one in vectors] == [[4.0, 6.0]] * 2
    assert [one.tolist() for one in counters] == [[2, 9]] * 2
    for one in made:
        one.close()
        one.close()


def test_who_leaves_wakes_the_others_at_once():
    stays, leaves = teams()
    threading.Timer(0.3, leaves.close).start()
    began = time.monotonic()
    with pytest.raises(Parted):
        stays.add(torch.zeros(4))
    assert time.monotonic() - began < 5
    stays.close()


def test_a_sum_that_takes_too_long():
    here, there = teams(timeout=0.5)
    with pytest.raises(WaitTimeout, match=r"Waited 0.5 s for the other workers' updates"):
        here.add(torch.zeros(4))
    here.close()
    there.close()


@pytest.fixture
def meeting():
    """A model's step, a state that expects two workers, and what makes a worker's exchange."""
    model = network(SGD(0.1))
    step = step_of(model)
    chosen = settings(model, step, model.optimizer, 2, join_timeout=0.2)
    state = State(chosen, step.flat.vectors)

    def exchange(gang=0):
        client = Local(state)
        joined = client.join(0, 5, samples=8, info={"gang": gang, "tries": 2})
        given = (plan(), step, client, (0, 5), joined, Standing())
        return AllReduce(Gang(chosen, number=gang), *given)

    return state, exchange


def test_who_does_not_come(meeting):
    _, exchange = meeting
    with pytest.raises(WaitTimeout, match=r"Only 1 of 2 workers joined within 0.2 s \(came: 0\)"):
        exchange()


def test_who_came_another_time_does_not_count(meeting):
    state, exchange = meeting
    state.join(1, 3, 8, {"gang": 0, "meet": ["127.0.0.1", 9]})
    with pytest.raises(WaitTimeout, match=r"Only 1 of 2"):
        exchange(gang=1)


def test_who_came_without_rows_is_not_waited_for(meeting):
    state, exchange = meeting
    state.join(1, 3, 0, {"gang": 0})
    found = exchange()
    assert found.team is None and found.leads


def test_who_says_where_to_meet_keeps_its_tries(meeting):
    state, exchange = meeting
    state.join(1, 3, 8, {"gang": 0})
    with pytest.raises((WaitTimeout, Parted)):  # the other one never comes there
        exchange()
    told = state.ledger.workers[0].info
    assert told["meet"] and told["tries"] == 2


@pytest.mark.parametrize("why", ["failure", "stop"])
def test_nobody_is_waited_for_where_one_has_failed(meeting, why):
    state, exchange = meeting
    if why == "stop":
        state.control(stop=True)
    else:
        state.join(1, 3, 8, {"gang": 0})
        state.fail(1, 3, {"kind": "worker", "message": "", "traceback": ""})
    with pytest.raises(Parted):
        exchange()


def test_who_was_replaced_stops(meeting):
    state, exchange = meeting
    state.join(1, 3, 0, {"gang": 0})
    found = exchange()
    state.join(0, 6, 8, {"gang": 0})
    with pytest.raises(Fenced):
        found._put(0)


def test_what_is_not_finite_is_not_added(meeting):
    state, exchange = meeting
    state.join(1, 3, 0, {"gang": 0})
    found = exchange()
    before = found.flat.parameters.clone()
    found.flat.gradients.fill_(float("nan"))
    with pytest.raises(Diverged, match="non-finite"):
        found._round(8)
    assert torch.equal(found.flat.parameters, before)


def test_rates_of_epochs_that_are_done_again():
    gang = Gang(None, rates={0: 0.5, 2: 0.25, 3: 0.125}, known=3)
    assert [gang.rate(epoch, 9.0) for epoch in range(5)] == [0.5, 0.5, 0.25, 0.125, 9.0]
    assert Gang(None).rate(0, None) is None


def test_the_address_is_the_one_that_speaks_to_the_server():
    assert own_address("127.0.0.1", 9) == "127.0.0.1"


# Arguments


def test_it_is_for_synchronous_mode():
    model = network("sgd")
    with pytest.raises(ValueError, match=r"is for mode='synchronous'.*mode='hogwild'"):
        SparkModel(model, mode="hogwild", exchange="allreduce")
    with pytest.raises(ValueError, match="all-reduce"):
        SparkModel(model, mode="synchronous", exchange="all-reduce")
    with pytest.raises(ValueError, match=r"num_shards is for exchange='server'"):
        SparkModel(model, mode="synchronous", exchange="allreduce", num_shards=2)
    with pytest.raises(ValueError, match=r"overlap=True is for exchange='server'"):
        SparkModel(model, mode="synchronous", exchange="allreduce", overlap=True)
    assert SparkModel(model).exchange == "server"


def test_it_is_saved(tmp_path):
    SparkModel(network("sgd"), mode="synchronous", exchange="allreduce").save(tmp_path / "m.keras")
    assert load_spark_model(tmp_path / "m.keras").exchange == "allreduce"


# On Spark


def both(rows, make, hooks=lambda model: None, **options):
    """Models trained over the server and by all-reduce, and their histories."""
    models, histories = [], []
    for exchange in ("server", "allreduce"):
        model = network(make())
        spark_model = SparkModel(model, mode="synchronous", exchange=exchange, seed=1, **options)
        history = spark_model.fit(rows, epochs=3, batch_size=8, verbose=0, callbacks=hooks(model))
        models.append(vector(model))
        histories.append(history.history)
    return models, histories


@pytest.mark.spark
def test_an_rdd_with_a_partition_without_rows_and_a_union(spark_context):
    x, y = data()
    pairs = list(zip(x, y, strict=True))
    dealt = [pairs[:30], [], pairs[30:]]
    rdd = spark_context.parallelize(range(3), 3).mapPartitionsWithIndex(
        lambda index, _: iter(dealt[index])
    )
    models, _ = both(rdd, lambda: SGD(0.05, momentum=0.5), frequency="batch")
    assert distance(*models) < 1e-6
    # a barrier stage can't be of a union: its partitions go through a shuffle
    union = rdd.union(rdd)
    assert not cluster.fits_barrier(union._jrdd.rdd())
    models, _ = both(union, lambda: SGD(0.05), num_workers=2)
    assert distance(*models) < 1e-6
    # nothing of it lives on in the Python processes that Spark uses again
    threads = rdd.mapPartitions(lambda _: [Path(p).read_text() for p in glob(COMM)]).collect()
    assert threads
    assert not [name for name in threads if "gloo" in name or "tcpstore" in name]


@pytest.mark.spark
def test_rates_and_stops_of_callbacks(spark_context):
    seen = []

    def hooks(model):
        def slower(epoch, logs):
            model.optimizer.learning_rate *= 0.5
            model.stop_training = epoch == 1
            seen.append(vector(model))

        return [LambdaCallback(on_epoch_end=slower)]

    rdd = to_simple_rdd(spark_context, *data())
    models, histories = both(
        rdd, lambda: Adam(0.05, use_ema=True), hooks, frequency="batch", num_workers=2
    )
    assert distance(*models) < 1e-6
    assert len(histories[0]["loss"]) == len(histories[1]["loss"]) == 2
    assert distance(seen[0], seen[2]) < 1e-6 and distance(seen[1], seen[3]) < 1e-6
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-6)


@pytest.mark.spark
def test_a_data_frame(spark):
    x, y = data()
    rows = [(one.tolist(), float(label)) for one, label in zip(x, y.argmax(1), strict=True)]
    frame = spark.createDataFrame(rows, "features array<float>, label double")
    frame = frame.repartitionByRange(3, "label").cache()
    models, histories = both(frame, lambda: SGD(0.1, momentum=0.5), frequency=3)
    assert distance(*models) < 1e-6
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-6)
    estimator = ElephasEstimator(
        model=network("sgd"), mode="synchronous", exchange="allreduce", epochs=1, num_workers=2
    )
    assert estimator.getExchange() == "allreduce"
    assert estimator.fit(frame.coalesce(2)).transform(frame).count() == 96
    frame.unpersist()


def test_after_some_losses_it_gives_up(caplog):
    made = []

    def results(task, together):
        assert together
        made.append(task.args[0].gang)
        if len(made) % 2:
            raise RuntimeError("Python worker exited unexpectedly (crashed)")
        return [{"worker": 0, "rows": 0, "history": {}, "lost": "Connection closed by peer"}]

    source = SimpleNamespace(cluster=SimpleNamespace(slots=lambda: 1), results=results)
    found = Gangs(source, 1, 1.0)
    found.note_rate(0, 0.1, 1, None)
    found.note_rate(0, 0.1, 2, 0.05)
    job = worker.Job(None, None, (), None, plan(), 1.0, 1.0, 1.0, Gang(None))
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(WorkerError, match=r"lost 4 times, the last time so: Connection closed"),
    ):
        found.results(job)
    assert [one.number for one in made] == [0, 1, 2, 3]
    assert [one.known for one in made] == [-1, 2, 2, 2]
    assert [one.rates for one in made[1:]] == [{0: 0.1, 2: 0.05}] * 3
    assert caplog.text.count("all begin anew") == 3
    with pytest.raises(WaitTimeout, match=r"1 slots for 2 workers\. Set num_workers=1"):
        Gangs(source, 2, 0.1).results(job)


class Broken(Layer):
    calls = 0

    def call(self, inputs):
        from pyspark import TaskContext

        task = TaskContext.get()
        if torch.is_grad_enabled() and task is not None and task.partitionId() == 1:
            Broken.calls += 1
            if Broken.calls > 2:
                raise KeyError("a bug of mine")
        return inputs


@pytest.mark.spark
def test_a_worker_that_raises_ends_all(spark_context):
    model = Sequential([Dense(8, input_dim=5), Broken(), Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    began = time.monotonic()
    spark_model = SparkModel(
        model, mode="synchronous", exchange="allreduce", frequency="batch", num_workers=2
    )
    with pytest.raises(WorkerError, match="Worker 1 raised KeyError: 'a bug of mine'"):
        spark_model.fit(to_simple_rdd(spark_context, *data()), epochs=9, batch_size=4, verbose=0)
    assert time.monotonic() - began < 30


KILLED = """
import os, signal
import numpy as np
import torch
from pyspark import SparkConf, SparkContext, TaskContext
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

class Mortal(Layer):
    calls = 0
    def __init__(self, signal=None, **kwargs):
        super().__init__(**kwargs)
        self.signal = signal
    def call(self, inputs):
        Mortal.calls += torch.is_grad_enabled()
        task = TaskContext.get()
        if self.signal and task and task.partitionId() == 1 and Mortal.calls == 25:
            name = f"was-{self.signal}"
            if not os.path.exists(name):
                open(name, "w").close()
                os.kill(os.getpid(), self.signal)
        return inputs

def slower(epoch, logs):
    model.optimizer.learning_rate = 0.1 / (epoch + 2)

sc = SparkContext(conf=SparkConf().setMaster("local[2,4]").setAppName("killed"))
sc.setLogLevel("OFF")
random = np.random.default_rng(0)
x = random.standard_normal((320, 5)).astype("float32")
y = np.eye(3)[(x @ random.standard_normal((5, 3))).argmax(1)]
rdd = to_simple_rdd(sc, x, y)
weights = []
for number in (None, signal.SIGKILL, signal.SIGSTOP):
    torch.manual_seed(0)
    model = Sequential([Dense(8, input_dim=5), Mortal(number), Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer=SGD(0.1, momentum=0.5))
    spark_model = SparkModel(model, mode="synchronous", exchange="allreduce", frequency="batch",
                             seed=1, num_workers=2, lease=4)
    hooks = [LambdaCallback(on_epoch_end=slower)]
    history = spark_model.fit(rdd, epochs=4, batch_size=16, verbose=0, callbacks=hooks)
    print("epochs", len(history.history["loss"]))
    weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
print("same", np.array_equal(weights[0], weights[1]), np.array_equal(weights[0], weights[2]))
"""


@pytest.mark.slow
@pytest.mark.cluster
def test_a_lost_worker_and_a_silent_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, text=True,
        capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epochs 4") == 3
    assert "same True True" in done.stdout
    assert done.stderr.count("A worker was lost; all begin anew (1 of 3 times)") == 2
