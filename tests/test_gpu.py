"""What only a GPU shows: `make test-gpu` on a machine that has one."""

import logging
import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch._inductor import cudagraph_trees

from benchmarks import gpu
from elephas_torch import ElephasTransformer, SparkModel, data, device, store
from elephas_torch.device import Choice, OutOfMemory
from elephas_torch.errors import WorkerError
from elephas_torch.exchange import Exchange
from elephas_torch.heartbeat import Standing
from elephas_torch.keras import (
    Model,
    Sequential,
    layers,
    losses,
    metrics,
    mixed_precision,
    optimizers,
    random,
)
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.losses import SparseCategoricalCrossentropy
from elephas_torch.keras.optimizers import SGD, Adam
from elephas_torch.moving import Passing, Resident, moved
from elephas_torch.overlap import Overlapping
from elephas_torch.parameter.in_memory import InMemoryClient
from elephas_torch.parameter.state import State
from elephas_torch.parameter.wire import Settings
from elephas_torch.passage import Passage
from elephas_torch.plan import Plan
from elephas_torch.staging import staged
from elephas_torch.stepping import step_of
from elephas_torch.utils.rdd_utils import to_simple_rdd
from tests.families import DRAWN, IMAGE, LINE, MODELS, WORDS, line
from tests.keras.losses import test_parity as of_losses
from tests.keras.metrics import test_parity as of_metrics

# torch asks for it at a process's first product; `Device.used` sets it for workers.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device, and a torch with CUDA"
    ),
]


def here():
    return Choice("cuda", 0).made()


def rows(shape, count=12):
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal((count, *shape)).astype(np.float32)
    if shape == WORDS:
        x = drawn.integers(0, 10, (count, 6)).astype(np.int32)
    y = drawn.integers(0, 3, count)
    return torch.from_numpy(x), torch.from_numpy(y)


def stepped(made, where, policy=None, steps=3, optimizer=Adam):
    """The losses of some steps, and the weights."""
    with device.backends_as({"cudnn_tf32": False}):
        return _stepped(made, where, policy, steps, optimizer)


def _stepped(made, where, policy, steps, optimizer):
    torch.manual_seed(1)
    mixed_precision.set_global_policy(policy or "float32")
    try:
        model = made()
    finally:
        mixed_precision.set_global_policy("float32")
    loss = SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer(0.01), loss, metrics=["accuracy"])
    device.put(model, where)
    step, losses = step_of(model), []
    x, y = rows(model.input_shape[1:])
    batch = Samples(x.to(where.where), y.to(where.where))
    model.train()
    for _ in range(steps):
        step.reset()
        step.train(batch)
        losses.append(step.logs()["loss"])
    return torch.tensor(losses), step.flat.parameters.cpu()


#: A rate is given to each; those that step the loss's scale too, or with another's weights, have
#: tests of their own.
OPTIMIZERS = {
    **{
        name: one
        for name, one in vars(optimizers).items()
        if isinstance(one, type) and issubclass(one, optimizers.Optimizer)
        and one not in (optimizers.Optimizer, optimizers.LossScaleOptimizer)
    },
    "nesterov": lambda rate: SGD(rate, momentum=0.9, nesterov=True, global_clipnorm=0.5),
    "amsgrad": lambda rate: Adam(rate, amsgrad=True, use_ema=True, weight_decay=0.01),
    "centered": lambda rate: optimizers.RMSprop(rate, momentum=0.9, centered=True, clipvalue=0.1),
}  # fmt: skip


def distance(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("family", MODELS)
def test_a_family_of_layers_computes_as_on_the_cpu(family):
    _, made = MODELS[family]
    mine, theirs = stepped(made, here()), stepped(made, device.CPU)
    assert distance(mine[0], theirs[0]) < 1e-4
    assert distance(mine[1], theirs[1]) < 1e-3  # Adam's first steps make much of roundings


@pytest.mark.parametrize("family", MODELS)
def test_a_family_of_layers_in_bfloat16(family):
    _, made = MODELS[family]
    mine, theirs = (stepped(made, on, "mixed_bfloat16") for on in (here(), device.CPU))
    assert distance(mine[0], theirs[0]) < 1e-2


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_is_the_same_for_the_same_seed(name):
    shape, made = DRAWN[name]
    torch.manual_seed(1)
    model, where = line(shape, [made()]), here()
    x = rows(shape)[0]
    expected = model.eval()(x)
    device.put(model, where)
    mine, there = (model(x.to(where.where)).detach().cpu() for _ in range(2))
    assert distance(mine, expected.detach()) < 1e-4 and mine.equal(there)
    model.train()

    def drawn(number):
        random.at(number)
        torch.manual_seed(number)
        return model(x.to(where.where)).detach()

    first, second, third = drawn(3), drawn(3), drawn(4)
    assert first.equal(second) and not first.equal(third)
    assert not first.cpu().equal(mine)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps_as_on_the_cpu(name):
    found = [
        stepped(lambda: line(LINE, [layers.Dense(5, "tanh")]), on, optimizer=OPTIMIZERS[name])
        for on in (here(), device.CPU)
    ]
    (_, mine), (_, theirs) = found
    assert distance(mine, theirs) < 1e-3


@pytest.mark.parametrize(("name", "options", "kind"), of_losses.CASES)
def test_a_loss_is_that_of_the_cpu(name, options, kind):
    y, given = of_losses.data(kind, (6, 4))
    loss = getattr(losses, name)(**options)
    weight = of_losses.weights_and_masks((6,))[1][0] if options.get("axis") != 1 else None

    def on(where):
        leaf = given.to(where).requires_grad_()
        value = loss(y.to(where), leaf, None if weight is None else weight.to(where))
        value.backward()
        return value.detach().cpu(), leaf.grad.cpu()

    for mine, theirs in zip(on(here().where), on("cpu"), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options", "kind"), of_metrics.CASES)
def test_a_metric_is_that_of_the_cpu(name, options, kind):
    batch, weight = of_metrics.data(kind), of_metrics.weights(name)

    def on(where):
        metric = getattr(metrics, name)(**options)
        for start, stop in pairwise((0, 4, len(weight))):
            parts = (one[start:stop].to(where) for one in batch)
            metric.update_state(*parts, sample_weight=weight[start:stop].to(where))
        assert metric.state.dtype == torch.float64
        return of_metrics.array(metric.result())

    np.testing.assert_allclose(on(here().where), on("cpu"), rtol=1e-4, atol=1e-6)


def test_losses_of_several_outputs_are_those_of_the_cpu():
    def on(where):
        torch.manual_seed(1)
        given = layers.Input(shape=LINE)
        model = Model(given, [layers.Dense(2, name="a")(given), layers.Dense(3, name="b")(given)])
        model.compile("adam", ["mse", "mae"], loss_weights=[1.0, 2.0], metrics=[["mae"], ["mse"]])
        device.put(model, where)
        step, x = step_of(model), rows(LINE)[0]
        for _ in range(3):
            y = [x[:, :2], x[:, 1:]]
            step.train(Samples(x.to(where.where), [one.to(where.where) for one in y]))
        return step.logs()

    assert on(here()) == pytest.approx(on(device.CPU), rel=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    def made(dtype=policy):
        return Sequential([
            layers.Conv2D(4, 3, input_shape=IMAGE, dtype=dtype), layers.ReLU(dtype=dtype),
            layers.Flatten(dtype=dtype), layers.Dense(3, dtype="float32"),
        ])  # fmt: skip

    mine, theirs = stepped(made, here()), stepped(lambda: made("float32"), device.CPU)
    assert distance(mine[0], theirs[0]) < 1e-2


def test_a_compiled_step():
    def made():
        return Sequential([layers.Dense(8, "relu", input_dim=4), layers.Dense(3)])

    def compiled():
        model = made()
        model.compile = lambda *given, **more: Sequential.compile(
            model, *given, jit_compile=True, **more
        )
        return model

    assert distance(stepped(compiled, here())[0], stepped(made, device.CPU)[0]) < 1e-4


def network(rate=0.1, **more):
    torch.manual_seed(2)
    model = Sequential([
        layers.Dense(16, activation="relu", input_dim=4), layers.BatchNormalization(),
        layers.Dropout(0.3), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(SGD(rate), "sparse_categorical_crossentropy", **more)
    return model


def graphed(mode, where, dropped=0.0, rate=0.1, epochs=3):
    """The logs of epochs whose last batch is smaller, and all vectors in the end."""
    model = network(rate, metrics=["accuracy"], jit_compile=mode)
    model.layers[2].rate = dropped
    device.put(model, where)
    held, step, logs = moved(store.Held(Samples(*rows(LINE, 44))), where), step_of(model), []
    with where.used():
        torch.manual_seed(3)
        model.train()
        for epoch in range(epochs):
            step.reset()
            for batch in held.epoch(16, True, (1, epoch)):
                step.train(batch)
            logs.append(step.logs())
        model.eval()
        step.reset()
        for batch in held.epoch(16):
            step.evaluate(batch)
        logs.append(step.logs())
    return logs, torch.cat([one.cpu().double() for one in step.flat.vectors])


def recordings():
    """How many CUDA graphs the process has recorded since torch has forgotten them."""
    manager = cudagraph_trees.get_manager(0, create_if_none_exists=False)
    return 0 if manager is None else manager.new_graph_id().id


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_steps_in_cuda_graphs_are_those_without(mode):
    mine, theirs = graphed(mode, here()), graphed(False, here())
    assert distance(mine[1], theirs[1]) < 1e-4
    for one, other in zip(mine[0], theirs[0], strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_dropout_in_cuda_graphs_is_drawn_anew():
    mode, where = "reduce-overhead", here()
    first, second = (graphed(mode, where, dropped=0.5) for _ in range(2))
    assert first[1].equal(second[1]) and first[0] == second[0]
    logs, _ = graphed(mode, where, dropped=0.5, rate=0.0, epochs=5)
    assert len({one["loss"] for one in logs[:-1]}) == 5


def test_cuda_graphs_are_made_once_and_forgotten(monkeypatch):
    where, found = here(), []
    forget = device.forget_graphs
    monkeypatch.setattr(device, "forget_graphs", lambda: found.append(recordings()) or forget())
    for epochs in (2, 6):
        graphed("reduce-overhead", where, epochs=epochs)
    # Forward and backward of two sizes, and two evaluations; each once, however long one trains.
    assert 0 < found[0] == found[1] <= 6
    assert recordings() == 0


def trained(kind, every, gradients, where, dropped=True):
    """A worker alone, on the server's state in this process; the server's weights."""
    model = network()
    if not dropped:
        model.layers[2].rate = 0.0
    plan = Plan(
        every=every, gradients=gradients, epochs=2, initial_epoch=0, batch_size=4,
        validation_split=0.0, shuffle=True, class_weight=None, seed=0, shared_memory=False,
    )  # fmt: skip

    class Local(InMemoryClient):
        name, url, update, parameters = "local", "", None, None

        def borrow(self, push, update, into):
            return self.exchange(push, update, into), into.parameters

        def twin(self):
            return self

        def close(self):
            pass

    rule = SGD(0.1 if gradients else 1.0)
    loaded = store.load(model, data.Pairs(), zip(*map(np.asarray, rows(LINE, 40)), strict=True))
    first = step_of(network()).flat.vectors
    state = State(Settings("asynchronous", first.sizes, optimizers.serialize(rule)), first)
    client = Local(state)
    joined = client.join(0, 0, samples=40)
    device.put(model, where)
    model._step = None
    exchange = kind(plan, step_of(model), staged(client, where), (0, 0), joined, Standing())
    for epoch in range(2):
        model.train()
        exchange.epoch(moved(loaded, where), epoch)
    exchange.close()
    return step_of(model).flat.parameters.cpu().clone()


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("kind", [Exchange, Overlapping])
def test_a_worker_trains_as_on_the_cpu(kind, gradients):
    mine = trained(kind, 2, gradients, here(), dropped=False)
    assert distance(mine, trained(kind, 2, gradients, device.CPU, dropped=False)) < 1e-4


def test_the_same_seed_gives_the_same_weights():
    wanted = {**device.backends(), "deterministic": True}
    with device.backends_as(wanted):
        assert trained(Exchange, 2, False, here()).equal(trained(Exchange, 2, False, here()))


def test_rows_that_fit_and_rows_that_do_not(monkeypatch):
    held, where = store.Held(Samples(*rows(LINE, 50))), here()
    resident = moved(held, where)
    assert isinstance(resident, Resident)
    for found in (resident, Passing(held, where)):
        batches = list(found.epoch(8, True, (1, 2)))
        assert {batch.x.device.type for batch in batches} == {"cuda"}
        theirs = torch.cat([batch.x for batch in held.epoch(8, True, (1, 2))])
        assert torch.cat([batch.x.cpu() for batch in batches]).equal(theirs)


def test_a_full_memory_is_told():
    where = here()
    told = pytest.raises(OutOfMemory, match=r"out of memory with batch_size=64")
    with told, where.used(), device.told_of_memory(where, 64, 1 << 20):
        torch.empty(1 << 42, dtype=torch.uint8, device=where.where)
    torch.ones(1, device=where.where)  # it goes on


@pytest.mark.parametrize("family", MODELS)
def test_outputs_are_those_of_the_cpu(family):
    _, made = MODELS[family]
    torch.manual_seed(1)
    model, where = made().eval(), here()
    x, _ = rows(model.input_shape[1:])
    expected = torch.from_numpy(model.predict(x, verbose=0))
    device.put(model, where)
    parts = (Samples(x[start : start + 5]) for start in range(0, len(x), 5))
    with device.backends_as({"cudnn_tf32": False}):
        found = [out for _, out in Passage(where, 0).outputs(lambda b: model(b.x), parts)]
    assert distance(torch.cat(found), expected) < 1e-4


def test_batches_that_do_not_fit_are_halved(caplog):
    where, total = here(), torch.cuda.mem_get_info()[1]

    def compute(batch):
        torch.empty(len(batch), total // 6, dtype=torch.uint8, device=where.where)
        return batch.x + 1

    with where.used():
        ((_, found),) = Passage(where, 0).outputs(compute, [Samples(torch.zeros(8, 1))])
    assert found.tolist() == [[1.0]] * 8
    assert "out of memory with 8 rows at once: going on with 4" in caplog.text


@pytest.mark.parametrize("name", gpu.NETWORKS)
def test_a_step_takes_little_more_memory_than_one_by_hand(name):
    where = here()
    with where.used(), gpu.steps(gpu.NETWORKS[name], "float32", 2, where) as measures:
        peaks = {kind: [take() for _ in range(2)][-1]["peak"] for kind, take in measures.items()}
    assert peaks[gpu.FACADE] <= 1.15 * peaks[gpu.BY_HAND]


@pytest.mark.spark
def test_scoring_on_spark(spark):
    model = network()
    x, y = (one.numpy() for one in rows(LINE, 1000))
    pairs = spark.sparkContext.parallelize(list(zip(x, y, strict=True)), 2)
    frame = spark.createDataFrame([(n, one.tolist()) for n, one in enumerate(x)], ["n", "features"])

    def scored(on):
        trained = SparkModel(model, device=on)
        stage = ElephasTransformer(model=model, device=on)
        found = stage.transform(frame).orderBy("n").toPandas()["probability"]
        return (
            trained.predict(pairs),
            trained.evaluate(pairs),
            trained.predict(frame),
            np.stack([one.toArray() for one in found]),
        )

    for mine, theirs in zip(scored("cuda"), scored("cpu"), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.spark
def test_a_fit_on_spark(spark_context, mnist, caplog):
    def accuracy(on):
        torch.manual_seed(0)
        model = Sequential([
            layers.Dense(128, activation="relu", input_dim=784),
            layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
        model.compile(SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
        rdd = to_simple_rdd(spark_context, mnist.x_train, mnist.y_train, 2)
        trained = SparkModel(model, mode="synchronous", device=on, seed=1, num_workers=2)
        trained.fit(rdd, epochs=4, verbose=0)
        return model.evaluate(mnist.x_test, mnist.y_test, verbose=0)[1]

    with caplog.at_level(logging.INFO, "elephas_torch"):
        mine = accuracy("cuda")
    assert "is on cuda:0" in caplog.text
    assert mine > 0.88 and abs(mine - accuracy("cpu")) < 0.01


@pytest.mark.spark
def test_a_full_memory_on_spark(spark_context):
    model = Sequential([layers.Dense(1 << 20, input_dim=4), layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = [(np.zeros(4, np.float32), np.zeros(1, np.float32))] * (1 << 17)
    with pytest.raises(WorkerError, match=r"out of memory with batch_size=131072"):
        SparkModel(model, device="cuda").fit(
            spark_context.parallelize(rows, 1), batch_size=1 << 17, verbose=0
        )


@pytest.mark.spark
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_all_reduce_by_nccl(spark_context, caplog):
    def fitted(on):
        model = network()
        model.layers[2].rate = 0.0
        x, y = rows(LINE, 64)
        rdd = to_simple_rdd(spark_context, x.numpy(), y.numpy(), 2)
        trained = SparkModel(
            model, mode="synchronous", exchange="allreduce", frequency="batch", device=on, seed=1,
            num_workers=2, batch_size=8,
        )  # fmt: skip
        trained.fit(rdd, epochs=2, verbose=0)
        return torch.cat([torch.as_tensor(one).flatten() for one in model.get_weights()])

    assert distance(fitted("cuda"), fitted("cpu")) < 1e-4
