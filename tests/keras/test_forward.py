"""The compiled forward pass: its modes, what outlives a step, and what it does with errors.

No compiler is needed: what torch has traced runs as it is. CUDA graphs are played by memory that
each run writes to anew. Real ones: tests/test_gpu.py.
"""

import shutil

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from elephas_torch import SparkModel
from elephas_torch.keras import Model, Sequential, layers, metrics, models
from elephas_torch.keras.forward import MODES, Forward
from elephas_torch.keras.optimizers import Adam
from elephas_torch.utils.rdd_utils import to_simple_rdd

X = np.random.default_rng(0).standard_normal((40, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)


class Graphs:
    """Backends for torch.compile whose outputs lie where the next run's do."""

    def __init__(self):
        self.pool, self.runs = [], 0
        self.backend = aot_autograd(fw_compiler=self.made)

    def begin(self):
        """A step begins: nothing of the last one is there any more."""
        for one in self.pool:
            one.zero_() if one.dtype == torch.bool else one.fill_(-77)

    def made(self, module, inputs):
        rooms = {}

        def room(number, one):
            if not isinstance(one, torch.Tensor):
                return one
            if number not in rooms:
                rooms[number] = torch.empty_like(one)
                self.pool.append(rooms[number])
            return rooms[number].copy_(one)

        def run(*given):
            self.runs += 1
            return [room(number, one) for number, one in enumerate(module(*given))]

        return make_boxed_func(run)


@pytest.fixture
def graphs(monkeypatch):
    played, compiler = Graphs(), torch.compile

    def compiled(function, mode, dynamic):
        backend = "aot_eager" if mode in (None, "default") else played.backend
        return compiler(function, backend=backend, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", played.begin)
    # How torch looks at a backend's first run makes `detach` of a moving statistic fail in it.
    with torch._functorch.config.patch(check_custom_op_aliasing=False):
        yield played


class Last(metrics.Metric):
    """Keeps what it was given last."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.before, self.last = getattr(self, "last", None), y_pred

    def result(self):
        return float((self.last if self.before is None else self.before).double().sum())


class Marked(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.1 * inputs.square().mean())
        return inputs


def network(jit, extra=(), **more):
    torch.manual_seed(1)
    model = Sequential([
        layers.Dense(8, "relu", input_dim=4, kernel_regularizer="l2"), *extra,
        layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(4, "softmax"),
    ])  # fmt: skip
    model.compile(
        Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy", Last(name="last")],
        jit_compile=jit, **more,
    )  # fmt: skip
    return model


def trained(jit, extra=()):
    model = network(jit, extra)
    torch.manual_seed(2)
    history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, validation_data=(X[:20], Y[:20]))
    return model, history.history


def test_nothing_of_a_graph_is_used_after_its_step(graphs):
    for extra in ([], [Marked()]):
        mine, hers = trained("reduce-overhead", extra)
        assert graphs.runs
        theirs, his = trained("default", extra)
        assert hers == {name: pytest.approx(values, rel=1e-5) for name, values in his.items()}
        for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_outputs_are_the_caller_s(graphs):
    forward = Forward(network(False).eval(), [], "max-autotune")
    with torch.no_grad():
        first = forward(torch.ones(3, 4))
        before, below = first.clone(), forward._compiled(torch.ones(3, 4))
        forward(torch.zeros(3, 4))
    assert first.equal(before) and not below.equal(before)


def test_masks_come_out_too(graphs):
    model = Sequential([layers.Embedding(5, 2, mask_zero=True, input_shape=(3,))])
    forward = Forward(model, [], "reduce-overhead")
    mask = forward(torch.tensor([[1, 2, 0]]))._keras_mask
    forward(torch.tensor([[0, 0, 0]]))
    assert mask.tolist() == [[True, True, False]]


def test_layers_that_keep_what_they_compute_get_no_graphs(graphs):
    class Counting(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = metrics.Mean(name="mean")

        def call(self, inputs):
            self.mean.update_state(inputs)
            return inputs

    model = Sequential([layers.Input(shape=(3,)), Counting(), layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile="reduce-overhead")
    for value in (1, 3):
        found = model.train_on_batch(np.full((5, 3), value), np.ones(5), return_dict=True)
    assert graphs.runs == 0 and found["mean"] == 3


def test_stateful_layers_run_as_they_are():
    model = Sequential([layers.Input(batch_shape=(5, 3, 2)), layers.LSTM(2, stateful=True)])
    model.compile("sgd", "mse", jit_compile="reduce-overhead")
    with pytest.warns(UserWarning, match="jit_compile='reduce-overhead' has no effect on stateful"):
        model.train_on_batch(np.ones((5, 3, 2)), np.ones((5, 2)))


def test_each_size_of_a_batch_is_compiled_once(graphs):
    torch.compiler.reset()
    for mode, wanted in (("reduce-overhead", 4), (True, 3)):  # trained and evaluated, whole and not
        before = counters["stats"]["unique_graphs"]
        trained(mode)
        assert counters["stats"]["unique_graphs"] - before <= wanted


def test_a_process_compiles_more_models_than_eight(graphs):
    forwards = []
    for units in range(1, 11):
        forwards.append(Forward(Sequential([layers.Dense(units, input_dim=4)]), [], True))
        before = counters["stats"]["unique_graphs"]
        forwards[-1](torch.ones(3, 4))
        assert counters["stats"]["unique_graphs"] > before


def attended():
    given = layers.Input(shape=(6, 4))
    both = layers.Add()([given, layers.MultiHeadAttention(2, 3)(given, given)])
    return Model(given, layers.Dense(2)(layers.BatchNormalization()(both)))


def stepped():
    return Sequential([
        layers.Input(shape=(6, 4)), layers.Masking(), layers.Dropout(0.1),
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]), layers.Dense(2),
    ])  # fmt: skip


@pytest.mark.parametrize("made", [attended, stepped])
def test_layers_are_one_graph(made):
    compiled = Forward(made(), [], True)._compiled
    found = torch._dynamo.explain(compiled.__wrapped__)(torch.ones(5, 6, 4))
    assert found.graph_count == 1 and not found.graph_break_count, found.break_reasons


def test_fused_recurrent_layers_stay_what_they_are(graphs):
    def losses(mode):
        torch.manual_seed(1)
        model = Sequential([
            layers.Input(shape=(6, 4)), layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(3), layers.Dense(1),
        ])  # fmt: skip
        model.compile("sgd", "mse", jit_compile=mode)
        x = np.random.default_rng(1).standard_normal((20, 6, 4))
        return model.fit(x, x[:, 0, 0], batch_size=8, epochs=2, verbose=0).history["loss"]

    assert losses("reduce-overhead") == pytest.approx(losses(False), rel=1e-4)


@pytest.mark.parametrize("mode", [*MODES, True])
def test_a_mode_goes_where_the_model_goes(mode, tmp_path):
    model = network(mode)
    assert model.jit_compile == model.get_compile_config()["jit_compile"] == mode
    assert SparkModel(model).master_network.skeleton().jit_compile == mode
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras", custom_objects={"Last": Last})
    # Keras writes True for each model that it compiles for itself.
    assert again.jit_compile == (False if mode is True else mode)
    model.jit_compile = "auto"
    assert model.jit_compile is False


def test_modes_that_there_are_not():
    model = network(False)
    wanted = r"'reduce-overhead', 'max-autotune', .*Received: jit_compile='cudagraphs'"
    with pytest.raises(ValueError, match=wanted):
        model.compile("sgd", "mse", jit_compile="cudagraphs")
    with pytest.raises(ValueError, match=wanted):
        model.jit_compile = "cudagraphs"
    with pytest.warns(UserWarning, match="run_eagerly=True turns jit_compile='max-autotune' off"):
        model.compile("sgd", "mse", jit_compile="max-autotune", run_eagerly=True)
    assert model.jit_compile is False


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_mode_on_spark(spark_context):
    found = []
    for mode in ("reduce-overhead", False):
        model = network(False)
        model.layers[2].rate = 0.0
        model.compile(Adam(0.01), "sparse_categorical_crossentropy", jit_compile=mode)
        trained = SparkModel(model, mode="synchronous", num_workers=1, seed=1)
        trained.fit(to_simple_rdd(spark_context, X, Y), epochs=2, batch_size=16, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


# Errors


def forward(error, mode=True):
    def compiled(x):
        raise error

    made = Forward(Sequential([layers.Dense(1, input_dim=2)]), [], mode)
    made._compiled = compiled
    return made


@pytest.mark.parametrize("mode", [True, "reduce-overhead"])
def test_what_can_t_be_compiled_is_computed_all_the_same(mode):
    made = forward(torch._dynamo.exc.Unsupported("no such thing"), mode)
    with pytest.warns(UserWarning, match=rf"jit_compile={mode!r} has no effect: .*no such thing\)"):
        assert made(torch.ones(3, 2)).shape == (3, 1)
    assert made(torch.ones(3, 2)).shape == (3, 1)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("full"), ValueError("own")])
def test_other_errors_are_nobody_s_but_the_model_s(error):
    with pytest.raises(type(error)):
        forward(error)(torch.ones(3, 2))
