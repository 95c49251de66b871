"""What only a GPU shows: `make test-gpu` on a machine that has one."""

import logging

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
from elephas_torch.keras import Model, Sequential, layers, mixed_precision
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

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device, and a torch with CUDA"
    ),
]

LINE, STEPS, IMAGE = (4,), (6, 4), (8, 8, 2)


def words():
    given = layers.Input(shape=(6,), dtype="int32")
    found = layers.Embedding(10, 4, mask_zero=True)(given)
    found = layers.GRU(4, return_sequences=True)(found)
    found = layers.Add()([found, layers.MultiHeadAttention(2, 3)(found, found)])
    return Model(given, layers.Dense(3)(layers.GlobalAveragePooling1D()(found)))


def attended():
    given = layers.Input(shape=STEPS)
    both = [layers.Attention()([given, given]), layers.AdditiveAttention()([given, given])]
    merged = layers.Concatenate()([layers.Multiply()(both), layers.Average()(both), given])
    grouped = layers.GroupQueryAttention(4, 4, 2)(merged, merged)
    return Model(given, layers.Dense(3)(layers.Flatten()(layers.Maximum()([grouped, merged]))))


def lined(shape, *middle):
    return lambda: Sequential(
        [layers.Input(shape=shape), *(one() for one in middle), layers.Flatten(), layers.Dense(3)]
    )


FAMILIES = {
    "dense": (LINE, lined(LINE, lambda: layers.Dense(5, "relu"))),
    "convolution": (
        IMAGE,
        lined(
            IMAGE,
            lambda: layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization,
            layers.MaxPooling2D,
            lambda: layers.SeparableConv2D(3, 3, padding="same"),
            lambda: layers.Conv2DTranspose(2, 2),
        ),
    ),
    "convolution 1": (STEPS, lined(STEPS, lambda: layers.Conv1D(3, 3, padding="causal"))),
    "lstm": (STEPS, lined(STEPS, lambda: layers.Bidirectional(layers.LSTM(3)))),
    "gru": (STEPS, lined(STEPS, layers.Masking, lambda: layers.GRU(3))),
    "simple rnn": (STEPS, lined(STEPS, lambda: layers.SimpleRNN(3))),
    "normalization": (LINE, lined(LINE, layers.LayerNormalization, layers.UnitNormalization)),
    "images": (
        IMAGE,
        lined(IMAGE, lambda: layers.Rescaling(0.5), lambda: layers.Resizing(6, 6)),
    ),
    "words": ((6,), words),
    "attention and merging": (STEPS, attended),
    "activations": (
        LINE,
        lined(LINE, layers.PReLU, layers.LeakyReLU, layers.ELU, layers.Softmax,
              lambda: layers.Activation("gelu")),
    ),
    "pooling": (
        IMAGE,
        lined(IMAGE, layers.AveragePooling2D, layers.UpSampling2D,
              lambda: layers.ZeroPadding2D(1), lambda: layers.Cropping2D(1),
              lambda: layers.DepthwiseConv2D(2), layers.GlobalMaxPooling2D),
    ),
    "convolution 3": (
        (4, 4, 4, 2),
        lined((4, 4, 4, 2), lambda: layers.Conv3D(3, 2), layers.MaxPooling3D),
    ),
    "reshaping": (
        LINE,
        lined(LINE, lambda: layers.Reshape((2, 2)), lambda: layers.Permute((2, 1)),
              lambda: layers.TimeDistributed(layers.Dense(2)), layers.Flatten,
              lambda: layers.RepeatVector(2), lambda: layers.EinsumDense("abc,cd->abd", (2, 3))),
    ),
    "group normalization": (IMAGE, lined(IMAGE, lambda: layers.GroupNormalization(2))),
    "cells": (STEPS, lined(STEPS, lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]))),
}  # fmt: skip


def here():
    return Choice("cuda", 0).made()


def rows(shape, count=12):
    random = np.random.default_rng(0)
    x = random.standard_normal((count, *shape)).astype(np.float32)
    if shape == (6,):
        x = random.integers(0, 10, (count, 6)).astype(np.int32)
    y = random.integers(0, 3, count)
    return torch.from_numpy(x), torch.from_numpy(y)


def stepped(made, where, policy=None, steps=3):
    """The losses of some steps, and the weights."""
    with device.backends_as({"cudnn_tf32": False}):
        return _stepped(made, where, policy, steps)


def _stepped(made, where, policy, steps):
    torch.manual_seed(1)
    mixed_precision.set_global_policy(policy or "float32")
    try:
        model = made()
    finally:
        mixed_precision.set_global_policy("float32")
    loss = SparseCategoricalCrossentropy(from_logits=True)
    model.compile(Adam(0.01), loss, metrics=["accuracy"])
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


def distance(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_layers_computes_as_on_the_cpu(family):
    _, made = FAMILIES[family]
    mine, theirs = stepped(made, here()), stepped(made, device.CPU)
    assert distance(mine[0], theirs[0]) < 1e-4
    assert distance(mine[1], theirs[1]) < 1e-3  # Adam's first steps make much of roundings


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_layers_in_bfloat16(family):
    _, made = FAMILIES[family]
    mine, theirs = (stepped(made, on, "mixed_bfloat16") for on in (here(), device.CPU))
    assert distance(mine[0], theirs[0]) < 1e-2


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

    from elephas_torch import optimizers

    rule = SGD(0.1) if gradients else optimizers.SGD(1.0)
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


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_those_of_the_cpu(family):
    _, made = FAMILIES[family]
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
    wide = total // 16  # floats a row; a quarter of the memory

    def compute(batch):
        return batch.x + torch.ones(len(batch), wide, device=where.where).sum(1, keepdim=True)

    with where.used():
        ((_, found),) = Passage(where, 0).outputs(compute, [Samples(torch.zeros(8, 1))])
    assert found.tolist() == [[float(wide)]] * 8
    assert "out of memory with 8 rows at once: going on with 4" in caplog.text


@pytest.mark.parametrize("name", ["MLP", "ResNet", "transformer"])
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
